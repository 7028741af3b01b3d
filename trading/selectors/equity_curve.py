"""An account's equity over a time: its curve, the time-weighted return and the drawdown, from snapshots alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from autotrader.core.money import quantize_price

MOST_POINTS = 500
BUCKETS = MOST_POINTS // 4  # each keeps its first, lowest, highest and last point
ZERO, ONE = Decimal(0), Decimal(1)
INDEX_PLACES = Decimal("1e-12")  # beyond them two ways to the same height may differ
Why = Literal["NO_SNAPSHOTS", "ONE_SNAPSHOT", "EQUITY_NOT_POSITIVE"]
WHY: dict[Why, str] = {
    "NO_SNAPSHOTS": "no snapshot of the account's equity lies in this time",
    "ONE_SNAPSHOT": "one snapshot is no time to measure over",
    "EQUITY_NOT_POSITIVE": "a return cannot be told where equity was not above zero",
}


Raw = tuple[datetime, Decimal, Decimal | None]  # time, equity, index


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
    """Losses from the highest index before: 1 − index / highest index so far; `recovered_at` is null while the greatest
    one lasts, times are null where there was none."""

    greatest: Decimal
    peak_at: datetime | None
    trough_at: datetime | None
    recovered_at: datetime | None
    current: Decimal
    current_peak_at: datetime | None


@dataclass(frozen=True, slots=True)
class EquityFigures:
    """Amounts in the account's base currency, from the last snapshot before the time (or the first in it) to the last.

    V are the equities of the snapshots, F the money that came (+) or went (−) before each, which is told by a change
    while nothing was held. `flows` = sum of F. `change` = end − start − flows: what was gained.
    `time_weighted_return` = product of (V[i] − F[i]) / V[i−1], less 1.
    `why` says why the return and the drawdown are null.
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
    """The figures of these snapshots, oldest first."""
    walk = EquityWalk()
    for one in seen:
        walk.take(*one)
    return walk.figures()


class EquityWalk:
    """Walks snapshots, oldest first, and may be told of later ones at any time; what it keeps does not grow with them.

    The flow of the first one came before the time that is measured.
    """

    def __init__(self) -> None:
        self._first: tuple[datetime, Decimal] | None = None
        self._last_at: datetime | None = None
        self._last = self._flows = ZERO
        self._scale: Decimal | None = None  # what the index is to the equity, until money comes or goes
        self._count = 0
        self._curve = Curve()
        self._depth = _Depth()

    def take(self, at: datetime, equity: Decimal, flow: Decimal) -> None:
        """The next snapshot."""
        if self._first is None:
            self._first = (at, equity)
            self._scale = ONE / equity if equity > 0 else None
        elif flow:
            self._flows += flow
            self._rescale(equity, equity - flow)
        elif equity <= 0:
            self._scale = None
        self._last_at, self._last = at, equity
        self._count += 1
        index = None
        if self._scale is not None:
            index = (equity * self._scale).quantize(INDEX_PLACES)
            self._depth.take(at, index)
        self._curve.take((at, equity, index))

    def _rescale(self, equity: Decimal, grown: Decimal) -> None:
        """Money came or went: the index grows as the equity would have without it."""
        if self._scale is not None:
            self._scale = self._scale * grown / equity if equity > 0 and grown > 0 else None

    def figures(self) -> EquityFigures:
        """The figures of all that was taken."""
        if self._first is None:
            return UNKNOWN
        (start_at, start), scale = self._first, self._scale
        why: Why | None = "ONE_SNAPSHOT" if self._count == 1 else "EQUITY_NOT_POSITIVE" if scale is None else None
        return EquityFigures(
            start=start,
            start_at=start_at,
            end=self._last,
            end_at=self._last_at,
            flows=self._flows,
            change=None if self._count == 1 else self._last - start - self._flows,
            time_weighted_return=None if why or scale is None else quantize_price(self._last * scale - 1),
            drawdown=None if why else self._depth.told(),
            snapshots=self._count,
            points=tuple(_point(one) for one in self._curve.points()),
            why=why,
        )


def _point(one: Raw) -> EquityPoint:
    at, equity, index = one
    return EquityPoint(at, equity, None if index is None else quantize_price(index))


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
            self._now = ZERO
            return
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


class _Bucket:
    """Neighbouring points, of which four are kept."""

    __slots__ = ("count", "first", "highest", "last", "lowest")

    def __init__(self, point: Raw) -> None:
        self.first = self.lowest = self.highest = self.last = point
        self.count = 1

    def take(self, point: Raw) -> None:
        """The point that follows."""
        if point[1] < self.lowest[1]:
            self.lowest = point
        elif point[1] > self.highest[1]:
            self.highest = point
        self.last = point
        self.count += 1

    def join(self, other: _Bucket) -> None:
        """The bucket that follows."""
        if other.lowest[1] < self.lowest[1]:
            self.lowest = other.lowest
        if other.highest[1] > self.highest[1]:
            self.highest = other.highest
        self.last = other.last
        self.count += other.count

    def points(self) -> list[Raw]:
        """Those that are kept, in the order of time, none twice."""
        inner = sorted((self.lowest, self.highest), key=lambda point: point[0])
        told: list[Raw] = []
        for point in (self.first, *inner, self.last):
            if all(point is not other for other in told):
                told.append(point)
        return told


class Curve:
    """Thins a curve of any length to at most `MOST_POINTS` points, with its extremes, its beginning and its end."""

    def __init__(self) -> None:
        self._all: list[Raw] | None = []
        self._buckets: list[_Bucket] = []
        self._width = 1

    def take(self, point: Raw) -> None:
        """The next point, in the order of time."""
        if self._all is not None:
            self._all.append(point)
            if len(self._all) > MOST_POINTS:
                self._all = None
        if self._buckets and self._buckets[-1].count < self._width:
            self._buckets[-1].take(point)
            return
        if len(self._buckets) == BUCKETS:
            self._halve()
        self._buckets.append(_Bucket(point))

    def _halve(self) -> None:
        """Join neighbours: half the buckets, each twice as wide."""
        for left, right in zip(self._buckets[::2], self._buckets[1::2], strict=False):
            left.join(right)
        self._buckets = self._buckets[::2]
        self._width *= 2

    def points(self) -> list[Raw]:
        """What is left of the curve, in the order of time."""
        if self._all is not None:
            return list(self._all)
        return [point for bucket in self._buckets for point in bucket.points()]
