"""Running a dispatch: look the order up, look at the market anew, let every control speak again, then send it once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from autotrader.core import audit
from autotrader.core.errors import AutoTraderError
from autotrader.core.ops.pace import paced
from broker import gates
from broker.port import TABLE, Broker
from trading.models import Approval, Dispatch
from trading.models.approval import ApprovalState
from trading.models.order import OrderState
from trading.selectors.approvals import OPEN, approval_of, claimable_dispatches, sent_of, with_details
from trading.services.approval_states import ApprovalRefused, approval_end, locked, refusal
from trading.services.approvals import approval_needed, approval_request, what_if
from trading.services.approved_intents import intent_of_approval
from trading.services.dispatches import dispatch_claim, dispatch_end, dispatch_wait
from trading.services.executions import EpochLost, epoch_hold, lease_extend, worker_name
from trading.services.intents import Intent
from trading.services.orders import entry_write, exit_write
from trading.services.proposals import look
from trading.services.request_intents import request_intent
from trading.services.sending import await_word, exit_send, place

logger = logging.getLogger(__name__)
# With these an approved order waits for the next wake, as long as its approval is good; all else ends it.
PASSING = frozenset({"BROKER_NOT_READY", "RESTART_WINDOW", "BROKER_UNAVAILABLE"})
WORD_S = 5
# A fresh quote, the account, the contract and a what-if: the calls before anything is written.
LOOKING_S = sum(TABLE[name].timeout for name in ("contracts", "quote", "account", "preview"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dispatch came to."""

    outcome: str
    reason: str


def dispatch_run(dispatch: Dispatch, broker: Broker) -> Dispatch:
    """Claim this dispatch and run it, unless a worker has it already; the row as it is then."""
    claimed = dispatch_claim(worker_name(), dispatch.lane, dispatch.pk)
    if claimed is not None:
        dispatch_work(claimed, broker)
    dispatch.refresh_from_db()
    return dispatch


def dispatch_work(dispatch: Dispatch, broker: Broker) -> None:
    """Run a claimed dispatch to its end, its next try, or the loss of its epoch. Raises nothing."""
    actor = f"approval:{dispatch.approval_id}" if dispatch.approval_id else f"request:{dispatch.request_id}"
    with audit.acting(actor=actor, correlation_id=dispatch.correlation_id):
        try:
            done = _run(dispatch, broker)
            with audit.recording(point="dispatch_end"):
                dispatch_end(dispatch, outcome=done.outcome, reason=done.reason)
        except EpochLost:
            logger.info("dispatch %s was taken over", dispatch.pk)
        except AutoTraderError as error:
            _refused(dispatch, error)
        except Exception as error:
            logger.exception("dispatch %s failed", dispatch.pk)
            _end(dispatch, "DISPATCH_FAILED", f"{type(error).__name__}: {error}", failed=True)


def _refused(dispatch: Dispatch, error: AutoTraderError) -> None:
    if error.reason in PASSING and dispatch.approval_id:
        try:
            dispatch_wait(dispatch, f"{error.reason}: {error.message}")
        except EpochLost:
            logger.info("dispatch %s was taken over", dispatch.pk)
        return
    _end(dispatch, error.reason, error.message, failed=False, verdicts=error.details.get("verdicts"))


def _end(dispatch: Dispatch, code: str, message: str, *, failed: bool, verdicts: Any = None) -> None:
    """End the row, and void the approval where nothing was sent on it, in one transaction under the epoch."""
    try:
        with audit.recording(point="dispatch_end"):
            epoch_hold(dispatch)
            if dispatch.approval_id:
                approval = locked(dispatch.approval_id)
                if approval.state in OPEN:
                    state = ApprovalState.EXPIRED if code == "APPROVAL_EXPIRED" else ApprovalState.VOID
                    approval_end(approval, state, code, message, None)
            outcome = "failed" if failed else "refused"
            dispatch_end(dispatch, outcome=outcome, reason=f"{code}: {message}", failed=failed, verdicts=verdicts)
    except EpochLost:
        logger.info("dispatch %s was taken over", dispatch.pk)


def requests_refuse(lane: str, error: AutoTraderError) -> None:
    """End the requests that wait while the broker is away: an order is refused then, never kept for later."""
    for row in claimable_dispatches(lane).filter(approval=None):
        claimed = dispatch_claim(worker_name(), lane, row.pk)
        if claimed is not None:
            _refused(claimed, error)


def _run(dispatch: Dispatch, broker: Broker) -> Outcome:
    approval = with_details().filter(pk=dispatch.approval_id).first() if dispatch.approval_id else None
    cause = approval or dispatch
    sent = sent_of(approval, approval.decision_id if approval else None, cause.request_id)
    if sent:
        return Outcome("ordered", "found again: nothing is sent a second time")
    if approval is not None:
        return _send_approved(dispatch, approval, broker)
    return _send_requested(dispatch, broker)


def _send_approved(dispatch: Dispatch, approval: Approval, broker: Broker) -> Outcome:
    if approval.state != ApprovalState.APPROVED:
        raise refusal(approval)
    now = broker.status().market_now
    if now >= approval.expires_at:
        raise ApprovalRefused(f"It was good until {approval.expires_at}.", code="APPROVAL_EXPIRED")
    lease_extend(dispatch, LOOKING_S)
    intent = intent_of_approval(approval, look(broker, approval.terms["con_id"]))
    check_drift(approval, intent)
    return _send(dispatch, intent, broker)


def _send_requested(dispatch: Dispatch, broker: Broker) -> Outcome:
    """A request's order by the market of this moment; a person is asked where one is needed."""
    request = dispatch.request
    assert request is not None
    asked = approval_of(request_id=request.pk)
    if asked is not None:
        return _waiting(asked)
    lease_extend(dispatch, LOOKING_S)
    intent = request_intent(request, broker)
    needed = approval_needed(intent)
    if needed is None:
        return _send(dispatch, intent, broker)
    gates.check_send(reduces=not intent.is_entry, account=intent.account.pk, status=broker.status())
    cost = what_if(broker, intent)
    return _waiting(approval_request(dispatch, intent, needed, cost, asked_by=request.actor))


def _waiting(approval: Approval) -> Outcome:
    return Outcome("pending_approval", f"approval {approval.pk} waits until {approval.expires_at}")


def _send(dispatch: Dispatch, intent: Intent, broker: Broker) -> Outcome:
    if not settings.ORDERS_ENABLED:
        return _simulate(dispatch, intent)
    gates.check_send(reduces=not intent.is_entry, account=intent.account.pk, status=broker.status())
    lease_extend(dispatch, TABLE["place"].timeout)
    if intent.is_entry:
        orders = entry_write(dispatch, intent)
        note = place(broker, orders, reduces=False)
    else:
        done = exit_send(dispatch, broker, intent)
        orders, note = done.orders, done.note
    await_word(orders[0], paced(WORD_S))
    return Outcome("ordered", note or orders[0].state)


def _simulate(dispatch: Dispatch, intent: Intent) -> Outcome:
    if intent.is_entry:
        entry_write(dispatch, intent, state=OrderState.SIMULATED)
    else:
        exit_write(dispatch, intent, state=OrderState.SIMULATED)
    return Outcome("simulated", "ORDERS_ENABLED=false: nothing was sent")


def check_drift(approval: Approval, intent: Intent) -> None:
    """What was approved at one price is not approved at another; raises ApprovalRefused beyond the profile's collar."""
    now, collar = intent.proposal.price, intent.proposal.limits.price_collar
    if now is None or not now.is_finite():
        raise ApprovalRefused("There is no market price to compare with the one it was asked at.", code="NO_QUOTE")
    if abs(now - approval.price) > approval.price * collar:
        raise ApprovalRefused(
            f"The market is at {now.normalize():f}, it was {approval.price.normalize():f} when it was asked for;"
            f" more than {collar:%} away.",
            code="APPROVAL_DRIFTED",
        )
