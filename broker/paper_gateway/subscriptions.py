"""What one client asked to be kept informed of; all of it ends with its connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from broker.paper_gateway.enquiries import Enquiries
from broker.paper_gateway.types import SymbolSpec
from broker.paper_gateway.wire.market_data import LIVE, Level, Tick

if TYPE_CHECKING:
    from broker.paper_gateway.history import TickKind


@dataclass(slots=True)
class Stream:
    """Market data of one contract; `silent` while another session has them."""

    spec: SymbolSpec
    silent: bool = field(default=False, kw_only=True)


@dataclass(slots=True)
class MarketDataLine(Stream):
    """Quotes. `asked` is the type of market data in force at the request, `answered` the one that is sent.

    `sent` holds the last tick of each kind, since only changes are sent, and `page` the last page they came from.
    """

    request_id: bytes
    asked: int
    generic: frozenset[int] = frozenset()
    answered: int | None = None
    sent: dict[int, bytes] = field(default_factory=dict)
    page: tuple[Tick, ...] | None = None
    halted: bool = False


@dataclass(slots=True)
class BarStream(Stream):
    """Bars as they form: `since` is the start of the newest one sent, `last` its text.

    `printed` is the time of the newest price they hold: without a newer one there is nothing to look for.
    """

    bar_size: str
    what: str
    use_rth: bool
    date_format: int
    since: datetime
    last: bytes = b""
    printed: datetime | None = None

    def has_news(self, printed: datetime) -> bool:
        """Whether the market has moved on since this was asked before."""
        is_new, self.printed = printed != self.printed, printed
        return is_new


@dataclass(slots=True)
class TickStream(Stream):
    """Single ticks: `number` is the kind on the wire, `since` when the newest one sent happened."""

    kind: TickKind
    number: int
    since: datetime


@dataclass(slots=True)
class Book(Stream):
    """Market depth: the levels as they were last sent, by position and side."""

    rows: int
    smart: bool
    sent: dict[tuple[int, int], Level] = field(default_factory=dict)


@dataclass(slots=True)
class Subscriptions:
    """All standing requests of a session, by request id where there is one."""

    account_updates: bool = False
    positions: bool = False
    account_updates_multi: set[int] = field(default_factory=set)
    positions_multi: set[int] = field(default_factory=set)
    summaries: dict[int, frozenset[str]] = field(default_factory=dict)
    profit: set[int] = field(default_factory=set)
    profit_single: dict[int, int] = field(default_factory=dict)
    market_data: dict[int, MarketDataLine] = field(default_factory=dict)
    kept_bars: dict[int, BarStream] = field(default_factory=dict)
    real_time_bars: dict[int, BarStream] = field(default_factory=dict)
    ticks: dict[int, TickStream] = field(default_factory=dict)
    books: dict[int, Book] = field(default_factory=dict)
    market_data_type: int = LIVE
    enquiries: Enquiries = field(default_factory=Enquiries)

    def forget_market_data(self) -> None:
        """As when the link to the broker came back with its data lost: every stream must be asked for anew."""
        for streams in (self.market_data, self.kept_bars, self.real_time_bars, self.ticks, self.books):
            streams.clear()

    def repeat_quotes(self) -> None:
        """As when data come back that a client has missed: all of each line is sent again, not only what changes."""
        for line in self.market_data.values():
            line.sent.clear()
            line.page = None
