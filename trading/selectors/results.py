"""What a ledger has gained by its own fills: realised, and open at the market's prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading.models import Account, Fill, Trade

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Result:
    """Amounts in the base currency, after commissions, since the ledger began."""

    realized: Decimal
    unrealized: Decimal


def result_of(account: Account, marks: Mapping[int, Decimal | None]) -> Result | None:
    """The ledger's result with its holdings at `marks`, by con_id; None where one has no price."""
    fills = Fill.objects.filter(account=account, superseded=False).values_list(
        "side", "quantity", "price", "commission"
    )
    cash = ZERO
    for side, quantity, price, commission in fills:
        cash += (-quantity if side == "BUY" else quantity) * price - (commission or ZERO)
    value = unrealized = ZERO
    for trade in Trade.objects.filter(account=account, state="OPEN").select_related("instrument"):
        mark = marks.get(trade.instrument.con_id or 0)
        if mark is None or not mark.is_finite():
            return None
        held = trade.open_quantity if trade.side == "long" else -trade.open_quantity
        value += held * mark
        unrealized += held * (mark - trade.entry_price)
    return Result(realized=cash + value - unrealized, unrealized=unrealized)
