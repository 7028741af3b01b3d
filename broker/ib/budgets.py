"""The limits of a real TWS as budgets with a clock for an argument: messages a second, and historical data."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

MESSAGES = 45  # a second, of the 50 that TWS allows
ORDER_RESERVE = 10  # of them, which data leaves free
SECOND = 1.0
HALVED_FOR = 60.0  # seconds after TWS has said that there were too many messages

HISTORY, HISTORY_WINDOW = 60, 600.0
SAME_REQUEST = 15.0
SERIES, SERIES_WINDOW = 5, 2.0  # fewer than six of one series
OPEN_HISTORIES = 50
PAUSE = 15.0  # seconds without a new history after TWS has complained of them
STRICT_FOR = 600.0  # seconds in which all bar sizes keep to the limits then
SMALL_BAR = 30  # seconds: up to here TWS enforces the limits itself


@dataclass(frozen=True, slots=True)
class History:
    """One historical request as the limits see it: the same contract, exchange and kind of data make a `series`.

    `bar_seconds` of its bars; `weight` 2 for BID_ASK, which counts twice.
    """

    identity: Hashable
    series: Hashable
    bar_seconds: int
    weight: int = 1


class Window:
    """What left within the last `span` seconds, with weights."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._left: deque[tuple[float, int]] = deque()

    def add(self, now: float, weight: int = 1) -> None:
        """Something leaves now."""
        self._left.append((now, weight))

    def used(self, now: float) -> int:
        """The weight of all that left within the span."""
        while self._left and now - self._left[0][0] >= self._span:
            self._left.popleft()
        return sum(weight for _, weight in self._left)

    def seen(self, now: float) -> int:
        """As `used`, from another thread."""
        return sum(weight for left_at, weight in list(self._left) if now - left_at < self._span)

    def delay(self, now: float, weight: int, limit: int) -> float:
        """Seconds until `weight` more fits under `limit`; infinite where it never does."""
        excess = self.used(now) + weight - limit
        if excess <= 0:
            return 0.0
        for left_at, freed in self._left:
            excess -= freed
            if excess <= 0:
                return max(left_at + self._span - now, 0.0)
        return math.inf


class MessageBudget:
    """Messages a second. What was granted counts from then on, and is not counted again when it leaves."""

    def __init__(self, limit: int = MESSAGES) -> None:
        self._limit = limit
        self._left = Window(SECOND)
        self._promised: deque[float] = deque()
        self._halved_until = -math.inf
        self.orders_waiting = 0

    def limit(self, now: float) -> int:
        """Messages that may leave in a second now."""
        return self._limit // 2 if now < self._halved_until else self._limit

    def seen(self, now: float) -> int:
        """Messages of the last second, with those that were promised room; from another thread."""
        return self._left.seen(now) + len(self._promised)

    def delay(self, now: float) -> float:
        """Seconds until one data request may leave; orders that wait go first."""
        if self.orders_waiting:
            return SECOND / self._limit
        return self.room_in(now, 1, max(self.limit(now) - ORDER_RESERVE, 1))

    def order_delay(self, now: float, messages: int) -> float:
        """Seconds until so many order messages may leave; a burst above the limit counts as the limit."""
        return self.room_in(now, min(messages, self.limit(now)), self.limit(now))

    def room_in(self, now: float, messages: int, limit: int) -> float:
        """Seconds until so many more fit under a limit."""
        self._forget(now)
        delay = self._left.delay(now, messages + len(self._promised), limit)
        return SECOND if math.isinf(delay) else delay

    def take(self, now: float) -> None:
        """Promise room to one message."""
        self._promised.append(now)

    def sent(self, now: float) -> None:
        """A message leaves."""
        if self._promised:
            self._promised.popleft()
        self._left.add(now)

    def violated(self, now: float) -> None:
        """TWS says that there were too many."""
        self._halved_until = now + HALVED_FOR

    def _forget(self, now: float) -> None:
        """A promise that was not used within a second will not be."""
        while self._promised and now - self._promised[0] >= SECOND:
            self._promised.popleft()


class HistoryLimits:
    """What historical requests have left, and how many wait for their answer."""

    def __init__(self) -> None:
        self._all = Window(HISTORY_WINDOW)
        self._same: dict[Hashable, float] = {}
        self._series: dict[Hashable, Window] = {}
        self._paused_until = self._strict_until = -math.inf
        self.open = 0

    def seen(self, now: float) -> int:
        """Weight of the last ten minutes; from another thread."""
        return self._all.seen(now)

    def delay(self, request: History, now: float, ahead: int = 0) -> float:
        """Seconds until the request may leave, with so many others before it; infinite until an open one ends."""
        if self.open >= OPEN_HISTORIES:
            return math.inf
        delays = [self._paused_until - now]
        if request.bar_seconds <= SMALL_BAR or now < self._strict_until:
            delays.append(self._all.delay(now, min(request.weight + ahead, HISTORY), HISTORY))
            delays.append(self._same.get(request.identity, -math.inf) + SAME_REQUEST - now)
            if request.series in self._series:
                delays.append(self._series[request.series].delay(now, request.weight, SERIES))
        return max(*delays, 0.0)

    def take(self, request: History, now: float) -> None:
        """The request leaves now."""
        self._tidy(now)
        self.open += 1
        self._all.add(now, request.weight)
        self._same[request.identity] = now
        self._series.setdefault(request.series, Window(SERIES_WINDOW)).add(now, request.weight)

    def violated(self, now: float) -> None:
        """TWS says that there were too many: wait a little, then keep to the limits with every bar size."""
        self._paused_until, self._strict_until = now + PAUSE, now + STRICT_FOR

    def _tidy(self, now: float) -> None:
        self._same = {key: at for key, at in self._same.items() if now - at < SAME_REQUEST}
        self._series = {key: window for key, window in self._series.items() if window.used(now)}


class HistoryRoom:
    """The limits as one request's budget."""

    def __init__(self, limits: HistoryLimits, request: History) -> None:
        self._limits = limits
        self._request = request

    def delay(self, now: float) -> float:
        """Seconds until the request may leave."""
        return self._limits.delay(self._request, now)

    def take(self, now: float) -> None:
        """The request leaves now."""
        self._limits.take(self._request, now)
