"""One page's socket: the lines it has been sent, those it has acknowledged, and when it ends."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from autotrader.core.audit.tail import TailBroken
from autotrader.core.live.buffers import held_by, takes_all, write_at_once
from autotrader.core.live.frames import Frame
from autotrader.core.live.lines import Lines
from autotrader.core.live.reader import DatabaseAway
from autotrader.core.live.rows import Rows
from autotrader.core.live.rules import Rules
from autotrader.core.live.streams import RESTORED, SLOW, Receive, Send
from autotrader.core.live.tailer import Tailer
from autotrader.core.ops import measures
from autotrader.core.users.access import Access

MALFORMED, LOGIN_ENDED, BEGIN_ANEW, LOG_BROKEN, TOO_MANY = 4400, 4401, 4408, 4410, 4429
SIGN: dict[str, Any] = {}
LONGEST_HEARD = 200  # characters; an acknowledgement has thirty


class Socket:
    """It holds two numbers, its place in the log and the one acknowledged; lines wait in what all sockets share.

    Its access is a session's, which is told the events of every account.
    """

    def __init__(self, access: Access, tailer: Tailer, lines: Lines, rules: Rules, send: Send, *, now: float) -> None:
        self.access = access
        self.checked_at = self._said_at = now
        self.events = self._counted = 0
        self.code = 0
        self._tailer, self._lines, self._rules, self._send = tailer, lines, rules, send
        self._bell = asyncio.Event()
        self._at = self._acked = 0
        self._owed: deque[tuple[int, int, float]] = deque()  # of each frame: its last number, its bytes, when
        self._owed_bytes = self._heard = 0
        self._remarks: list[str] = []
        self._rows: Rows | None = None
        self._wanted: Mapping[str, frozenset[str]] = {}
        self._last_words = ""
        self._gone = self._has_asked = self._is_abreast = False
        self._is_taken_at_once = takes_all(send)
        write_at_once(send)

    def want(self, rows: Rows, names: Iterable[str]) -> None:
        """Be told the rows of these lists, too, as far as its reader may see them."""
        self._rows, self._wanted = rows, rows.wanted(names, self.access)

    async def run(self, receive: Receive, *, after: int, head: int, digest: str) -> None:
        """Everything after `after`, until the page goes or a bound is met. The socket has been accepted.

        `digest` is the hash of the event `after`: by it a page tells whether the log is still the one that it has read.
        """
        self._at = self._acked = after
        self._is_abreast = after >= head
        watcher = asyncio.create_task(self._watch(receive))
        try:
            if after > head:
                self.rewritten(head)
            elif head - after > self._rules.waiting:
                self._resync(head, SLOW)
            else:
                self._remark({"start": {"after": after, "head": head, "hash": digest}})
            while await self._go_on():
                await self._bell.wait()
            if not self._gone:
                await self._say_last()
        finally:
            watcher.cancel()

    def news(self) -> None:
        """There are events after those that were there before."""
        self._bell.set()

    def away(self, *, is_away: bool) -> None:
        """The database stopped answering, or answers again."""
        self._remark({"away": is_away})

    def rewritten(self, head: int) -> None:
        """What the page has shown is no longer what happened."""
        self._resync(head, RESTORED)

    def broken(self, error: TailBroken) -> None:
        """A row is missing; nothing after it can be told."""
        self._end(LOG_BROKEN, {"failure": {"code": error.reason, "message": error.message}})

    def trusted(self, since: float) -> None:
        """Its login was good at this time."""
        self.checked_at = since
        self._bell.set()

    def revoked(self) -> None:
        """Its login holds no more, or means something else now."""
        self._end(LOGIN_ENDED)

    def tick(self, now: float) -> None:
        """Once a second: sign of life, and the end of a page that does not answer."""
        self._heard = 0
        if self._owed and now - self._owed[0][2] > self._rules.owed_s:
            self._resync(self._tailer.seq, SLOW)
        elif self._owed and now - self._owed[0][2] > self._rules.owed_s / 2 and not self._has_asked:
            # Browsers let the clock of a page in the background stand, so it is woken by a word.
            self._has_asked = True
            self._remark({"to": self._at, "lines": []})
        elif now - self._said_at >= self._rules.keep_alive_s and not self._remarks:
            self._remark(SIGN)
        elif self._at < self._tailer.seq:
            self._bell.set()

    def uncounted(self) -> int:
        """Events that were sent since this was asked last."""
        fresh, self._counted = self.events - self._counted, self.events
        return fresh

    def _remark(self, told: dict[str, Any]) -> None:
        self._remarks.append(json.dumps(told))
        self._bell.set()

    def _resync(self, after: int, reason: str) -> None:
        if not self.code:
            measures.resync()
        self._end(BEGIN_ANEW, {"resync": {"after": after, "reason": reason}})

    def _end(self, code: int, last_words: dict[str, Any] | None = None) -> None:
        """The first one counts."""
        if not self.code:
            self.code, self._last_words = code, json.dumps(last_words) if last_words else ""
        self._bell.set()

    async def _watch(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            self._hear(message.get("text") or "")
        self._gone = True
        self._end(message.get("code") or 1005)

    def _hear(self, text: str) -> None:
        self._heard += 1
        if self._heard > self._rules.heard:
            self._end(TOO_MANY)
            return
        try:
            told = json.loads(text) if len(text) <= LONGEST_HEARD else None
        except (ValueError, RecursionError):
            told = None
        seq = told.get("ack") if isinstance(told, dict) else None
        if type(seq) is int:
            self._acknowledged(min(seq, self._at))
        else:
            self._end(MALFORMED, {"failure": {"code": "MALFORMED", "message": 'Only {"ack": <number>} is understood.'}})

    def _acknowledged(self, seq: int) -> None:
        while self._owed and self._owed[0][0] <= seq:
            self._owed_bytes -= self._owed.popleft()[1]
        self._acked = max(self._acked, seq)
        self._has_asked = False
        self._bell.set()

    async def _go_on(self) -> bool:
        """Send what there is to send; False at the end."""
        self._bell.clear()
        while not self.code:
            if self._remarks:
                await self._say(self._remarks.pop(0))
            elif not (self._may_send() and await self._send_lines()):
                return True
        return False

    def _may_send(self) -> bool:
        return self._at < self._tailer.seq and self._is_trusted() and self._has_room()

    def _is_trusted(self) -> bool:
        """No event leaves on a login that nobody could look at lately."""
        return asyncio.get_running_loop().time() - self.checked_at <= self._rules.stale_s

    def _has_room(self) -> bool:
        """False while the page has to acknowledge first; one that lies too far behind meanwhile begins anew."""
        is_full = self._at - self._acked >= self._rules.waiting or self._owed_bytes >= self._rules.owed
        if not is_full and held_by(self._send) < self._rules.owed:
            return True
        if self._tailer.seq - self._at > self._rules.waiting:
            self._resync(self._tailer.seq, SLOW)
        return False

    async def _send_lines(self) -> bool:
        try:
            frames = await self._tailer.pages.after(self._at, self._tailer.seq)
        except DatabaseAway:
            return False
        except TailBroken as error:
            self.broken(error)
            return False
        frames = frames[: min(self._rules.lines, self._rules.waiting - (self._at - self._acked))]
        self._ask_rows(frames)
        texts = self._chosen(frames)
        if not texts:
            return False
        to = self._at + len(texts)
        body = f'{{"to":{to},"hash":"{frames[len(texts) - 1].hash}","lines":[{",".join(texts)}]}}'
        self._at = to
        self._is_abreast = self._is_abreast or to >= self._tailer.seq
        # Before it is sent: the page may acknowledge it while a server still waits for the rest to be taken.
        self._owe(body)
        if await self._say(body):
            self.events += len(texts)
        if self._at < self._tailer.seq:
            await asyncio.sleep(0)  # daphne takes everything at once: the others have their turn now
        return True

    def _owe(self, body: str) -> None:
        self._owed.append((self._at, len(body), asyncio.get_running_loop().time()))
        self._owed_bytes += len(body)

    def _ask_rows(self, frames: Sequence[Frame]) -> None:
        """They are read while their lines are made and sent, and follow by themselves: nothing waits for them.

        None for a page that still catches up: each would ask for rows of its own, and its panels are renewed anyway.
        """
        if self._rows is not None and self._wanted and self._is_abreast and frames:
            for frame in self._rows.of(frames, self._wanted):
                frame.add_done_callback(self._tell_rows)

    def _tell_rows(self, frame: asyncio.Task[str]) -> None:
        """Left out where that does no harm: the page asks for the list as a whole in any case."""
        body = "" if frame.cancelled() else frame.result()
        if body and not self.code and self._is_trusted() and self._owed_bytes < self._rules.owed / 2:
            self._owe(body)
            self._remarks.append(body)
            self._bell.set()

    def _chosen(self, frames: Sequence[Frame]) -> list[str]:
        """The lines of the next frame: numbers have no gap, and every event is for every page."""
        texts: list[str] = []
        size = 0
        for frame in frames:
            text = self._lines.text(frame)
            size += len(text) + 1
            if texts and size > self._rules.chunk:
                break
            texts.append(text)
        return texts

    async def _say(self, text: str) -> bool:
        """False where the page did not take it in time."""
        message = {"type": "websocket.send", "text": text}
        try:
            if self._is_taken_at_once:
                await self._send(message)
            else:
                async with asyncio.timeout(self._rules.owed_s):
                    await self._send(message)
        except TimeoutError:
            self._resync(self._tailer.seq, SLOW)
            return False
        self._said_at = asyncio.get_running_loop().time()
        return True

    async def _say_last(self) -> None:
        """Who does not take the end either is left to the server, which closes the connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rules.last_words_s):
                if self._last_words:
                    await self._send({"type": "websocket.send", "text": self._last_words})
                await self._send({"type": "websocket.close", "code": self.code})
