"""The rows that a ledger is made of: what is held, what may still fill, and what left of late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from autotrader.core.money import quantize_money
from trading.models import Account, Fill, Instrument, Order, OrderChange, Strategy, Trade
from trading.models.order import AT_BROKER, LIVE, Role

ZERO = Decimal(0)
DAY = timedelta(days=1)
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
    side: str
    order_type: str
    quantity: Decimal
    limit_price: Decimal | None
    instrument_id: int
    strategy_id: int | None
    market_at: datetime
    created_at: datetime


class Filled(NamedTuple):
    """A fill of an entry or of a protective stop; `time` is the exchange's."""

    order_id: int
    order__role: str
    order__strategy_id: int | None
    order__instrument_id: int
    quantity: Decimal
    price: Decimal
    time: datetime


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


@dataclass(frozen=True, slots=True)
class Stake:
    """Positions at their entry price, and live entries at what they may still cost, in the base currency.

    `total` and `instrument` hold both, `reserved` the entries alone, `entries` their number; `held`: any position.
    """

    total: Decimal
    instrument: Decimal
    entries: int
    reserved: Decimal
    held: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """One look at an account: what works, what left of late, what was filled of late, what is held."""

    working: list[Working]
    recent: list[Recent]
    filled: list[Filled]
    held: list[Held]

    def stake(self, instrument: Instrument) -> Stake:
        """What is at stake in the account, and in this instrument."""
        entries = [(row.instrument_id, entry_value(row, self.working)) for row in self.working if row.role == "entry"]
        values = [(row.instrument_id, row.open_quantity * row.entry_price) for row in self.held] + entries
        return Stake(
            total=sum((value for _, value in values), ZERO),
            instrument=sum((value for key, value in values if key == instrument.pk), ZERO),
            entries=len(entries),
            reserved=sum((value for _, value in entries), ZERO),
            held=bool(self.held),
        )

    def bought_since(self, since: datetime) -> Decimal:
        """What entries have cost since a market time, in the base currency; short sales count alike."""
        entries = [row for row in self.filled if row.order__role == Role.ENTRY and row.time > since]
        return quantize_money(sum((row.quantity * row.price for row in entries), ZERO))


def rows_read(
    account: Account,
    strategy: Strategy | None,
    instrument: Instrument,
    market_now: datetime,
    day_began: datetime,
    group: str = "",
) -> Rows:
    """Read an account for an order of this strategy and instrument; rows of `group` count for nothing.

    "Of late" is the last 24 hours, and the exchange's day.
    """
    since = min(day_began, market_now - DAY)
    return Rows(
        working=working_rows(account, group),
        recent=recent_rows(account, strategy.pk if strategy else None, instrument, since, group),
        filled=filled_rows(account, since),
        held=held_rows(account),
    )


# What is the same in every look is built once: a queryset that is never run itself, only narrowed.
@cache
def _working() -> QuerySet[Order, Any]:
    return Order.objects.filter(state__in=LIVE).order_by("id").values_list(*Working._fields)


@cache
def _recent() -> QuerySet[Order, Any]:
    rows = Order.objects.filter(parent=None).exclude(state__in=NOT_SENT)
    return rows.order_by("id").values_list(*Recent._fields)


@cache
def _filled() -> QuerySet[Fill, Any]:
    rows = Fill.objects.filter(superseded=False, order__role__in=(Role.ENTRY, Role.STOP))
    return rows.order_by().values_list(*Filled._fields)


@cache
def _held() -> QuerySet[Trade, Any]:
    return Trade.objects.filter(state="OPEN").order_by().values_list(*Held._fields)


@cache
def _changes() -> QuerySet[OrderChange, Any]:
    return OrderChange.objects.filter(kind="modify").order_by().values_list("market_at", "created_at")


def working_rows(account: Account, group: str) -> list[Working]:
    """Every live order of the account but those of `group`."""
    rows = map(Working._make, _working().filter(account=account))
    return [row for row in rows if not group or row.group != group]


def recent_rows(
    account: Account, strategy_id: int | None, instrument: Instrument, since: datetime, group: str
) -> list[Recent]:
    """What the strategy sent, and what anybody sent in the instrument, since a market time, but for `group`.

    A bracket is its entry here. External orders are among them.
    """
    concerns = Q(strategy_id=strategy_id) | Q(instrument=instrument)
    rows = map(Recent._make, _recent().filter(concerns, account=account, market_at__gte=since))
    return [row for row in rows if not group or row.group != group]


def filled_rows(account: Account, since: datetime) -> list[Filled]:
    """The current fills of entries and of protective stops since an exchange's time."""
    return [Filled._make(row) for row in _filled().filter(account=account, time__gte=since)]


def changes_sent(account: Account, strategy: Strategy | None, since: datetime) -> list[datetime]:
    """When each change of price or quantity after `since` left, by the market's clock; a cancel is none."""
    late = Q(market_at__gt=since) | Q(market_at=None, created_at__gt=since)
    rows = _changes().filter(late, order__account=account, order__strategy=strategy)
    return [market_at or created_at for market_at, created_at in rows]


def held_rows(account: Account) -> list[Held]:
    """The open positions of the account."""
    return [Held._make(row) for row in _held().filter(account=account)]


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
