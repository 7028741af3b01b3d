"""Asking a person, hearing each person once, and ending what nobody answered in time."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from autotrader.core.money import quantize_money, quantize_price
from autotrader.core.users.models import User
from broker import types
from broker.errors import BrokerError
from broker.port import Broker
from trading.models import Approval, ApprovalVote
from trading.models.approval import ApprovalState
from trading.models.order import OrderState
from trading.models.strategy import Mode
from trading.risk.approval import persons
from trading.selectors.approvals import overdue, rows_of
from trading.services.approval_states import (
    ApprovalForbidden,
    ApprovalRefused,
    ApprovalUnknown,
    approval_end,
    approval_move,
    approval_record,
    correlation_of,
    is_unchanged,
    locked,
    refusal,
    refuse_told,
)
from trading.services.dispatches import dispatch_queue
from trading.services.executions import Work
from trading.services.intents import Intent, NoRoomLeft, digest_of, legs_of, terms_of
from trading.services.order_moves import order_move
from trading.services.orders import intent_rows
from trading.services.rows import swap

PERMISSION = "trading.approve_order"
WHAT_IF = (
    "init_margin_before", "init_margin_change", "init_margin_after", "maint_margin_before", "maint_margin_change",
    "maint_margin_after", "equity_before", "equity_change", "equity_after", "commission", "min_commission",
    "max_commission", "commission_currency", "warning", "time",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Needed:
    """Why a person must be asked, and how many."""

    cause: str
    persons: int


def approval_needed(intent: Intent) -> Needed | None:
    """Who has to say yes to this order: by the strategy's mode, by a value of its profile or the desk's, or because
    the key that asks may only propose; then the cause names the key.

    A value that is not known counts as above every limit. What does not leave asks nobody.
    """
    count = persons(intent.proposal)
    if not count:
        return None
    if intent.proposal.must_be_approved:
        return Needed(intent.request.client[:40] if intent.request is not None else "scope", count)
    return Needed("mode" if intent.proposal.ledger.mode == Mode.APPROVE and count == 1 else "value", count)


def what_if(broker: Broker, intent: Intent) -> dict[str, Any]:
    """The broker's margins and commission of the first leg, JSON-safe; why there are none where it gave none."""
    leg = legs_of(intent)[0]
    assert intent.instrument.con_id is not None
    asked = types.OrderLeg(
        order_ref="what-if",
        role=leg["role"].value,
        side=leg["side"],
        quantity=leg["quantity"],
        order_type=leg["order_type"],
        tif=leg["tif"],
        limit_price=leg["limit_price"],
    )
    try:
        answer = broker.preview(types.PreviewOrder(intent.account.pk, intent.instrument.con_id, asked))
    except BrokerError as error:
        return {"available": False, "reason": f"{error.reason}: {error.message}"}
    shown = {name: getattr(answer, name) for name in WHAT_IF}
    return {"available": True} | {name: None if value is None else str(value) for name, value in shown.items()}


def approval_request(work: Work, intent: Intent, needed: Needed, what_if: dict[str, Any], asked_by: str) -> Approval:
    """Commit the question: the exact order with its digest, and an entry's rows as PENDING_APPROVAL; durable.

    Raises NoRoomLeft where the order would not be admitted now, or no market price is known, and EpochLost.
    """
    price, value = intent.proposal.price, intent.proposal.value
    if price is None or value is None:
        raise NoRoomLeft("Without a market price nobody can be asked to approve.", code="NO_QUOTE")
    minutes = timedelta(minutes=intent.proposal.limits.approval_minutes)
    until = intent.market_now + minutes
    terms = terms_of(intent)
    with audit.recording(durable=True, point="approval_ask"):
        rows = intent_rows(work, intent, OrderState.PENDING_APPROVAL)
        approval = Approval.objects.create(
            account=intent.account,
            instrument=intent.instrument,
            order=rows[0] if rows else None,
            decision=intent.decision,
            request=intent.request,
            digest=digest_of(terms),
            terms=terms,
            cause=needed.cause,
            needed=needed.persons,
            value=quantize_money(value),
            quantity=intent.quantity,
            price=quantize_price(price),
            reward_ratio=intent.proposal.reward_ratio,
            rationale=_why(intent),
            what_if=what_if,
            requested_by=asked_by,
            requested_at=system_now(),
            market_at=intent.market_now,
            expires_at=min(until, intent.expires_at) if intent.expires_at else until,
        )
        approval_record(
            approval,
            EventType.APPROVAL_REQUESTED,
            old="",
            cause=needed.cause,
            market_at=intent.market_now,
            value=approval.value,
            price=approval.price,
            expires_at=approval.expires_at,
        )
    return approval


@dataclass(frozen=True, slots=True)
class Word:
    """What one person says, and of what: `digest` is that of the order this person was shown."""

    user: User
    approve: bool
    digest: str
    reason: str = ""


def _why(intent: Intent) -> str:
    """What speaks for the order: the decision's words, or those of whoever asked for it."""
    if intent.decision is not None:
        return intent.decision.rationale
    return str(intent.request.body.get("reason") or "") if intent.request is not None else ""


def approval_vote(pk: int, word: Word, *, account: str, market_now: datetime | None) -> Approval:
    """Hear one person, once; the last yes that is needed approves the order and queues its sending, in one transaction.

    `account` is the one the desk trades now, `market_now` the market's time; both are needed for a yes. Raises
    ApprovalRefused: APPROVAL_FORBIDDEN, _UNKNOWN, _USED, _GIVEN, _REJECTED, _EXPIRED, _VOID, _FOREIGN, _CHANGED,
    _ALREADY_VOTED, _OWN_REQUEST, _REASON_NEEDED.
    """
    if not word.user.has_perm(PERMISSION):
        raise ApprovalForbidden(f"This needs the permission {PERMISSION}.")
    with audit.acting(actor=word.user.get_username()):
        approval = Approval.objects.select_related("decision__execution__cycle", "request").filter(pk=pk).first()
        if approval is None:
            raise ApprovalUnknown(f"There is no approval {pk}.")
        with audit.acting(correlation_id=correlation_of(approval)):
            _expire_if_over(approval, market_now)
            return _hear(approval, word, account, market_now)


def _expire_if_over(approval: Approval, market_now: datetime | None) -> None:
    """What is touched after its time ends for good, in a transaction of its own: the refusal must not undo it."""
    if market_now is None or approval.state != ApprovalState.PENDING or market_now < approval.expires_at:
        return
    _expired(approval.pk, market_now)


def _hear(approval: Approval, word: Word, account: str, market_now: datetime | None) -> Approval:
    correlation_id = correlation_of(approval)
    with audit.recording(durable=True, point="approval_vote"):
        row = locked(approval.pk)
        if row.state != ApprovalState.PENDING:
            raise refusal(row)
        _check_word(row, word)
        if word.approve:
            _check_yes(row, word, account, market_now)
        _keep(row, word, market_now)
        if not word.approve:
            why = f"{word.user.get_username()}: {word.reason}"
            approval_end(row, ApprovalState.REJECTED, "APPROVAL_REJECTED", why, market_now)
        elif row.votes.filter(approve=True).count() >= row.needed:
            _approve(row, market_now, correlation_id)
    return row


def _check_word(approval: Approval, word: Word) -> None:
    if not hmac.compare_digest(word.digest, approval.digest) or not is_unchanged(approval):
        raise ApprovalRefused("The order is not the one you were shown; look at it again.", code="APPROVAL_CHANGED")
    if not word.approve and not word.reason.strip():
        raise ApprovalRefused("Say why you reject it.", code="APPROVAL_REASON_NEEDED")
    if approval.votes.filter(user=word.user).exists():
        raise ApprovalRefused("You have given your word on it already.", code="APPROVAL_ALREADY_VOTED")


def _check_yes(approval: Approval, word: Word, account: str, market_now: datetime | None) -> None:
    if market_now is None:
        raise ApprovalRefused("The market's time is not known; approve again later.", code="APPROVAL_TIME_UNKNOWN")
    if account != approval.account_id:
        raise ApprovalForbidden(
            f"It is an order of {approval.account_id}; the desk trades {account or 'no account'}.",
            code="APPROVAL_FOREIGN",
        )
    refuse_told(approval)
    if approval.needed > 1 and was_asked_by(approval.requested_by, word.user):
        raise ApprovalForbidden(
            "You asked for this order; where two persons approve, both must be others.", code="APPROVAL_OWN_REQUEST"
        )
    if not approval.what_if.get("available") and not word.reason.strip():
        raise ApprovalRefused(
            "The broker's margin and commission are not known; write why you approve without them.",
            code="APPROVAL_REASON_NEEDED",
        )


def was_asked_by(requested_by: str, user: User) -> bool:
    """Whether this person asked, also by a key of theirs ("ann by key 1a2b3c4d"); a name has no space in it."""
    name, asked = user.get_username()[:80], requested_by.removeprefix("user:")
    return asked == name or asked.startswith(f"{name} ")


def _keep(approval: Approval, word: Word, market_now: datetime | None) -> None:
    try:
        with transaction.atomic():
            ApprovalVote.objects.create(
                approval=approval,
                user=word.user,
                approve=word.approve,
                digest=word.digest,
                reason=word.reason[:2000],
                at=system_now(),
                market_at=market_now,
            )
    except IntegrityError as error:
        raise ApprovalRefused("You have given your word on it already.", code="APPROVAL_ALREADY_VOTED") from error
    swap(approval)
    said = "yes" if word.approve else "no"
    approval_record(
        approval, EventType.APPROVAL_VOTED, old=approval.state, cause=said, market_at=market_now, reason=word.reason
    )


def _approve(approval: Approval, market_now: datetime | None, correlation_id: str) -> None:
    assert market_now is not None
    by = ", ".join(vote.user.get_username() for vote in approval.votes.select_related("user"))
    approval_move(approval, ApprovalState.APPROVED, cause=f"approved by {by}", market_at=market_now)
    for order in rows_of(approval):
        order_move(order, OrderState.APPROVED, cause=f"approved by {by}", market_at=market_now)
    dispatch_queue(approval=approval, correlation_id=correlation_id)


def approval_expire(approval: Approval, market_now: datetime) -> None:
    """End one whose time is over; call inside `audit.recording()`."""
    message = f"nobody's word was used before {approval.expires_at:%Y-%m-%d %H:%M:%S %Z}"
    approval_end(approval, ApprovalState.EXPIRED, "APPROVAL_EXPIRED", message, market_now)


def approvals_expire(account: str, market_now: datetime) -> int:
    """End what is open in this account and over at this market time; the number that ended here."""
    ended = 0
    for approval in overdue(account, market_now):
        with audit.acting(actor="sweep", correlation_id=correlation_of(approval)):
            ended += _expired(approval.pk, market_now)
    return ended


def _expired(pk: int, market_now: datetime) -> bool:
    try:
        with audit.recording(point="approval_expiry"):
            approval_expire(locked(pk), market_now)
    except (Conflict, ApprovalRefused):
        return False  # another has used or ended it meanwhile: then that is what became of it
    return True
