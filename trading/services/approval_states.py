"""The life of an approval: who may still be heard, when it is used, and what ends it with its order."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from trading.models import Approval
from trading.models.approval import ApprovalState
from trading.models.decision import DecisionState
from trading.models.order import OrderState
from trading.selectors.approvals import rows_of
from trading.selectors.ledger import ApprovalFacts
from trading.selectors.orders import is_told
from trading.services.decisions import decision_refuse
from trading.services.intents import digest_of, terms_of_orders
from trading.services.order_moves import order_move
from trading.services.rows import swap


class ApprovalRefused(AutoTraderError):
    """This word on this approval is not taken; the code says why, and nothing was sent."""

    code = "APPROVAL_REFUSED"
    status = 409


class ApprovalForbidden(ApprovalRefused):
    """This person may not say this, whatever becomes of the order."""

    code = "APPROVAL_FORBIDDEN"
    status = 403


class ApprovalUnknown(ApprovalRefused):
    """There is no such approval."""

    code = "APPROVAL_UNKNOWN"
    status = 404


# Code and sentence for an approval that waits for nobody any more.
ENDED = {
    ApprovalState.APPROVED: ("APPROVAL_GIVEN", "It is approved already; its order is on the way."),
    ApprovalState.USED: ("APPROVAL_USED", "It is used: its order has been sent, once."),
    ApprovalState.REJECTED: ("APPROVAL_REJECTED", "It was rejected."),
    ApprovalState.EXPIRED: ("APPROVAL_EXPIRED", "Its time is over; ask anew."),
    ApprovalState.VOID: ("APPROVAL_VOID", "It is void."),
}
EVENTS = {
    ApprovalState.APPROVED: EventType.APPROVAL_GIVEN,
    ApprovalState.USED: EventType.APPROVAL_USED,
    ApprovalState.REJECTED: EventType.APPROVAL_REJECTED,
    ApprovalState.EXPIRED: EventType.APPROVAL_EXPIRED,
    ApprovalState.VOID: EventType.APPROVAL_VOIDED,
}
_MOVES = {
    ApprovalState.PENDING: (ApprovalState.APPROVED, ApprovalState.REJECTED, ApprovalState.EXPIRED, ApprovalState.VOID),
    ApprovalState.APPROVED: (ApprovalState.USED, ApprovalState.EXPIRED, ApprovalState.VOID),
}


def refusal(approval: Approval) -> ApprovalRefused:
    """Why an approval that is not pending takes no word."""
    code, message = ENDED[ApprovalState(approval.state)]
    detail = f" {approval.reason}" if approval.reason else ""
    return ApprovalRefused(f"{message}{detail}", code=code, details={"state": approval.state})


def correlation_of(approval: Approval) -> str:
    """What joins everything that its cause led to."""
    if approval.request is not None:
        return str(approval.request.correlation_id)
    assert approval.decision is not None
    return approval.decision.execution.correlation_id


def locked(pk: int) -> Approval:
    """The row under its lock; raises ApprovalRefused where there is none."""
    # Only the row itself is locked: the outer joins of its nullable causes could not be.
    row = Approval.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if row is None:
        raise ApprovalUnknown(f"There is no approval {pk}.")
    return row


def is_unchanged(approval: Approval) -> bool:
    """True where the stored terms, and the rows written for them, still have the digest that was shown."""
    rows = rows_of(approval)
    texts = [digest_of(approval.terms), *([digest_of(terms_of_orders(rows))] if rows else [])]
    return all(hmac.compare_digest(text, approval.digest) for text in texts)


def refuse_told(approval: Approval) -> None:
    """Nobody's word changes what the broker has: raises ApprovalRefused where an older copy put the row back."""
    told = next((row for row in rows_of(approval) if is_told(row)), None)
    if told is not None:
        raise ApprovalRefused(
            f"The broker has {told} already; it was sent after this copy of the database was made.",
            code="APPROVAL_USED",
            details={"state": approval.state},
        )


def approval_move(
    approval: Approval, state: ApprovalState, *, cause: str, market_at: datetime | None, **changes: Any
) -> None:
    """One compare-and-swap and one Event; raises ApprovalRefused on a move that the graph lacks."""
    old = ApprovalState(approval.state)
    if state not in _MOVES.get(old, ()):
        raise refusal(approval)
    if state != ApprovalState.APPROVED:
        changes.setdefault("ended_at", system_now())
    swap(approval, state=state, **changes)
    approval_record(approval, EVENTS[state], old=old, cause=cause, market_at=market_at)


def approval_record(
    approval: Approval, kind: EventType, *, old: str, cause: str, market_at: datetime | None, **more: Any
) -> None:
    """The event with the exact terms."""
    audit.record(
        kind,
        f"approval:{approval.pk}",
        version=approval.version,
        old_state=old,
        new_state=approval.state,
        account=approval.account_id,
        cause=cause,
        market_at=market_at,
        document={"digest": approval.digest, "terms": approval.terms, "needed": approval.needed} | more,
    )


def approval_end(approval: Approval, state: ApprovalState, code: str, message: str, market_at: datetime | None) -> None:
    """Reject, expire or void it: its rows become REFUSED, its decision too; call inside `audit.recording()`."""
    reason = f"{code}: {message}"
    approval_move(approval, state, cause=reason, market_at=market_at, reason=reason[:2000])
    for order in rows_of(approval):
        if order.state in (OrderState.PENDING_APPROVAL, OrderState.APPROVED):
            order_move(order, OrderState.REFUSED, cause=reason, market_at=market_at, reason=reason[:2000])
    decision = approval.decision
    if decision is not None and decision.state == DecisionState.ALLOWED:
        decision_refuse(decision, code, message)


def approval_facts(approval: Approval, digest: str) -> ApprovalFacts:
    """What persons have said, beside the digest of the order that would be sent, for the control that judges it."""
    row = locked(approval.pk)
    yes = row.votes.filter(approve=True).count()
    return ApprovalFacts(row.state, row.digest, digest, row.expires_at, yes, row.needed)


def approval_use(approval: Approval, digest: str, market_now: datetime) -> None:
    """Spend it on the order with this digest, in the transaction that commits the order as SENDING.

    Raises ApprovalRefused where it is not approved, over, or was given for anything else.
    """
    row = locked(approval.pk)
    if row.state != ApprovalState.APPROVED:
        raise refusal(row)
    if market_now >= row.expires_at:
        raise ApprovalRefused(f"It was good until {row.expires_at}.", code="APPROVAL_EXPIRED")
    if not (hmac.compare_digest(row.digest, digest) and is_unchanged(row)):
        raise ApprovalRefused("The order is not the one that was approved.", code="APPROVAL_CHANGED")
    approval_move(row, ApprovalState.USED, cause="its order is being sent", market_at=market_now)
    approval.state, approval.version, approval.ended_at = row.state, row.version, row.ended_at
