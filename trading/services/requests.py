"""What persons and programs ask of the desk directly: kept first, judged by every control, answered once a key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from autotrader.core import audit
from autotrader.core.errors import AutoTraderError, Conflict
from autotrader.core.ops.pace import paced
from autotrader.core.users.limits import UNLIMITED, Limits
from broker.errors import BrokerUnavailable
from broker.port import Broker
from trading.models import Dispatch, OrderChange, OrderRequest
from trading.models.request import RequestKind
from trading.risk.rules import judge
from trading.selectors.requests import RequestOutcome, order_named, outcome_of
from trading.services.brokers import AskedOnce
from trading.services.callers import Caller
from trading.services.cancel_wishes import Wish, are_open, cancel_keep, cancels_tell
from trading.services.changes import change_commit, change_send, change_wanted
from trading.services.dispatch_work import dispatch_run
from trading.services.dispatches import dispatch_queue
from trading.services.request_bodies import modify_body
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

__all__ = [
    "Caller",
    "Cancelled",
    "cancel_request",
    "cancel_requests",
    "modify_request",
    "order_request",
    "request_told",
]
# How long a caller waits for the broker's word on a change or cancel; its life goes on without the caller.
WORD_S = 5
After = Callable[[], object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came of each of many cancels by its key: its outcome, or the error for which nothing could be kept."""

    outcomes: dict[str, RequestOutcome]
    errors: dict[str, AutoTraderError]

    def told(self, key: str) -> RequestOutcome:
        """The outcome under this key. Raises what kept it from being kept."""
        if key in self.errors:
            raise self.errors[key]
        return self.outcomes[key]


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
    return cancel_requests(caller=caller, asked={key: body}, broker=broker).told(key)


def cancel_requests(*, caller: Caller, asked: Mapping[str, Mapping[str, Any]], broker: Broker) -> Cancelled:
    """As `cancel_request` for each of many, by key: all wishes are kept, then all are told to the broker, and its word
    on them is waited for once, WORD_S in all; a wish that was not told by then is told by the sweep. Raises nothing."""
    status = AskedOnce(broker)
    begun: dict[str, OrderRequest] = {}
    errors: dict[str, AutoTraderError] = {}
    wishes: list[Wish] = []
    for key, body in asked.items():
        wanted = Asked(caller.client, key, caller.actor, RequestKind.CANCEL, body)
        try:
            begun[key], wish = _begun(wanted, caller.limits, lambda row: cancel_keep(row, caller, status))
        except AutoTraderError as error:
            errors[key] = error
        else:
            wishes += [wish] if wish is not None else []
    until = time.monotonic() + paced(WORD_S)
    cancels_tell(wishes, broker, until=until)
    _await(lambda: not are_open(wishes), until=until)
    return Cancelled({key: outcome_of(request) for key, request in begun.items()}, errors)


def request_told(*, caller: Caller, key: str, kind: RequestKind, body: Mapping[str, Any]) -> RequestOutcome | None:
    """What came of the request that has ended under this key; None where there is work to do, which needs a broker.

    Raises as `order_request`, and KeyLimited.
    """
    request = request_ended(Asked(caller.client, key, caller.actor, kind, body))
    if request is None:
        return None
    _check_told(request, caller.limits)
    return outcome_of(request)


def _answered(asked: Asked, limits: Limits, work: Callable[[OrderRequest], After | None]) -> RequestOutcome:
    """Keep the request, then do it: `work` commits what is to be done, and what it gives back does it."""
    request, after = _begun(asked, limits, work)
    if after is not None:
        with audit.acting(actor=asked.actor, correlation_id=request.correlation_id):
            after()
    return outcome_of(request)


def _begun(asked: Asked, limits: Limits, work: Callable[[OrderRequest], T | None]) -> tuple[OrderRequest, T | None]:
    """Keep the request and commit what `work` makes of it, or why not; None where nothing is left to be done here.

    Raises KeyLimited where the same request was made before, of what is not covered any more.
    """
    request, mine = request_receive(asked)
    if not mine:
        _check_told(request, limits)
        return request, None
    with audit.acting(actor=asked.actor, correlation_id=request.correlation_id):
        try:
            return request, work(request)
        except AutoTraderError as error:
            _not_done(request, error)
    return request, None


def _check_told(request: OrderRequest, limits: Limits) -> None:
    if request.account_id is not None:
        # A key that was narrowed since is not told how its order does today.
        limits.check(account=request.account_id, strategy=request.strategy_id)


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


def _await_word(change: OrderChange) -> None:
    """Wait a little for the broker's word on what was asked."""
    _await(lambda: OrderChange.objects.get(pk=change.pk).state != "SENDING")


def _await(done: Callable[[], bool], *, until: float | None = None) -> None:
    until = time.monotonic() + paced(WORD_S) if until is None else until
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
