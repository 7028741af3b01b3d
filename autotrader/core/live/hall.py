"""What the event stream and the pages' sockets of one process share: the doors, the tailer, and who looks after all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from autotrader.core.live.doors import Doors
from autotrader.core.live.rules import Rules
from autotrader.core.live.tailer import Tailer
from autotrader.core.ops import measures
from autotrader.core.users.access import Access

logger = logging.getLogger(__name__)
TICK_S = 1.0


class Guest(Protocol):
    """A client that came in: a stream, or a page's socket."""

    access: Access

    def tick(self, now: float) -> None:
        """Once a second, with the loop's time."""

    def uncounted(self) -> int:
        """Events that it was sent since this was asked last."""

    def trusted(self, since: float) -> None:
        """Its login was good at this time."""

    def revoked(self) -> None:
        """Its login holds no more, or means something else now."""


class Hall:
    """One for each event loop."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.doors = Doors(self.rules)
        self.tailer = Tailer(self.rules)
        self.guests: set[Guest] = set()
        self._care: list[asyncio.Task[None]] = []

    @contextmanager
    def looked_after(self, guest: Guest) -> Iterator[None]:
        """The guest is ticked, and its login looked at again and again."""
        self.guests.add(guest)
        self._look_after()
        measures.stream_opened()
        try:
            yield
        finally:
            self.guests.discard(guest)
            measures.sent(guest.uncounted())
            measures.stream_closed()

    async def close(self) -> None:
        """End the tailer and the threads; for tests, as a server that ends takes them with it."""
        for task in self._care:
            task.cancel()
        await self.tailer.close()
        self.doors.close()

    def _look_after(self) -> None:
        """Two tasks for all guests, while there are any."""
        if not self._care or any(task.done() for task in self._care):
            for task in self._care:
                task.cancel()
            self._care = [asyncio.create_task(self._tick()), asyncio.create_task(self._recheck())]

    async def _tick(self) -> None:
        while self.guests:
            await asyncio.sleep(min(TICK_S, self.rules.keep_alive_s / 4))
            now = asyncio.get_running_loop().time()
            for guest in list(self.guests):
                try:
                    guest.tick(now)
                except Exception:
                    logger.exception("a stream could not be looked after")
            # At once for all: a counter that is shared with other processes costs more than to send an event.
            measures.sent(sum(guest.uncounted() for guest in self.guests))

    async def _recheck(self) -> None:
        while self.guests:
            await asyncio.sleep(self.rules.recheck_s)
            guests, now = list(self.guests), asyncio.get_running_loop().time()
            try:
                valid = await self.doors.still_valid({guest.access for guest in guests})
            except (
                Exception
            ) as error:  # whatever it is: nobody is sent off, and nobody is told an event until somebody could look
                logger.warning("logins of event streams could not be looked at: %s", error)
                continue
            for guest in guests:
                if guest.access in valid:
                    guest.trusted(now)
                else:
                    guest.revoked()
