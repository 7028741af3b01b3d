"""The rows that a ledger is made of: what is held, what may still fill, and what left of late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Q

from trading.models import Account, Instrument, Order, Trade
from trading.models.order import AT_BROKER, LIVE, Role

ZERO = Decimal(0)
# What never left, and never will, is no message, no repetition and no double.
NOT_SENT = ("DRAFT", "REFUSED", "SIMULATED", "ABSENT")


class Working(NamedTuple):
    """An order whose life is not over, as far as a ledger is made of it."""

    order_ref: str
    group: str
    role: str
    state: str
    side: str
    quantity: Decimal
    broker_quantity: Decimal | None
    filled_quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    instrument_id: int
    strategy_id: int | None

    @property
    def left(self) -> Decimal:
        """What may still fill."""
        return max((self.broker_quantity or self.quantity) - self.filled_quantity, ZERO)


class Recent(NamedTuple):
    """An order that left, or was about to, of late."""

    order_ref: str
    group: str
    role: str
    parent_id: int | None
    side: str
    order_type: str
    quantity: Decimal
    limit_price: Decimal | None
    instrument_id: int
    strategy_id: int | None
    market_at: datetime
    created_at: datetime


class Held(NamedTuple):
    """A position by its open trade."""

    instrument_id: int
    open_quantity: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True)
class Wanted:
    """The order that is judged; `limit_price` is the worst it may trade at, None = any. `group`: its own rows' group,
    where it was written already."""

    side: str
    order_type: str
    quantity: Decimal
    limit_price: Decimal | None
    group: str


def working_rows(account: Account, group: str) -> list[Working]:
    """Every live order of the account but those of `group`."""
    rows = Order.objects.filter(account=account, state__in=LIVE).order_by("id").values_list(*Working._fields)
    return [row for row in map(Working._make, rows) if not group or row.group != group]


def recent_rows(
    account: Account, strategy_id: int | None, instrument: Instrument, since: datetime, group: str
) -> list[Recent]:
    """What the strategy sent, and what anybody sent in the instrument, since a market time, but for `group`.

    A bracket is its entry here. External orders are among them.
    """
    rows = Order.objects.filter(account=account, market_at__gte=since, parent=None).exclude(state__in=NOT_SENT)
    rows = rows.filter(Q(strategy_id=strategy_id) | Q(instrument=instrument))
    found = map(Recent._make, rows.order_by("id").values_list(*Recent._fields))
    return [row for row in found if not group or row.group != group]


def held_rows(account: Account) -> list[Held]:
    """The open positions of the account."""
    trades = Trade.objects.filter(account=account, state="OPEN")
    return [Held._make(row) for row in trades.order_by("id").values_list(*Held._fields)]


def entry_value(entry: Working, legs: Sequence[Working]) -> Decimal:
    """What an entry may still cost: at its limit, or without one at the highest price that its bracket names."""
    if entry.limit_price is not None:
        return entry.left * entry.limit_price
    prices = [leg.limit_price or leg.stop_price or ZERO for leg in legs if leg.group == entry.group]
    return entry.left * max(prices, default=ZERO)


def crosses(working: Working, wanted: Wanted) -> bool:
    """True where `wanted` could trade with this order of ours.

    With a limit: where the prices meet. With a stop: where the stop goes off no later than the market comes to
    `wanted`'s limit, so that it would sell into (or buy from) it. An order without any price meets every other.
    """
    if working.side == wanted.side or working.state not in AT_BROKER or not working.left:
        return False
    if wanted.limit_price is None or (working.limit_price is None and working.stop_price is None):
        return working.stop_price is None
    sign = 1 if wanted.side == "BUY" else -1
    meets = working.limit_price is not None and sign * (wanted.limit_price - working.limit_price) >= 0
    fires = working.stop_price is not None and sign * (working.stop_price - wanted.limit_price) >= 0
    return meets or fires


def is_twin(row: Recent, wanted: Wanted) -> bool:
    """True where the order of `row` is the same as `wanted`: side, quantity and price, in its instrument."""
    if row.role in (Role.STOP, Role.TARGET) or row.side != wanted.side or row.quantity != wanted.quantity:
        return False
    # The limit of a market order is the worst price that was reckoned with, and no term of the order.
    limit = None if wanted.order_type == "MKT" else wanted.limit_price
    return row.order_type == wanted.order_type and row.limit_price == limit
