"""One per web process: reads the log as it grows, once for all of the process's clients."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from django.db import connection

from autotrader.core.audit.tail import TailBroken
from autotrader.core.clock import system_now
from autotrader.core.live.frames import Frame
from autotrader.core.live.listening import listen
from autotrader.core.live.pages import BLOCK, Pages
from autotrader.core.live.reader import DatabaseAway, Place, Reader
from autotrader.core.live.rules import Rules

logger = logging.getLogger(__name__)
T = TypeVar("T")
# Between two publications, so that a burst leaves the process time to answer others.
BREATH_S_PER_CLIENT = 0.00005
# Two pages that show what one fill changed need not wait for each other where connections are many.
SIDES = {"postgresql": 2}


class Client(Protocol):
    """What the tailer tells whoever reads along."""

    def news(self) -> None:
        """There are events after those that were there before."""

    def away(self, *, is_away: bool) -> None:
        """The database stopped answering, or answers again."""

    def rewritten(self, head: int) -> None:
        """The log is not the one that was read: an older copy was put back, it ends at `head`."""

    def broken(self, error: TailBroken) -> None:
        """A row is missing; nothing after it can be told."""


@dataclass(frozen=True, slots=True)
class TailerState:
    """What health tells. `seq` is the last event handed on, `looked_at` when the log was last read to its end.

    `problem` is "" or one sentence: the database is away, or a row is missing. Without clients there is no tailer:
    `alive` is False, and that is as it should be.
    """

    alive: bool = False
    subscribers: int = 0
    seq: int | None = None
    looked_at: datetime | None = None
    problem: str = ""

    def lag_seconds(self, now: datetime) -> float | None:
        """Since when clients may know less than the database does; None without a tailer that has ever read."""
        return (now - self.looked_at).total_seconds() if self.alive and self.looked_at else None

    def lag_events(self, head: int) -> int | None:
        """How many events clients wait for, where the log ends at `head`; None without a tailer that has ever read."""
        return head - self.seq if self.alive and self.seq is not None else None


class Tailer:
    """Started by its first client, ended some time after its last; lives in one event loop.

    `pages` are there once `ready` has been awaited.
    """

    pages: Pages
    _reader: Reader
    _sides: list[Reader]  # for what pages are shown beside the log
    _known: asyncio.Event  # the first look has been answered, or was not
    _wake: asyncio.Event

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._clients: set[Client] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._end: asyncio.TimerHandle | None = None
        self._place: Place | None = None
        self._looked_at: datetime | None = None
        self._problem: Exception | None = None
        self._counter = -1
        self._ending: asyncio.Task[None] | None = None

    @property
    def seq(self) -> int:
        """The last event that was read."""
        return self._place.seq if self._place else 0

    def state(self) -> TailerState:
        """May be asked from any thread."""
        problem, place = self._problem, self._place
        alive = any(not task.done() for task in self._tasks)
        seq = place.seq if place else None
        return TailerState(alive, len(self._clients), seq, self._looked_at, str(problem) if problem else "")

    @contextmanager
    def told(self, client: Client) -> Iterator[None]:
        """The client hears of everything from here on; `ready` must have been awaited right before."""
        self._clients.add(client)
        try:
            yield
        finally:
            self._clients.discard(client)
            self._end_later()

    async def ready(self, after: int | None = None) -> int:
        """Start where nobody reads yet. Gives the log's last number, asked anew where `after` lies beyond it.

        Raises DatabaseAway or TailBroken, as long as that is how things are.
        """
        if not self._tasks:
            self._start()
        self._end_later()
        await self._known.wait()
        if self._problem:
            raise self._problem
        if after is not None and after > self.seq:
            self._wake.set()
            return max(self.seq, (await self._reader.head()).seq)
        return self.seq

    async def event(self, seq: int) -> Frame | None:
        """The event of this number, None where it is 0; `ready` must have been awaited. Raises as that does."""
        # To the end of its block, which the client is going to need.
        frames = await self.pages.after(seq - 1, max(seq, self.seq)) if seq else ()
        return frames[0] if frames else None

    async def read(self, work: Callable[[], T], turn: int = 0) -> T:
        """What `work` finds, by a connection that the log does not wait for; `ready` must have been awaited.

        One after the other for the same `turn`, so that what is read later is told later. Raises DatabaseAway.
        """
        return await self._sides[turn % len(self._sides)].ask(work)

    async def close(self) -> None:
        """End at once; clients hear nothing more."""
        if self._end is not None:
            self._end.cancel()
        if self._tasks:
            await self._stop()
        if self._ending is not None:
            await self._ending

    def _start(self) -> None:
        self._reader = Reader(self._rules.answer_s)
        self._sides = [Reader(self._rules.answer_s) for _ in range(SIDES.get(connection.vendor, 1))]
        self.pages = Pages(self._reader, self._rules.cached)
        self._known, self._wake = asyncio.Event(), asyncio.Event()
        self._place = self._problem = self._looked_at = None
        self._tasks = [asyncio.create_task(self._follow())]
        if connection.vendor == "postgresql":
            self._tasks.append(asyncio.create_task(listen(self._reader, self._wake.set)))
        _set_current(self)

    def _end_later(self) -> None:
        if self._end is not None:
            self._end.cancel()
        if not self._clients:
            self._end = asyncio.get_running_loop().call_later(self._rules.grace_s, self._end_now)

    def _end_now(self) -> None:
        if not self._clients and self._tasks:
            self._ending = asyncio.create_task(self._stop())

    def _stop(self) -> Coroutine[Any, Any, None]:
        """From this call on a client starts a new reading, whenever the old one has ended."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        return _ended(tasks, self._reader, *self._sides)

    async def _follow(self) -> None:
        while True:
            try:
                await self._read_on()
                await self._sleep()
            except (DatabaseAway, TailBroken) as error:
                self._failed(error)
                await asyncio.sleep(self._rules.look_s)
            except Exception as error:
                # A log without its head, say, while it is restored: a tailer that died of it would never come back.
                logger.exception("the log cannot be read")
                self._failed(DatabaseAway(repr(error)))
                await asyncio.sleep(self._rules.look_s)

    async def _read_on(self) -> None:
        """Hand on everything there is."""
        if self._place is None:
            self._place = await self._reader.head()
        while True:
            self._wake.clear()
            news = await self._reader.news(self._place, BLOCK)
            if len(news.frames) < BLOCK:
                self._looked_at = system_now()
            self._answered()
            if news.rewritten:
                await self._begin_anew()
            elif news.frames:
                self._place = news.last
                self.pages.add(news.frames)
                for client in self._clients:
                    client.news()
                await asyncio.sleep(BREATH_S_PER_CLIENT * len(self._clients))
            else:
                return

    def _answered(self) -> None:
        was_away, self._problem = isinstance(self._problem, DatabaseAway), None
        self._known.set()
        if was_away:
            for client in self._clients:
                client.away(is_away=False)

    def _failed(self, error: DatabaseAway | TailBroken) -> None:
        is_new, self._problem = type(error) is not type(self._problem), error
        self._known.set()
        if is_new:
            logger.error("the event stream stands still: %s", error)
        for client in self._clients if is_new else ():
            if isinstance(error, TailBroken):
                client.broken(error)
            else:
                client.away(is_away=True)

    async def _begin_anew(self) -> None:
        self._place = await self._reader.head()
        logger.error("the log was put back to an older copy, which ends at %d", self._place.seq)
        self.pages.clear()
        for client in self._clients:
            client.rewritten(self._place.seq)

    async def _sleep(self) -> None:
        """Until something may have been committed, at most a second."""
        deadline = asyncio.get_running_loop().time() + self._rules.look_s
        if connection.vendor == "postgresql":
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            return
        while asyncio.get_running_loop().time() < deadline and not self._wake.is_set():
            await asyncio.sleep(self._rules.poll_s)
            counter = await self._reader.change_counter()
            if counter != self._counter:
                self._counter = counter
                return


async def _ended(tasks: list[asyncio.Task[None]], *readers: Reader) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
    for reader in readers:
        reader.close()


_current: Tailer | None = None


def _set_current(tailer: Tailer) -> None:
    global _current
    _current = tailer


def tailer_state() -> TailerState:
    """The tailer of this process."""
    return _current.state() if _current else TailerState()
