"""One client's response: what it has been sent, what waits for it, and when it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from autotrader.core.audit.tail import TailBroken
from autotrader.core.live.buffers import write_at_once
from autotrader.core.live.frames import (
    AWAY,
    BACK,
    KEEP_ALIVE,
    REVOKED,
    Frame,
    failure_frame,
    place_frame,
    resync_frame,
    start_frame,
)
from autotrader.core.live.reader import DatabaseAway
from autotrader.core.live.rules import Rules
from autotrader.core.live.tailer import Tailer
from autotrader.core.ops import measures
from autotrader.core.users.access import Access

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
SLOW, RESTORED = "slow", "restored"
SIGN = b""


class Stream:
    """It holds a number, its place in the log; events wait in the pages that all streams share, not in a queue each."""

    def __init__(self, access: Access, tailer: Tailer, rules: Rules, send: Send, *, now: float) -> None:
        self.access = access
        self.checked_at = now
        self.events = self._counted = 0
        self._tailer, self._rules, self._send = tailer, rules, send
        self._said_at = now
        # Clients that came together do not all come back together.
        self._ends_at = now + rules.longest_s * random.uniform(0.9, 1)
        self._bell = asyncio.Event()
        self._at = self._told = 0
        self._size = 0
        self._remarks: list[bytes] = []  # SIGN stands for a sign of life
        self._last_words: bytes | None = None
        self._gone = self._is_away = False
        self._taking_since: int | None = None
        self._patience = asyncio.timeout(None)
        write_at_once(send)

    async def run(self, receive: Receive, *, after: int, head: int, digest: str | None) -> None:
        """Everything after `after`, until the client goes or a bound is met. The response's head has been sent.

        `digest` is the hash of the event `after`, None where this client is not told it.
        """
        self._at = self._told = after
        watcher = asyncio.create_task(self._watch(receive))
        try:
            if after > head:
                self.rewritten(head)
            else:
                self._remarks.append(start_frame(after, head, digest))
            while await self._go_on():
                await self._bell.wait()
            if not self._gone:
                await self._say_last()
        finally:
            watcher.cancel()

    def news(self) -> None:
        """There are events after those that were there before."""
        if self._taking_since is None:
            self._bell.set()
        elif self._tailer.seq - self._taking_since > self._rules.waiting:
            # What was not taken is not counted as told, and comes again when the client does.
            self._taking_since = None
            self._patience.reschedule(asyncio.get_running_loop().time())

    def away(self, *, is_away: bool) -> None:
        """The database stopped answering, or answers again."""
        self._is_away = is_away
        self._remark(AWAY if is_away else BACK)

    def rewritten(self, head: int) -> None:
        """What the client has seen is no longer what happened."""
        self._resync(head, RESTORED)

    def broken(self, error: TailBroken) -> None:
        """A row is missing; nothing after it can be told."""
        self._end(failure_frame(error.reason, error.message))

    def trusted(self, since: float) -> None:
        """Its login was good at this time."""
        self.checked_at = since
        self._bell.set()

    def revoked(self) -> None:
        """Its login holds no more, or means something else now."""
        self._end(REVOKED)

    def tick(self, now: float) -> None:
        """Once a second: sign of life, and the end of a long response."""
        if now >= self._ends_at:
            self._end(b"")
        elif now - self._said_at >= self._rules.keep_alive_s and not self._remarks:
            self._remark(AWAY if self._is_away else SIGN)
        elif self._at < self._tailer.seq:
            self._bell.set()

    def uncounted(self) -> int:
        """Events that were sent since this was asked last."""
        fresh, self._counted = self.events - self._counted, self.events
        return fresh

    def _remark(self, body: bytes) -> None:
        self._remarks.append(body)
        self._bell.set()

    def _resync(self, after: int, reason: str) -> None:
        measures.resync()
        self._end(resync_frame(after, reason))

    def _end(self, last_words: bytes) -> None:
        if self._last_words is None:
            self._last_words = last_words
        self._bell.set()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        self._gone = True
        self._end(b"")

    async def _go_on(self) -> bool:
        """Send what there is to send; False at the end."""
        self._bell.clear()
        while self._last_words is None:
            if self._remarks:
                remarks, self._remarks = self._remarks, []
                await self._say(b"".join(remark or self._sign() for remark in remarks))
            elif not (self._at < self._tailer.seq and self._is_trusted() and await self._send_events()):
                return True
        return False

    def _sign(self) -> bytes:
        """Made when it is sent: an event that was on its way before it has moved the place."""
        if self._at == self._told:
            return KEEP_ALIVE
        self._told = self._at
        return place_frame(self._at)

    def _is_trusted(self) -> bool:
        """No event leaves on a login that nobody could look at lately."""
        return asyncio.get_running_loop().time() - self.checked_at <= self._rules.stale_s

    async def _send_events(self) -> bool:
        try:
            frames = await self._tailer.pages.after(self._at, self._tailer.seq)
        except DatabaseAway:
            return False
        except TailBroken as error:
            self.broken(error)
            return False
        chosen, at = self._chosen(frames)
        if at == self._at:
            if frames:  # the next one would make this response too large
                self._end(b"")
            return False
        if chosen and await self._say(b"".join(frame.body for frame in chosen)):
            self.events += len(chosen)
            self._told = chosen[-1].seq
        self._at = at
        return True

    def _chosen(self, frames: Sequence[Frame]) -> tuple[list[Frame], int]:
        """What is sent now, and the number up to which that is all there is for this client."""
        room, at, size = self._rules.largest - self._size, self._at, 0
        chunk = min(room, self._rules.chunk)
        chosen: list[Frame] = []
        for frame in frames:
            if self.access.limits.allows_account(frame.account):
                size += len(frame.body)
                # One event that is larger than all of this goes alone, as the first of a response.
                if (chosen and size > chunk) or (self.events and size > room):
                    break
                chosen.append(frame)
            at = frame.seq
        return chosen, at

    async def _say(self, body: bytes) -> bool:
        """False where the client did not take it while too many events came."""
        self._taking_since = self._tailer.seq
        try:
            async with asyncio.timeout(None) as self._patience:
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            self._resync(self._told, SLOW)
            return False
        finally:
            self._taking_since = None
        self._size += len(body)
        self._said_at = asyncio.get_running_loop().time()
        return True

    async def _say_last(self) -> None:
        """Who does not take the end either is left to the server, which closes the connection."""
        last = {"type": "http.response.body", "body": self._last_words or b"", "more_body": False}
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rules.last_words_s):
                await self._send(last)
