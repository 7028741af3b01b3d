"""An account's equity over a time: its curve, the time-weighted return and the drawdown, from snapshots alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from autotrader.core.money import quantize_price

MOST_POINTS = 500
BUCKETS = MOST_POINTS // 4  # each keeps its first, lowest, highest and last point
ZERO, ONE = Decimal(0), Decimal(1)
Why = Literal["NO_SNAPSHOTS", "ONE_SNAPSHOT", "EQUITY_NOT_POSITIVE"]
WHY: dict[Why, str] = {
    "NO_SNAPSHOTS": "no snapshot of the account's equity lies in this time",
    "ONE_SNAPSHOT": "one snapshot is no time to measure over",
    "EQUITY_NOT_POSITIVE": "a return cannot be told where equity was not above zero",
}


class Seen(NamedTuple):
    """One snapshot: equity at a time of the market, and the money that came (or went) since the one before it."""

    at: datetime
    equity: Decimal
    flow: Decimal


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """One point of the curve; `index` is the growth of 1 since the start, without flows (null where it has none)."""

    at: datetime
    equity: Decimal
    index: Decimal | None


@dataclass(frozen=True, slots=True)
class Drawdown:
    """Losses from the highest index before, as fractions; `recovered_at` is null while the greatest one lasts.

    Times are null where there was none.
    """

    greatest: Decimal
    peak_at: datetime | None
    trough_at: datetime | None
    recovered_at: datetime | None
    current: Decimal
    current_peak_at: datetime | None


@dataclass(frozen=True, slots=True)
class EquityFigures:
    """Amounts in the account's base currency; `change` is what was gained: end less start less flows.

    `why` is a code of why the return and the drawdown are null.
    """

    start: Decimal | None
    start_at: datetime | None
    end: Decimal | None
    end_at: datetime | None
    flows: Decimal | None
    change: Decimal | None
    time_weighted_return: Decimal | None
    drawdown: Drawdown | None
    snapshots: int
    points: tuple[EquityPoint, ...]
    why: Why | None


UNKNOWN = EquityFigures(None, None, None, None, None, None, None, None, 0, (), "NO_SNAPSHOTS")


def equity_figures(seen: Iterable[Seen]) -> EquityFigures:
    """Walk the snapshots once, oldest first; the flow of the first one came before the time that is measured."""
    walk = _Walk()
    for one in seen:
        walk.take(one)
    return walk.figures()


class _Walk:
    """What must be kept of the snapshots so far: nothing grows with their number."""

    def __init__(self) -> None:
        self._first: Seen | None = None
        self._last: Seen | None = None
        self._index: Decimal | None = ONE
        self._flows = ZERO
        self._count = 0
        self._curve = Curve()
        self._depth = _Depth()

    def take(self, seen: Seen) -> None:
        """The next snapshot."""
        if self._last is None:
            self._first = seen
            self._index = ONE if seen.equity > 0 else None
        else:
            self._flows += seen.flow
            self._grow(self._last.equity, seen)
        self._last = seen
        self._count += 1
        if self._index is not None:
            self._depth.take(seen.at, self._index)
        self._curve.take(EquityPoint(seen.at, seen.equity, self._index))

    def _grow(self, before: Decimal, seen: Seen) -> None:
        """Chain the growth since the snapshot before; what came or went is taken out first."""
        grown = seen.equity - seen.flow
        if self._index is None or before <= 0 or grown <= 0 or seen.equity <= 0:
            self._index = None
        else:
            self._index *= grown / before

    def figures(self) -> EquityFigures:
        """The figures of all that was taken."""
        if self._first is None or self._last is None:
            return UNKNOWN
        why: Why | None = "EQUITY_NOT_POSITIVE" if self._index is None else None
        if self._count == 1:
            why = "ONE_SNAPSHOT"
        return EquityFigures(
            start=self._first.equity,
            start_at=self._first.at,
            end=self._last.equity,
            end_at=self._last.at,
            flows=self._flows,
            change=None if self._count == 1 else self._last.equity - self._first.equity - self._flows,
            time_weighted_return=None if why or self._index is None else quantize_price(self._index - 1),
            drawdown=None if why else self._depth.told(),
            snapshots=self._count,
            points=tuple(_rounded(point) for point in self._curve.points()),
            why=why,
        )


def _rounded(point: EquityPoint) -> EquityPoint:
    return EquityPoint(point.at, point.equity, None if point.index is None else quantize_price(point.index))


class _Depth:
    """The greatest loss from the highest index before, and that of now."""

    def __init__(self) -> None:
        self._peak = ZERO
        self._peak_at: datetime | None = None
        self._now = self._greatest = ZERO
        self._span: tuple[datetime, datetime] | None = None  # highest and lowest point of the greatest loss
        self._recovered_at: datetime | None = None

    def take(self, at: datetime, index: Decimal) -> None:
        """The next index."""
        if index >= self._peak:
            if self._span is not None and self._recovered_at is None and self._peak_at == self._span[0]:
                self._recovered_at = at
            self._peak, self._peak_at = index, at
        self._now = ONE - index / self._peak
        if self._now > self._greatest and self._peak_at is not None:
            self._greatest, self._span, self._recovered_at = self._now, (self._peak_at, at), None

    def told(self) -> Drawdown:
        """The figures so far."""
        peak_at, trough_at = self._span or (None, None)
        return Drawdown(
            greatest=quantize_price(self._greatest),
            peak_at=peak_at,
            trough_at=trough_at,
            recovered_at=self._recovered_at,
            current=quantize_price(self._now),
            current_peak_at=self._peak_at if self._now else None,
        )


@dataclass(slots=True)
class _Bucket:
    """Neighbouring points, of which four are kept."""

    first: EquityPoint
    lowest: EquityPoint
    highest: EquityPoint
    last: EquityPoint
    count: int

    def join(self, other: _Bucket) -> None:
        """Take in the bucket that follows."""
        if other.lowest.equity < self.lowest.equity:
            self.lowest = other.lowest
        if other.highest.equity > self.highest.equity:
            self.highest = other.highest
        self.last = other.last
        self.count += other.count


class Curve:
    """Thins a curve of any length to at most `MOST_POINTS` points, with its extremes, its beginning and its end."""

    def __init__(self) -> None:
        self._all: list[EquityPoint] | None = []
        self._buckets: list[_Bucket] = []
        self._width = 1

    def take(self, point: EquityPoint) -> None:
        """The next point, in the order of time."""
        if self._all is not None:
            self._all.append(point)
            if len(self._all) > MOST_POINTS:
                self._all = None
        one = _Bucket(point, point, point, point, 1)
        if self._buckets and self._buckets[-1].count < self._width:
            self._buckets[-1].join(one)
            return
        if len(self._buckets) == BUCKETS:
            self._halve()
        self._buckets.append(one)

    def _halve(self) -> None:
        """Join neighbours: half the buckets, each twice as wide."""
        for left, right in zip(self._buckets[::2], self._buckets[1::2], strict=False):
            left.join(right)
        self._buckets = self._buckets[::2]
        self._width *= 2

    def points(self) -> Iterator[EquityPoint]:
        """What is left of the curve, in the order of time, no point twice."""
        if self._all is not None:
            yield from self._all
            return
        for bucket in self._buckets:
            inner = sorted((bucket.lowest, bucket.highest), key=lambda point: point.at)
            told: list[EquityPoint] = []
            for point in (bucket.first, *inner, bucket.last):
                if all(point is not other for other in told):
                    told.append(point)
            yield from told
