"""How many messages a second may leave: TWS allows 50, a paper gateway any number; orders go before data."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

REAL_LIMIT = 45
ORDER_RESERVE = 10
WINDOW = 1.0


class Pacer:
    """Counts what left within the last second and makes callers wait for room. `limit` None = no limit.

    Data requests leave `ORDER_RESERVE` messages of each second free and wait while an order waits.
    """

    def __init__(self, limit: int | None, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._left: deque[float] = deque()
        self._orders_waiting = 0
        self.order_frames = 0

    def note(self, *, is_order: bool) -> None:
        """One message leaves now."""
        self.order_frames += is_order
        if self._limit is not None:
            self._left.append(self._clock())

    async def room_for_data(self) -> None:
        """Wait until one data request may leave."""
        while self._limit is not None and (delay := self._data_delay(self._limit)) > 0:
            await asyncio.sleep(delay)

    async def room_for_orders(self, messages: int) -> None:
        """Wait until so many order messages may leave; a burst above a whole second's budget counts as one second."""
        if self._limit is None:
            return
        self._orders_waiting += 1
        try:
            while (delay := self._delay(min(messages, self._limit), self._limit)) > 0:
                await asyncio.sleep(delay)
        finally:
            self._orders_waiting -= 1

    def _data_delay(self, limit: int) -> float:
        if self._orders_waiting:
            return WINDOW / limit
        return self._delay(1, limit - ORDER_RESERVE)

    def _delay(self, messages: int, limit: int) -> float:
        now = self._clock()
        while self._left and now - self._left[0] >= WINDOW:
            self._left.popleft()
        excess = len(self._left) + messages - limit
        return 0.0 if excess <= 0 else self._left[excess - 1] + WINDOW - now
