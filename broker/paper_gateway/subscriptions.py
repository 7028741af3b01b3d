"""What one client asked to be kept informed of; all of it ends with its connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.paper_gateway.types import SymbolSpec
from broker.paper_gateway.wire.market_data import LIVE, Tick


@dataclass(slots=True)
class MarketDataLine:
    """A stream of quotes; `sent` holds the last tick of each kind, since only changes are sent."""

    spec: SymbolSpec
    sent: dict[tuple[int, int], Tick] = field(default_factory=dict)


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
    market_data_type: int = LIVE

    def forget_market_data(self) -> None:
        """As when the link to the broker came back with its data lost: every stream must be asked for anew."""
        self.market_data.clear()

    def need_a_clock(self) -> bool:
        """Whether something here changes by itself as time passes."""
        return bool(self.market_data or self.profit or self.profit_single)
