"""What of a ledger's position the account does not hold any more, or somebody else is closing already.

The ledgers of an account share one position at the broker. Whoever sells in TWS books to no strategy's ledger, so a
ledger alone would let an exit sell what is gone, and open a short position.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django.db.models import Q, Sum

from autotrader.core.money import quantize_price
from trading.models import Account, Discrepancy, Fill, Instrument, Order, Strategy
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import Role
from trading.selectors.discrepancies import AGREED, SYSTEM, latest
from trading.selectors.ledger_rows import Working
from trading.selectors.positions import ONLY_ID, SIGNED

ZERO = Decimal(0)
CLOSERS = (Role.EXIT, Role.EXTERNAL)
Ledgers = dict[tuple[int | None, bool], Decimal]  # by strategy and whether an order outside the desk; negative = short


def closed_elsewhere(
    account: Account,
    strategy: Strategy | None,
    instrument: Instrument,
    side: str,
    held: Decimal,
    working: Sequence[Working],
) -> Decimal:
    """How much less than `held` (the ledger's, negative = short) an exit of this side may close, in shares, >= 0.

    What the desk's other ledgers hold on the opposite side stays theirs: two strategies may be long and short of one
    contract. `working`: the account's live orders in the instrument.
    """
    sign = 1 if side == "SELL" else -1
    if held * sign <= 0:
        return ZERO
    own = strategy.pk if strategy else None
    ledgers = _ledgers(account, instrument)
    in_account = sign * (sum(ledgers.values(), ZERO) + _unbooked(account, instrument))
    opposite = sum(
        (max(-sign * quantity, ZERO) for (key, outside), quantity in ledgers.items() if key != own and not outside),
        ZERO,
    )
    # Closers of this ledger are told apart: the controls count those themselves.
    others = [row for row in working if row.role in CLOSERS and row.side == side and row.strategy_id != own]
    closing = sum((row.left for row in others), ZERO)
    return quantize_price(max(held * sign - in_account - opposite + closing, ZERO))


def _ledgers(account: Account, instrument: Instrument) -> Ledgers:
    """By fills alone. The contract may have a second row, from before it was resolved."""
    same = Q(order__instrument=instrument)
    if instrument.con_id:
        same |= Q(order__instrument__exchange=f"{ONLY_ID}{instrument.con_id}")
    fills = Fill.objects.filter(same, account=account, superseded=False).order_by()
    found: Ledgers = {}
    rows = fills.values_list("order__strategy_id", "order__role").annotate(total=Sum(SIGNED))
    for strategy_id, role, total in rows:
        key = (strategy_id, strategy_id is None and role == Role.EXTERNAL)
        found[key] = quantize_price(found.get(key, ZERO) + total)
    return found


def _unbooked(account: Account, instrument: Instrument) -> Decimal:
    """What the broker was last found to hold beyond all fills, negative = less, and nobody has booked since."""
    row = latest(account.pk, DiscrepancyKind.POSITION, f"position:{instrument.con_id}") if instrument.con_id else None
    if row is None or AGREED in row.document or row.resolved_by == SYSTEM or _is_booked(row):
        return ZERO
    return Decimal(str(row.document.get("excess", 0)))


def _is_booked(row: Discrepancy) -> bool:
    return Order.objects.filter(account=row.account_id, group=f"ADJ{row.pk}").exists()
