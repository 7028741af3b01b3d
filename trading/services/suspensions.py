"""Suspending a strategy: a control stops its entries until a person resumes it; its exits and stops go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from trading.models import Decision, Strategy

PERMISSION = "trading.resume_strategy"
REPEATED = "TOO_MANY_ORDERS_TODAY"


def strategy_suspend(strategy_id: int, reason: str, *, market_at: datetime | None, account: str = "") -> bool:
    """Stop the strategy's entries; True where it was not suspended before. Call inside `audit.recording()`, so that
    it is suspended in the same transaction in which the refusal is kept."""
    row = Strategy.objects.select_for_update(no_key=True).get(pk=strategy_id)
    if row.suspended_at is not None:
        return False
    row.suspended_at, row.suspended_reason = system_now(), reason[:2000]
    _save(row)
    _record(row, EventType.STRATEGY_SUSPENDED, reason, market_at, account)
    return True


def suspend_repeated(decision: Decision, codes: Sequence[str]) -> None:
    """Suspend the strategy whose decision was refused because all its entries of the day are sent; else nothing."""
    if REPEATED not in codes:
        return
    most = decision.strategy.risk_profile.max_orders_per_day
    reason = f"{REPEATED}: its {most} entries of the exchange's day are sent, and it wanted another"
    strategy_suspend(decision.strategy_id, reason, market_at=decision.market_at, account=decision.account_id)


def strategy_resume(strategy: Strategy, *, actor: str, reason: str) -> Strategy:
    """Let the strategy enter again: the entries of the day are counted anew from now on.

    Raises Invalid without a reason, Conflict where it is not suspended (any more).
    """
    if not reason.strip():
        raise Invalid("Say why the strategy may trade again.", code="REASON_NEEDED")
    with audit.acting(actor=actor), audit.recording():
        row = Strategy.objects.select_for_update(no_key=True).get(pk=strategy.pk)
        if row.suspended_at is None:
            raise Conflict(f"{row} is not suspended.", code="NOT_SUSPENDED")
        row.suspended_at, row.suspended_reason, row.resumed_at = None, "", system_now()
        _save(row)
        _record(row, EventType.STRATEGY_RESUMED, reason.strip(), None, "")
    return row


def _save(row: Strategy) -> None:
    row.version += 1
    row.save(update_fields=["suspended_at", "suspended_reason", "resumed_at", "version"])


def _record(row: Strategy, kind: EventType, cause: str, market_at: datetime | None, account: str) -> None:
    suspended = row.suspended_at is not None
    audit.record(
        kind,
        f"strategy:{row.pk}",
        version=row.version,
        old_state="running" if suspended else "suspended",
        new_state="suspended" if suspended else "running",
        account=account,
        cause=cause,
        market_at=market_at,
        document={"strategy": row.name, "suspended_at": row.suspended_at, "resumed_at": row.resumed_at},
    )
