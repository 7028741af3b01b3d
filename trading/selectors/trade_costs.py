"""Which trades have a result that is final: of shares, with the commission of every fill known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Q

from trading.models import Fill, Trade

# What one unit of a future or an option is worth needs its multiplier, which no row keeps. Of a contract that only a
# stranger's order named, not even the type is known.
SHARES = ("STK", "ETF")
# Asked for beside the others, so that a page without trades costs what one with trades does.
NO_TRADE = 0
COLUMNS = ("strategy_id", "instrument_id", "instrument__sec_type")


def fees_pending(rows: Sequence[Mapping[str, Any]]) -> Mapping[int, int]:
    """How many fills of each trade have no commission yet, by the trade's id, in one query.

    A fill that ends one trade and begins the next is linked to the later one; it costs both.
    """
    keys = {row["id"] for row in rows}
    closed = {_end(row): row["id"] for row in rows if row["closed_at"] is not None}
    turning = Q(account__in={end[0] for end in closed}, time__in={end[3] for end in closed})
    waiting = Fill.objects.filter(superseded=False, commission__isnull=True).order_by()
    names = ("account_id", "order__strategy_id", "order__instrument_id", "time", "trade_id")
    found: Counter[int] = Counter()
    for *end, trade in waiting.filter(Q(trade__in=[*keys, NO_TRADE]) | turning).values_list(*names):
        found.update({trade, closed.get(tuple(end))} & keys)
    return found


@dataclass(frozen=True, slots=True)
class TradeResult:
    """A trade and how far its result is known; `fees_pending` fills have no commission yet."""

    trade: Trade
    fees_pending: int

    @property
    def is_reckoned(self) -> bool:
        """False of anything but shares."""
        return self.trade.instrument.sec_type in SHARES

    @property
    def pnl(self) -> Decimal | None:
        """The final result; None while the trade is open, a commission is to come, or it is not reckoned."""
        return self.trade.pnl if self.is_reckoned and not self.fees_pending else None


def results_of(trades: Sequence[Trade]) -> list[TradeResult]:
    """Each with how far its result is known, in one query; the instruments are read already."""
    names = ("id", "account_id", "strategy_id", "instrument_id", "closed_at")
    waiting = fees_pending([{name: getattr(trade, name) for name in names} for trade in trades])
    return [TradeResult(trade, waiting.get(trade.pk, 0)) for trade in trades]


def _end(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["account_id"], row["strategy_id"], row["instrument_id"], row["closed_at"]
