"""The order's life as a pure function of its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from autotrader.core.audit.event_types import EventType
from trading.models import Order
from trading.models.order import OrderState as S

WORKING_WORDS = frozenset({"PreSubmitted", "Submitted", "PendingSubmit", "PendingCancel", "ApiPending"})
CANCELLED_WORDS = frozenset({"Cancelled", "ApiCancelled"})
# The broker's last words: an order that has heard one works no more, whatever an older report still says.
FINAL_WORDS = CANCELLED_WORDS | {"Filled"}
BY_PERSON = "person"  # in `missing`: a person has looked at the broker
ENDED = frozenset({S.CANCELLED, S.REJECTED, S.EXPIRED, S.ABSENT})

# From a state at the broker, proof may lead to any other; what ended may only be overtaken by a fill or a bust.
_PROOF = frozenset(
    {
        S.SUBMITTED,
        S.ACCEPTED,
        S.PARTIALLY_FILLED,
        S.FILLED,
        S.CANCELLED,
        S.REJECTED,
        S.EXPIRED,
        S.UNKNOWN,
        S.ABSENT,
    }
)
GRAPH: dict[S, frozenset[S]] = {
    S.DRAFT: frozenset({S.REFUSED, S.PENDING_APPROVAL, S.APPROVED}),
    S.PENDING_APPROVAL: frozenset({S.APPROVED, S.REFUSED}),
    S.APPROVED: frozenset({S.SENDING, S.SIMULATED, S.REFUSED}),
    S.SENDING: _PROOF,
    S.SUBMITTED: _PROOF,
    S.ACCEPTED: _PROOF,
    S.PARTIALLY_FILLED: _PROOF,
    S.UNKNOWN: _PROOF,
    S.FILLED: frozenset({S.PARTIALLY_FILLED, S.CANCELLED}),
    S.CANCELLED: frozenset({S.FILLED, S.PARTIALLY_FILLED}),
    S.EXPIRED: frozenset({S.FILLED, S.PARTIALLY_FILLED}),
    S.REJECTED: frozenset({S.FILLED, S.PARTIALLY_FILLED, S.ACCEPTED}),
    S.ABSENT: frozenset({S.FILLED, S.PARTIALLY_FILLED, S.ACCEPTED, S.CANCELLED}),
    S.REFUSED: frozenset(),
    S.SIMULATED: frozenset(),
}
EVENT_OF: dict[S, EventType] = {
    S.REFUSED: EventType.ORDER_REFUSED,
    S.PENDING_APPROVAL: EventType.ORDER_PENDING_APPROVAL,
    S.APPROVED: EventType.ORDER_APPROVED,
    S.SENDING: EventType.ORDER_SENDING,
    S.SUBMITTED: EventType.ORDER_PLACED,
    S.ACCEPTED: EventType.ORDER_ACCEPTED,
    S.PARTIALLY_FILLED: EventType.ORDER_PARTIALLY_FILLED,
    S.FILLED: EventType.ORDER_FILLED,
    S.CANCELLED: EventType.ORDER_CANCELLED,
    S.REJECTED: EventType.ORDER_REJECTED,
    S.EXPIRED: EventType.ORDER_EXPIRED,
    S.UNKNOWN: EventType.ORDER_UNKNOWN,
    S.ABSENT: EventType.ORDER_ABSENT,
    S.SIMULATED: EventType.ORDER_SIMULATED,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that decides the state of an order that was, or may have been, sent."""

    state: S
    quantity: Decimal
    filled: Decimal
    broker_quantity: Decimal | None
    broker_status: str
    rejected: bool
    submission: str
    missing: str
    expired: bool


def evidence_of(order: Order, filled: Decimal, market_at: datetime) -> Evidence:
    """Gather what the row and its fills say."""
    return Evidence(
        state=S(order.state),
        quantity=order.quantity,
        filled=filled,
        broker_quantity=order.broker_quantity,
        broker_status=order.broker_status,
        rejected=order.rejected,
        submission=order.submission_state,
        missing=order.missing,
        expired=bool(
            order.tif == "DAY"
            and order.expires_at
            and market_at >= order.expires_at
            and order.cancel_requested_at is None
        ),
    )


def derive(evidence: Evidence) -> S:
    """The state that the evidence proves; fills weigh most, then the broker's word, then our own record."""
    working_size = min(evidence.quantity, evidence.broker_quantity or evidence.quantity)
    if evidence.filled >= evidence.quantity:
        return S.FILLED
    if evidence.broker_status == "Filled":
        if 0 < evidence.filled >= working_size:
            return S.FILLED
        if evidence.state in (S.FILLED, S.CANCELLED):  # a bust: what it took back will not be filled again
            return S.CANCELLED
    if evidence.broker_status in CANCELLED_WORDS:
        return S.EXPIRED if evidence.expired else S.CANCELLED
    if evidence.rejected:
        return S.REJECTED
    if evidence.missing:
        return _by_absence(evidence)
    if evidence.filled > 0:
        return S.PARTIALLY_FILLED
    if evidence.broker_status in WORKING_WORDS or evidence.broker_status == "Filled":  # its fills are on their way
        return S.ACCEPTED
    return _by_our_record(evidence)


def _by_absence(evidence: Evidence) -> S:
    """Two books of a new connection prove that it never was there; a person may say that it is there no more."""
    if evidence.missing == BY_PERSON:
        return S.CANCELLED if evidence.filled or evidence.broker_status else S.ABSENT
    return S.ABSENT if evidence.missing == "proven" and not evidence.filled else S.UNKNOWN


def _by_our_record(evidence: Evidence) -> S:
    if evidence.submission == "VOID":
        return S.ABSENT
    return S.SUBMITTED if evidence.submission == "SENT" else evidence.state


def may_move(old: S, new: S) -> bool:
    """True where the graph has this edge."""
    return new in GRAPH[old]
