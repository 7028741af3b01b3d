"""Orders over REST: place, preview, cancel, modify and look up; each unsafe request once an Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Invalid
from autotrader.core.rest.documents import Answer
from autotrader.core.rest.errors import Problem, enveloped
from autotrader.core.rest.limits import limits_of
from autotrader.core.rest.permissions import may, only_proposes
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint, actor_of, client_under, idempotency_key
from autotrader.core.users.models import Scope
from broker import get_broker
from broker.errors import BrokerUnavailable
from trading.models import OrderRequest, Strategy
from trading.models.request import RequestKind
from trading.selectors.requests import ChangeLine, NoSuchOrder, OrderLine, RequestOutcome, order_status
from trading.services.brokers import broker_or_away
from trading.services.cancels import NotAllowed
from trading.services.change_evidence import OPEN_CHANGE
from trading.services.change_terms import NotChangeable
from trading.services.previews import OrderPreview, order_preview
from trading.services.request_bodies import ORDER_TYPES, PURPOSES, SIDES
from trading.services.request_intents import Unknown
from trading.services.request_refusals import (
    ChangeRejected,
    GivenUp,
    InTheWay,
    OnlyProposes,
    Refused,
    RequestMoved,
    Shut,
)
from trading.services.requests import Caller, cancel_request, modify_request, order_request, request_told

PERMISSION = "trading.request_order"
PROTECTION = "trading.remove_protection"
GOING_ON = ("QUEUED", "RUNNING")
FIELDS = ("request", "kind", "state", "correlation_id", "approval", "dispatch")
DONE_OR_WAITS = (201, 202)
JUDGED = (BrokerUnavailable, Unknown, Refused, Shut, InTheWay)
TOLD_LATER = (GivenUp, ChangeRejected)


@dataclass(frozen=True, slots=True)
class OrderResult:
    """What was asked and what has become of it: the first order's fields on top, then every order and change.

    `state` is that of the request: RECEIVED while another process works on it, else ACCEPTED. `approval` is the one
    that a person must give first, `dispatch` the state of the sending.
    """

    order_ref: str | None
    perm_id: int | None
    status: str | None
    filled: str | None
    avg_price: str | None
    reasons: list[str] | None
    request: int
    kind: str
    state: str
    correlation_id: str
    approval: int | None
    dispatch: str
    orders: list[OrderLine]
    changes: list[ChangeLine]


def number(**options: Any) -> serializers.CharField:
    """For the schema: a number as text, or a JSON number; the service reads it."""
    return serializers.CharField(max_length=40, **options)


class OrderBody(Body):
    """An order. Of `symbol` and `con_id` one is given; an entry carries `stop_price` and `target_price`, an exit
    neither. The service reads it strictly; here it is described."""

    account = serializers.CharField(max_length=40, required=False, allow_null=True)
    strategy = serializers.CharField(max_length=80, required=False, allow_null=True, help_text="Its name.")
    symbol = serializers.CharField(max_length=20, required=False, allow_null=True)
    con_id = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    side = serializers.ChoiceField(choices=SIDES)
    quantity = number()
    order_type = serializers.ChoiceField(choices=ORDER_TYPES)
    limit_price = number(required=False, allow_null=True, help_text="Of LMT.")
    stop_price = number(required=False, allow_null=True, help_text="Of an entry.")
    target_price = number(required=False, allow_null=True, help_text="Of an entry.")
    purpose = serializers.ChoiceField(choices=PURPOSES)
    intended = serializers.BooleanField(
        required=False, allow_null=True, help_text="It may equal an order of a moment ago."
    )
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)

    example = {
        "symbol": "AAPL", "side": "BUY", "quantity": "10", "order_type": "LMT", "limit_price": "187.42",
        "stop_price": "178.05", "target_price": "206.16", "purpose": "entry", "reason": "a breakout",
    }  # fmt: skip


class ChangeBody(Body):
    """New terms of a working order; what is not given stays."""

    limit_price = number(required=False, allow_null=True)
    stop_price = number(required=False, allow_null=True)
    quantity = number(required=False, allow_null=True, help_text="The new total, of a leg that closes.")
    intended = serializers.BooleanField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)

    example = {"limit_price": "187.20"}


class EndBody(Body):
    """The end of a working order; `force` with a reason ends even the stop of an open position."""

    force = serializers.BooleanField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, allow_null=True)


class OrderEndpoint(Endpoint):
    """What is asked of orders; the request's row keeps its Idempotency-Key."""

    permissions = {"POST": PERMISSION}
    idempotent = "own"
    answers = {"POST": Answer(OrderResult, DONE_OR_WAITS)}


class PlaceEndpoint(OrderEndpoint):
    """POST: ask for an order; the answer says what every control said and what became of it so far.

    201 where it was done, 202 where it goes on. The order of a key that may only propose waits for a person.
    """

    body = OrderBody
    errors = (*JUDGED, *TOLD_LATER, RequestMoved)

    def post(self, request: Request) -> Response:
        OrderBody.refuse_unknown(request.data)
        caller, key = caller_of(request), idempotency_key(request)
        outcome = request_told(caller=caller, key=key, kind=RequestKind.PLACE, body=request.data)
        if outcome is None:
            with get_broker(own=False) as broker:
                outcome = order_request(
                    client=caller.client,
                    key=key,
                    body=request.data,
                    actor=caller.actor,
                    broker=broker,
                    limits=caller.limits,
                    must_be_approved=caller.only_proposes,
                )
        return answered(outcome)


class PreviewEndpoint(Endpoint):
    """POST: every control's word and the broker's margins; places nothing."""

    permissions = {"POST": PERMISSION}
    idempotent = "optional"
    body = OrderBody
    answers = {"POST": OrderPreview}
    errors = (BrokerUnavailable, Unknown)

    def check_told(self, request: Request, told: Mapping[str, Any], **kwargs: Any) -> None:
        named = Strategy.objects.filter(name=request.data.get("strategy")).first()
        limits_of(request).check(account=told["terms"]["account"], strategy=named.pk if named else None)

    def post(self, request: Request) -> Response:
        OrderBody.refuse_unknown(request.data)
        with get_broker(own=False) as broker:
            told = order_preview(
                request.data, broker, limits=limits_of(request), must_be_approved=only_proposes(request)
            )
        return Response(asdict(told))


class CancelEndpoint(OrderEndpoint):
    """POST: ask for the end of an order. A key that may only propose takes back its own, as long as they wait.

    201 where it has ended, 202 while the broker's word is waited for. What waits to be sent is taken back with the
    broker away too.
    """

    body = EndBody
    errors = (*TOLD_LATER, BrokerUnavailable, NoSuchOrder, NotAllowed, OnlyProposes)

    def post(self, request: Request, order_ref: str) -> Response:
        body = addressed(request, order_ref, EndBody)
        return changed(request, body, RequestKind.CANCEL, cancel_request)


class ModifyEndpoint(OrderEndpoint):
    """POST: change the limit, the stop or the quantity of a working order.

    201 where the broker shows the new terms, 202 while its word is waited for.
    """

    key_scopes = {"POST": frozenset({Scope.TRADE})}
    body = ChangeBody
    errors = (*JUDGED, *TOLD_LATER, NoSuchOrder, NotChangeable)

    def post(self, request: Request, order_ref: str) -> Response:
        body = addressed(request, order_ref, ChangeBody)
        return changed(request, body, RequestKind.MODIFY, modify_request)


class StatusEndpoint(Endpoint):
    """GET: one order as it stands, from our record; the broker need not be there."""

    permissions = {"GET": "trading.view_order"}
    answers = {"GET": OrderLine}
    errors = (NoSuchOrder,)

    def get(self, request: Request, order_ref: str) -> Response:
        return Response(asdict(order_status(order_ref, limits_of(request))))


def caller_of(request: Request) -> Caller:
    """Who asks."""
    key = idempotency_key(request)
    kept = OrderRequest.objects.filter(idempotency_key=key)
    return Caller(
        client_under(request, lambda former: kept.filter(client=former).exists()),
        actor_of(request),
        may_unprotect=may(request, PROTECTION),
        limits=limits_of(request),
        only_proposes=only_proposes(request),
    )


def changed(
    request: Request, body: Mapping[str, Any], kind: RequestKind, ask: Callable[..., RequestOutcome]
) -> Response:
    """The answer to a change of the order that the body names; what has ended under the key needs no broker."""
    caller, key = caller_of(request), idempotency_key(request)
    outcome = request_told(caller=caller, key=key, kind=kind, body=body)
    if outcome is None:
        with broker_or_away() if kind == RequestKind.CANCEL else get_broker(own=False) as broker:
            outcome = ask(caller=caller, key=key, body=body, broker=broker)
    return answered(outcome)


def addressed(request: Request, order_ref: str, known: type[Body]) -> dict[str, Any]:
    """The body with the order of the address. Raises Invalid UNKNOWN_FIELD where the body names an order too, or
    anything else that is not known."""
    if "order_ref" in request.data:
        details = {"field": "order_ref", "fields": {"order_ref": "unknown"}}
        raise Invalid(
            "There is no field 'order_ref': the address names the order.", code="UNKNOWN_FIELD", details=details
        )
    known.refuse_unknown(request.data)
    return {**request.data, "order_ref": order_ref}


def answered(outcome: RequestOutcome) -> Response:
    """201 where it was done, 202 where it goes on (a person or the broker is asked, or another process works on it),
    else why not."""
    if outcome.status:
        details = outcome.details | {"request": outcome.request}
        problem = Problem(outcome.status, outcome.code, outcome.message, details)
        return enveloped(problem, outcome.correlation_id)
    if outcome.changes and all(line.state == "REJECTED" for line in outcome.changes):
        return enveloped(rejected(outcome), outcome.correlation_id)
    waits = outcome.dispatch in GOING_ON or not outcome.orders
    waits = waits or any(line.status == "PENDING_APPROVAL" for line in outcome.orders)
    waits = waits or any(line.state in OPEN_CHANGE for line in outcome.changes)
    return Response(asdict(document(outcome)), status=202 if waits else 201)


def rejected(outcome: RequestOutcome) -> Problem:
    """What is told where none of the changes took effect: the broker's words on the first."""
    line = outcome.changes[0]
    message = f"The {line.kind} of {line.order_ref} was rejected: {line.reason.rstrip('.') or 'no reason was told'}."
    details = {"request": outcome.request, "changes": [asdict(row) for row in outcome.changes]}
    return Problem(ChangeRejected.status, ChangeRejected.code, message, details)


def document(outcome: RequestOutcome) -> OrderResult:
    """The outcome with its first order's fields on top, as the result of an order is given everywhere."""
    first = outcome.order
    top: dict[str, Any] = {name: getattr(first, name) if first else None for name in OrderLine.TOP}
    told: dict[str, Any] = {name: getattr(outcome, name) for name in FIELDS}
    return OrderResult(**top, **told, orders=list(outcome.orders), changes=list(outcome.changes))
