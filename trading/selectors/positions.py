"""What a ledger holds, from fills alone."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from django.db.models import Case, DecimalField, F, QuerySet, Sum, When

from autotrader.core.money import quantize_price
from broker.types import Position
from trading.models import Account, Fill, Instrument, Strategy, Trade

ZERO = Decimal(0)
ONLY_ID = "CONID:"  # stands, with the id, in the exchange of a row of which only the broker's id is known
SIGNED = Case(When(side="BUY", then=F("quantity")), default=-F("quantity"), output_field=DecimalField())


def position_quantity(account: Account, strategy: Strategy | None, instrument: Instrument) -> Decimal:
    """Shares held by the strategy in the account; negative = short."""
    fills = _by_side().filter(account=account, order__strategy=strategy, order__instrument=instrument)
    # SQLite adds floats: 0.1 + 0.2 - 0.3 is not 0 there.
    return quantize_price(sum((total if side == "BUY" else -total for side, total in fills), ZERO))


@cache
def _by_side() -> QuerySet[Fill, Any]:
    """What is the same in every look; never run itself, only narrowed."""
    return Fill.objects.filter(superseded=False).order_by().values_list("side").annotate(total=Sum("quantity"))


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
