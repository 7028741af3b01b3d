"""The broker's cash against what our fills have cost and brought since a base point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from autotrader.core import audit
from autotrader.core.money import quantize_money
from autotrader.core.ops.pace import paced
from broker import types
from trading.models import Discrepancy, Fill, Reconciliation
from trading.models.discrepancy import DiscrepancyKind
from trading.services.discrepancies import discrepancy_open, discrepancy_settle

CENT = Decimal("0.01")
# TWS tells an account's values every three minutes; until then its cash may be older than its executions.
PATIENCE_S = 240.0
ADJUSTMENT = "adjust."  # begins the id of a fill that a person booked; no cash moved
SUBJECT = "cash"
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Expected:
    """The cash by our record; `note` says why it cannot be known, `through` is the newest fill in it."""

    cash: Decimal | None
    through: int
    note: str = ""


def cash_effect(side: str, quantity: Decimal, price: Decimal, commission: Decimal) -> Decimal:
    """What a fill of shares adds to the cash; negative where it costs."""
    value = quantity * price
    return (value if side == "SELL" else -value) - commission


def expected_cash(row: Reconciliation) -> Expected:
    """The base and the fills since, corrections taken back out; a pending commission or another currency ends it."""
    assert row.base_cash is not None
    fills = list(_since(row))
    through = max([row.base_fill, *(fill.pk for fill in fills)])
    current = [fill for fill in fills if not fill.superseded and not fill.exec_id.startswith(ADJUSTMENT)]
    strange = [fill for fill in fills if not _is_plain(fill, row.currency)]
    if strange:
        return Expected(None, through, f"{strange[0].order.instrument} moves cash in a way that is not computed here")
    if any(fill.commission is None for fill in current):
        return Expected(None, row.base_fill, "a commission is still to come")
    change = sum((_effect(fill) for fill in current), ZERO) - sum(map(_effect, _replaced(row, fills)), ZERO)
    return Expected(quantize_money(row.base_cash + change), through)


def _since(row: Reconciliation) -> Sequence[Fill]:
    found = Fill.objects.filter(account=row.account_id, pk__gt=row.base_fill).select_related("order__instrument")
    return list(found.order_by("pk"))


def _replaced(row: Reconciliation, fills: Sequence[Fill]) -> list[Fill]:
    """Fills within the base that a correction has taken out of it since: the last one before it of each id."""
    gone = []
    for root in {fill.exec_root for fill in fills if fill.correction > 1}:
        old = Fill.objects.filter(account=row.account_id, exec_root=root, pk__lte=row.base_fill, superseded=True)
        gone += list(old.order_by("-correction")[:1])
    return gone


def _effect(fill: Fill) -> Decimal:
    return cash_effect(fill.side, fill.quantity, fill.price, fill.commission or ZERO)


def _is_plain(fill: Fill, currency: str) -> bool:
    """Shares in the account's own currency; of a stranger's contract only the id may be known."""
    instrument = fill.order.instrument
    return instrument.sec_type == "STK" and instrument.currency == currency


class CashWatch:
    """A difference counts once it has stayed the same for as long as the broker may take to tell its cash."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience = timedelta(seconds=paced(patience_s))
        self._since: tuple[Decimal, datetime] | None = None

    def forget(self) -> None:
        """A new connection, or another account."""
        self._since = None

    def compare(self, found: types.Compared) -> None:
        """Keep what this look compared; raise or settle CASH."""
        with audit.acting(actor="broker"), audit.recording(point="cash_compared"):
            self._compare(found)

    def _compare(self, found: types.Compared) -> None:
        row, made = _row(found)
        if row.base_cash is None or (not made and row.currency != found.currency):
            row.base_cash, row.base_fill = found.cash, _newest_fill(found.account)
        row.currency, row.cash_note, row.expected_cash = found.currency, "", None
        if found.cash is None or row.base_cash is None:
            row.cash_note = "the broker has not said what cash there is"
        else:
            self._judge(row, found, found.cash)
        row.save()

    def _judge(self, row: Reconciliation, found: types.Compared, cash: Decimal) -> None:
        expected = expected_cash(row)
        row.expected_cash, row.cash_note = expected.cash, expected.note
        if expected.cash is None:
            self._since = None
            if expected.through > row.base_fill:  # nobody can say what these fills moved: begin anew behind them
                row.base_cash, row.base_fill = cash, expected.through
            return
        row.base_cash, row.base_fill = expected.cash, expected.through
        difference = cash - expected.cash
        if abs(difference) <= CENT:
            self._since = None
            _settle(found)
            return
        if self._since is None or self._since[0] != difference:
            self._since = (difference, found.started)
        if found.started - self._since[1] >= self._patience:
            _raise(found, cash, expected.cash)


def _row(found: types.Compared) -> tuple[Reconciliation, bool]:
    row = Reconciliation.objects.select_for_update(no_key=True).filter(account=found.account).first()
    made = row is None
    row = row or Reconciliation(account_id=found.account)
    row.at, row.market_at = found.started, found.market_now
    row.orders, row.executions, row.positions = found.orders, found.executions, len(found.positions)
    row.cash = None if found.cash is None else quantize_money(found.cash)
    return row, made


def _newest_fill(account_id: str) -> int:
    newest = Fill.objects.filter(account=account_id).order_by("-pk").first()
    return newest.pk if newest else 0


def _raise(found: types.Compared, cash: Decimal, expected: Decimal) -> Discrepancy:
    difference = f"{cash - expected:.2f}"
    return discrepancy_open(
        found.account,
        DiscrepancyKind.CASH,
        SUBJECT,
        detail=f"The broker's cash is {difference} {found.currency} off what our fills explain: a deposit, a fee, "
        "interest or a dividend, or a fill that was never told.",
        market_at=found.market_now,
        ours=f"{expected:.2f}",
        theirs=f"{cash:.2f}",
        blocking=False,
        document={"difference_in_cash": difference, "currency": found.currency},
        difference=difference,
    )


def _settle(found: types.Compared) -> None:
    cause = "cash is what our fills explain"
    discrepancy_settle(found.account, DiscrepancyKind.CASH, SUBJECT, cause=cause, market_at=found.market_now)


def cash_accept(account_id: str, difference: Decimal) -> None:
    """A person has explained the difference: the base moves by it. Call inside `audit.recording()`."""
    row = Reconciliation.objects.select_for_update(no_key=True).get(account=account_id)
    if row.base_cash is not None:
        Reconciliation.objects.filter(pk=row.pk).update(base_cash=row.base_cash + difference)
