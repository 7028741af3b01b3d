"""What persons and programs ask of the desk directly: kept first, judged by every control, answered once a key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from autotrader.core import audit
from autotrader.core.errors import AutoTraderError, Conflict
from autotrader.core.ops.pace import paced
from autotrader.core.users.limits import UNLIMITED, Limits
from broker import gates
from broker.errors import BrokerUnavailable
from broker.port import Broker
from trading.models import Dispatch, Order, OrderChange, OrderRequest
from trading.models.order import OrderState
from trading.models.request import RequestKind
from trading.risk.rules import judge
from trading.selectors.requests import RequestOutcome, order_named, outcome_of
from trading.services.cancels import cancel_begin, cancel_send, check_protection, order_withdraw
from trading.services.changes import change_commit, change_send, change_wanted
from trading.services.dispatch_work import dispatch_run
from trading.services.dispatches import dispatch_queue
from trading.services.request_bodies import cancel_body, modify_body
from trading.services.request_intents import request_intent
from trading.services.request_refusals import OnlyProposes, Refused, refusal_of
from trading.services.request_rows import (
    Asked,
    request_accept,
    request_ended,
    request_name,
    request_postpone,
    request_receive,
    request_refuse,
)
from trading.services.verdicts import verdicts_save

# How long a caller waits for the broker's word on a change or cancel; its life goes on without the caller.
WORD_S = 5
WAITING = (OrderState.PENDING_APPROVAL, OrderState.APPROVED)
After = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `client` tells apart whose keys are whose; `may_unprotect`: may leave a position without its stop.

    `limits` are those of an API key; `only_proposes`: it may take back what it proposed, and end nothing else.
    """

    client: str
    actor: str
    may_unprotect: bool = False
    limits: Limits = UNLIMITED
    only_proposes: bool = False


def order_request(
    *,
    client: str,
    key: str,
    body: Mapping[str, Any],
    actor: str,
    broker: Broker,
    limits: Limits = UNLIMITED,
    must_be_approved: bool = False,
) -> RequestOutcome:
    """Place an order, once a key: the same key with the same body is told the same answer again.

    `limits` refuse other accounts and strategies (KEY_LIMITED); with `must_be_approved` it waits for a person, whatever
    its value. Raises Conflict IDEMPOTENCY_KEY_REUSED for another body under the key, and Invalid for a body that cannot
    be kept; every other refusal is kept with the request and told by the outcome.
    """
    asked = Asked(client, key, actor, RequestKind.PLACE, body, must_be_approved)
    return _answered(asked, limits, lambda request: _place(request, broker, limits))


def modify_request(*, caller: Caller, key: str, body: Mapping[str, Any], broker: Broker) -> RequestOutcome:
    """Change a working order (`order_ref` and what changes), once a key; raises as `order_request`."""
    asked = Asked(caller.client, key, caller.actor, RequestKind.MODIFY, body)
    return _answered(asked, caller.limits, lambda request: _modify(request, caller, broker))


def cancel_request(*, caller: Caller, key: str, body: Mapping[str, Any], broker: Broker) -> RequestOutcome:
    """Ask for the end of an order (`order_ref`), once a key; raises as `order_request`. Never held up by a Halt or by
    how much was sent of late."""
    asked = Asked(caller.client, key, caller.actor, RequestKind.CANCEL, body)
    return _answered(asked, caller.limits, lambda request: _cancel(request, caller, broker))


def request_told(*, caller: Caller, key: str, kind: RequestKind, body: Mapping[str, Any]) -> RequestOutcome | None:
    """What came of the request that has ended under this key; None where there is work to do, which needs a broker.

    Raises as `order_request`, and KeyLimited.
    """
    request = request_ended(Asked(caller.client, key, caller.actor, kind, body))
    return None if request is None else _told(request, caller.limits)


def _answered(asked: Asked, limits: Limits, work: Callable[[OrderRequest], After | None]) -> RequestOutcome:
    """Keep the request, then do it: `work` commits what is to be done, and what it gives back does it."""
    request, mine = request_receive(asked)
    if not mine:
        return _told(request, limits)
    with audit.acting(actor=asked.actor, correlation_id=request.correlation_id):
        try:
            after = work(request)
        except AutoTraderError as error:
            _not_done(request, error)
            return outcome_of(request)
        if after is not None:
            after()
    return outcome_of(request)


def _told(request: OrderRequest, limits: Limits) -> RequestOutcome:
    if request.account_id is not None:
        # A key that was narrowed since is not told how its order does today.
        limits.check(account=request.account_id, strategy=request.strategy_id)
    return outcome_of(request)


def _not_done(request: OrderRequest, error: AutoTraderError) -> None:
    """Keep why; where somebody else has taken the request over meanwhile, theirs is the answer."""
    with suppress(Conflict), audit.recording(point="refusal"):
        if isinstance(error, BrokerUnavailable):
            request_postpone(request, error)
        else:
            request_refuse(request, error)
            if isinstance(error, Refused):  # raised by a change: what judged it was undone with its transaction
                verdicts_save(error.verdicts, request=request)


def _place(request: OrderRequest, broker: Broker, limits: Limits = UNLIMITED) -> After | None:
    """Judge the order and keep every verdict; where all allow it, queue the work that sends it and run it here."""
    intent = request_intent(request, broker, limits)
    request_name(
        request, intent.market_now, account=intent.account, strategy=intent.strategy, instrument=intent.instrument
    )
    verdicts = judge(intent.proposal)
    refusal = refusal_of(verdicts)
    with audit.recording(point="verdicts"):
        verdicts_save(verdicts, request=request)
        if refusal is not None:
            request_refuse(request, refusal)
            return None
        request_accept(request)
        dispatch = dispatch_queue(request=request, correlation_id=request.correlation_id)

    def send() -> None:
        dispatch_run(dispatch, broker)
        # A worker may have been faster, and is at it.
        _await(lambda: Dispatch.objects.get(pk=dispatch.pk).state in ("DONE", "FAILED"))

    return send


def _modify(request: OrderRequest, caller: Caller, broker: Broker) -> After:
    body = modify_body(request.body)
    order = order_named(body.order_ref, caller.limits)
    if caller.only_proposes:
        raise OnlyProposes("To change a working order needs a key with the scope trade.")
    now = broker.status().market_now
    request_name(request, now, account=order.account, strategy=order.strategy, instrument=order.instrument)
    wanted = change_wanted(order, body, broker, request)
    change = change_commit(wanted, request)

    def send() -> None:
        change_send(change, broker)
        _await_word(change)

    return send


def _cancel(request: OrderRequest, caller: Caller, broker: Broker) -> After | None:
    body = cancel_body(request.body)
    order = order_named(body.order_ref, caller.limits)
    _check_own(order, caller)
    status = broker.status()
    reason, now = body.reason or "asked for", status.market_now
    request_name(request, now, account=order.account, strategy=order.strategy, instrument=order.instrument)
    if order.state not in WAITING:
        gates.check_cancel(account=order.account_id, status=status)
    with audit.recording(durable=True, point="cancel_wish"):
        order = order_named(body.order_ref)
        if order_withdraw(order, actor=caller.actor, reason=reason, market_at=now):
            request_accept(request)
            return None
        _check_may_end(caller)
        check_protection(order, force=body.force, may_remove=caller.may_unprotect)
        change = cancel_begin(order, market_at=now, actor=caller.actor, reason=reason, request=request)
        request_accept(request, changes=[change.pk])

    def send() -> None:
        if change.request_id == request.pk or change.state == "UNKNOWN":
            cancel_send(change, broker, now)
        _await_word(change)

    return send


def _check_own(order: Order, caller: Caller) -> None:
    """A key that only proposes takes back what it asked for itself, as long as that waits."""
    asked = order.request.client if order.request is not None else ""
    if asked != caller.client or order.state not in WAITING:
        _check_may_end(caller)


def _check_may_end(caller: Caller) -> None:
    if caller.only_proposes:
        raise OnlyProposes("This key may take back its own orders while they wait; all else needs the scope trade.")


def _await_word(change: OrderChange) -> None:
    """Wait a little for the broker's word on what was asked."""
    _await(lambda: OrderChange.objects.get(pk=change.pk).state != "SENDING")


def _await(done: Callable[[], bool]) -> None:
    until = time.monotonic() + paced(WORD_S)
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
