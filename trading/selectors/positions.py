"""What a ledger holds, from fills alone."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Case, DecimalField, F, Sum, When

from autotrader.core.money import quantize_price
from broker.types import Position
from trading.models import Account, Fill, Instrument, Order, Strategy, Trade
from trading.models.order import LIVE, Role

ZERO = Decimal(0)
ONLY_ID = "CONID:"  # stands, with the id, in the exchange of a row of which only the broker's id is known
SIGNED = Case(When(side="BUY", then=F("quantity")), default=-F("quantity"), output_field=DecimalField())


def position_quantity(account: Account, strategy: Strategy | None, instrument: Instrument) -> Decimal:
    """Shares held by the strategy in the account; negative = short."""
    fills = Fill.objects.filter(
        account=account, order__strategy=strategy, order__instrument=instrument, superseded=False
    )
    total: Decimal | None = fills.aggregate(total=Sum(SIGNED))["total"]
    # SQLite adds floats: 0.1 + 0.2 - 0.3 is not 0 there.
    return quantize_price(total) if total else ZERO


def booked(account_id: str) -> dict[int, Decimal]:
    """What the account holds by all its fills, whoever sent the order, by con_id; negative = short."""
    contract = ("order__instrument__con_id", "order__instrument__exchange")
    fills = Fill.objects.filter(account_id=account_id, superseded=False).values_list(*contract)
    found: dict[int, Decimal] = {}
    for row_id, exchange, total in fills.annotate(total=Sum(SIGNED)).order_by():
        # The row of a stranger's contract gives its id to the one that is resolved later, but keeps its fills.
        con_id = int(exchange.removeprefix(ONLY_ID)) if exchange.startswith(ONLY_ID) else row_id
        if con_id:
            found[con_id] = quantize_price(found.get(con_id, ZERO) + total)
    return found


def open_trade(account: Account, strategy: Strategy | None, instrument: Instrument) -> Trade | None:
    """The trade that is open in this ledger, if any."""
    return Trade.objects.filter(account=account, strategy=strategy, instrument=instrument, state="OPEN").first()


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is at stake in the base currency: positions at their entry price, live entries at their limit."""

    positions: Decimal
    entries: Decimal
    open_entries: int
    instrument: Decimal

    @property
    def total(self) -> Decimal:
        """Positions and live entries together."""
        return self.positions + self.entries


def exposure(account: Account, instrument: Instrument) -> Exposure:
    """Read positions and open entries as one picture; call it under the account's lock where it decides."""
    held = [
        (trade.instrument_id, trade.open_quantity * trade.entry_price)
        for trade in Trade.objects.filter(account=account, state="OPEN")
    ]
    entries = [
        (order.instrument_id, (order.quantity - order.filled_quantity) * (order.limit_price or ZERO))
        for order in Order.objects.filter(account=account, role=Role.ENTRY, state__in=LIVE)
    ]
    return Exposure(
        positions=sum((value for _, value in held), ZERO),
        entries=sum((value for _, value in entries), ZERO),
        open_entries=len(entries),
        instrument=sum((value for key, value in held + entries if key == instrument.pk), ZERO),
    )


def holdings(account_id: str) -> list[Position]:
    """What the account's open trades hold, by our own record: average cost is the entry price without commissions."""
    trades = Trade.objects.filter(account_id=account_id, state="OPEN").select_related("instrument")
    return [
        Position(
            account=account_id,
            con_id=trade.instrument.con_id or 0,
            symbol=trade.instrument.symbol,
            quantity=trade.open_quantity if trade.side == "long" else -trade.open_quantity,
            average_cost=trade.entry_price,
            market_price=None,
            market_value=None,
            unrealized_pnl=None,
            realized_pnl=None,
        )
        for trade in trades.order_by("instrument__symbol", "id")
    ]
