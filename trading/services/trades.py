"""Trades are built from fills alone; the same fills always give the same trades."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from django.db.models import Case, QuerySet, Value, When

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.money import quantize_money, quantize_price
from trading.models import Fill, Order, Trade
from trading.models.order import Role
from trading.services.rows import swap

ZERO = Decimal(0)


class BookedFill(NamedTuple):
    """A fill as far as trades are made of it; a ledger of many fills is walked once for each new one."""

    pk: int
    exec_root: str
    side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    time: datetime
    trade_id: int | None
    decision_id: int | None


@dataclass(slots=True)
class RoundTrip:
    """One round trip while it is built; quantities are positive, commissions are shared by quantity."""

    side: str
    opening: BookedFill
    fills: list[BookedFill] = field(default_factory=list)
    entered: Decimal = ZERO
    exited: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    commission: Decimal = ZERO

    @property
    def open_quantity(self) -> Decimal:
        """What is still held."""
        return self.entered - self.exited

    def take(self, fill: BookedFill, quantity: Decimal) -> None:
        """Book `quantity` of the fill, as entry or exit by its side."""
        part = quantity / fill.quantity
        self.commission += (fill.commission or ZERO) * part
        if (fill.side == "BUY") == (self.side == "long"):
            self.entered += quantity
            self.entry_value += quantity * fill.price
        else:
            self.exited += quantity
            self.exit_value += quantity * fill.price
        self.fills.append(fill)

    def pnl(self) -> Decimal | None:
        """Realised profit after all commissions; None while something is held."""
        if self.open_quantity:
            return None
        gross = self.exit_value - self.entry_value
        return quantize_money((gross if self.side == "long" else -gross) - self.commission)


def round_trips(fills: Iterable[BookedFill]) -> list[RoundTrip]:
    """Walk the fills of one ledger in order; a fill that turns the position ends one trip and begins the next."""
    trips: list[RoundTrip] = []
    current: RoundTrip | None = None
    for fill in fills:
        left = fill.quantity  # 0 where a correction has taken the whole fill back
        if left > 0 and current is not None and (fill.side == "BUY") != (current.side == "long"):
            closing = min(left, current.open_quantity)
            current.take(fill, closing)
            left -= closing
            if not current.open_quantity:
                current = None
        if left > 0:
            if current is None:
                current = RoundTrip("long" if fill.side == "BUY" else "short", fill)
                trips.append(current)
            current.take(fill, left)
    return trips


class Ledger(NamedTuple):
    """Whose fills make trades together, by the ids; `strategy` is None for what no strategy sent."""

    account: str
    strategy: int | None
    instrument: int


def ledger_of(order: Order) -> Ledger:
    """The ledger that an order's fills belong to."""
    return Ledger(order.account_id, order.strategy_id, order.instrument_id)


def ledger_trips(ledger: Ledger) -> list[RoundTrip]:
    """The round trips that the ledger's current fills make, in order."""
    return round_trips(_ledger_fills(ledger))


def ledger_trades(ledger: Ledger) -> dict[str, Trade]:
    """The ledger's rows by the execution that opened them."""
    rows = Trade.objects.filter(account=ledger.account, strategy=ledger.strategy, instrument=ledger.instrument)
    return {trade.opening_exec_id: trade for trade in rows.order_by("id")}


def _ledger_fills(ledger: Ledger) -> list[BookedFill]:
    """In the order of time, whatever the order of arrival; in one second an entry comes before what closes it."""
    fills = _current_fills().filter(
        account=ledger.account, order__strategy=ledger.strategy, order__instrument=ledger.instrument
    )
    return [BookedFill(*row) for row in fills]


@cache
def _current_fills() -> QuerySet[Fill, Any]:
    """What is the same in every look; never run itself, only narrowed."""
    closes = Case(When(order__role=Role.ENTRY, then=Value(0)), default=Value(1))
    names = ("pk", "exec_root", "side", "quantity", "price", "commission", "time", "trade_id", "order__decision_id")
    return Fill.objects.filter(superseded=False).order_by("time", closes, "exec_root").values_list(*names)


def trades_rebuild(ledger: Ledger, *, market_at: datetime) -> list[Trade]:
    """Rebuild the trades of a ledger from its fills; call inside `audit.recording()`."""
    trips, known = ledger_trips(ledger), ledger_trades(ledger)
    keys = {trip.opening.exec_root for trip in trips}
    for key, trade in known.items():
        if key not in keys:
            _withdraw(trade, market_at)
    trades = [_save(trip, known.get(trip.opening.exec_root), ledger, market_at) for trip in trips]
    _link_fills(trips, trades)
    return trades


def _link_fills(trips: Sequence[RoundTrip], trades: Sequence[Trade]) -> None:
    """A fill that ends one trip and begins the next belongs to the later one."""
    owner = {fill: trade for trip, trade in zip(trips, trades, strict=True) for fill in trip.fills}
    moved: dict[int, list[int]] = {}
    for fill, trade in owner.items():
        if fill.trade_id != trade.pk:
            moved.setdefault(trade.pk, []).append(fill.pk)
    for pk, fills in moved.items():
        Fill.objects.filter(pk__in=fills).update(trade=pk)


def _withdraw(trade: Trade, market_at: datetime) -> None:
    """An earlier fill came late, or a correction took the opening one back: the fills make other trades now."""
    old, trade.state, trade.version = trade.state, "", trade.version + 1
    _record(trade, EventType.TRADE_CHANGED, old, market_at)
    trade.delete()


def trade_values(trip: RoundTrip) -> dict[str, object]:
    """What the row of a round trip says."""
    closed = not trip.open_quantity
    return {
        "side": trip.side,
        "state": "CLOSED" if closed else "OPEN",
        "quantity": trip.entered,
        "open_quantity": trip.open_quantity,
        "entry_price": quantize_price(trip.entry_value / trip.entered),
        "exit_price": quantize_price(trip.exit_value / trip.exited) if trip.exited else None,
        "commission": quantize_money(trip.commission),
        "pnl": trip.pnl(),
        "opened_at": trip.opening.time,
        "closed_at": trip.fills[-1].time if closed else None,
    }


def _save(trip: RoundTrip, trade: Trade | None, ledger: Ledger, market_at: datetime) -> Trade:
    values = trade_values(trip)
    if trade is None:
        trade = Trade.objects.create(
            account_id=ledger.account,
            strategy_id=ledger.strategy,
            instrument_id=ledger.instrument,
            decision_id=trip.opening.decision_id,
            opening_exec_id=trip.opening.exec_root,
            **values,
        )
        _record(trade, EventType.TRADE_OPENED, "", market_at)
        if trade.state == "CLOSED":
            _record(trade, EventType.TRADE_CLOSED, "OPEN", market_at)
    elif any(getattr(trade, name) != value for name, value in values.items()):
        old = trade.state
        swap(trade, **values)
        closed = trade.state == "CLOSED" and old != "CLOSED"
        _record(trade, EventType.TRADE_CLOSED if closed else EventType.TRADE_CHANGED, old, market_at)
    return trade


def _record(trade: Trade, kind: EventType, old: str, market_at: datetime) -> None:
    audit.record(
        kind,
        f"trade:{trade.pk}",
        version=trade.version,
        old_state=old,
        new_state=trade.state,
        account=trade.account_id,
        market_at=market_at,
        document={"side": trade.side, "quantity": trade.quantity, "open": trade.open_quantity, "pnl": trade.pnl},
    )
