"""What the exchange asks of a market: its symbols, sessions, bars, the last price, and the path prices took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from ..types import Bar, SessionHours
from .columns import Columns


@dataclass(frozen=True, slots=True)
class Split:
    """`ratio` new shares for each old one; `day` is the first session at the new price."""

    symbol: str
    day: date
    ratio: Decimal


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a symbol at an instant, adjusted as of it; `time` is the last print, prices may be NaN."""

    time: datetime
    last: float
    open: float
    high: float
    low: float
    volume: float
    prior_close: float | None
    minute_volume: float


@dataclass(frozen=True, slots=True)
class PathBar:
    """One bar to be played by a set clock, in the prices of its own day; times in epoch seconds."""

    symbol: str
    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class PriceSource(Protocol):
    """One market. Nothing it answers lies after the instant `now` that the caller passes."""

    def has(self, symbol: str) -> bool: ...

    def session(self, symbol: str, day: date) -> SessionHours:
        """The regular hours of a day."""

    def trading(self, symbol: str, day: date) -> SessionHours:
        """All hours of a day in which there is trading."""

    def is_open(self, symbol: str, moment: datetime) -> bool:
        """Whether there is trading then, in regular hours or outside them."""

    def bars(
        self,
        symbol: str,
        *,
        bar_size: str,
        duration: str,
        end: datetime,
        now: datetime,
        live: bool,
        use_rth: bool = True,
    ) -> Sequence[Bar]:
        """Raises GatewayError 321 or 162. `live` adds the bar in progress when `end` is `now`."""

    def seconds(self, symbol: str, after: datetime, until: datetime, *, use_rth: bool = False) -> Columns:
        """The one-second bars from `after` to `until`; raises GatewayError 162 where prices are not that fine."""

    def snapshot(self, symbol: str, now: datetime) -> Snapshot | None: ...

    def path_bars(self, symbol: str, after: datetime, until: datetime) -> Sequence[PathBar]:
        """The finest bars of the set clock that end after `after` and start before `until`."""

    def splits(self, symbol: str) -> Sequence[Split]: ...


class TickingSource(PriceSource, Protocol):
    """A market whose price is known at every second, so that a running clock can follow it."""

    def price_at(self, symbol: str, moment: datetime) -> Decimal: ...

    def points(self, symbol: str, after: datetime, until: datetime) -> Sequence[tuple[int, Decimal]]:
        """The corners of the price path in (after, until], the last one at `until`; straight lines between them."""
