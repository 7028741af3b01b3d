"""Orders over REST: place, preview, cancel, modify and look up; each unsafe request once an Idempotency-Key."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.rest.errors import Problem, enveloped
from autotrader.core.rest.views import Endpoint, actor_of, client_of, idempotency_key
from broker import get_broker
from trading.selectors.requests import OrderLine, RequestOutcome, order_status
from trading.services.previews import order_preview
from trading.services.requests import Caller, cancel_request, modify_request, order_request

PERMISSION = "trading.request_order"
PROTECTION = "trading.remove_protection"
GOING_ON = ("QUEUED", "RUNNING")
REFUSAL = ("status", "code", "message", "details")


class PlaceEndpoint(Endpoint):
    """POST: ask for an order; the answer says what every control said and what became of it so far."""

    permissions = {"POST": PERMISSION}
    idempotent = "own"

    def post(self, request: Request) -> Response:
        key = idempotency_key(request)
        with get_broker(own=False) as broker:
            outcome = order_request(
                client=client_of(request), key=key, body=request.data, actor=actor_of(request), broker=broker
            )
        return answered(outcome)


class PreviewEndpoint(Endpoint):
    """POST: every control's word and the broker's margins; places nothing."""

    permissions = {"POST": PERMISSION}
    idempotent = "optional"

    def post(self, request: Request) -> Response:
        with get_broker(own=False) as broker:
            return Response(asdict(order_preview(request.data, broker)))


class CancelEndpoint(Endpoint):
    """POST: ask for the end of an order."""

    permissions = {"POST": PERMISSION}
    idempotent = "own"

    def post(self, request: Request, order_ref: str) -> Response:
        key = idempotency_key(request)
        with get_broker(own=False) as broker:
            body = {**request.data, "order_ref": order_ref}
            return answered(cancel_request(caller=caller_of(request), key=key, body=body, broker=broker))


class ModifyEndpoint(Endpoint):
    """POST: change the limit, the stop or the quantity of a working order."""

    permissions = {"POST": PERMISSION}
    idempotent = "own"

    def post(self, request: Request, order_ref: str) -> Response:
        key = idempotency_key(request)
        with get_broker(own=False) as broker:
            body = {**request.data, "order_ref": order_ref}
            return answered(modify_request(caller=caller_of(request), key=key, body=body, broker=broker))


class StatusEndpoint(Endpoint):
    """GET: one order as it stands, from our record; the broker need not be there."""

    permissions = {"GET": "trading.view_order"}

    def get(self, request: Request, order_ref: str) -> Response:
        return Response(asdict(order_status(order_ref)))


def caller_of(request: Request) -> Caller:
    """Who asks."""
    return Caller(client_of(request), actor_of(request), may_unprotect=request.user.has_perm(PROTECTION))


def answered(outcome: RequestOutcome) -> Response:
    """201 where it was done, 202 where it goes on (a person is asked, or another process works on it), else why not."""
    if outcome.status:
        details = outcome.details | {"request": outcome.request}
        problem = Problem(outcome.status, outcome.code, outcome.message, details)
        return enveloped(problem, outcome.correlation_id)
    waits = outcome.dispatch in GOING_ON or not outcome.orders
    waits = waits or any(line.status == "PENDING_APPROVAL" for line in outcome.orders)
    return Response(document(outcome), status=202 if waits else 201)


def document(outcome: RequestOutcome) -> dict[str, Any]:
    """The outcome with its first order's fields on top, as the result of an order is given everywhere."""
    first = outcome.order
    top = {name: getattr(first, name) if first else None for name in OrderLine.TOP}
    told = {name: value for name, value in asdict(outcome).items() if name not in REFUSAL}
    return {**top, **told}
