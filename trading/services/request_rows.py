"""The life of a request's row: received once a key, then accepted or refused, each by compare-and-swap."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError

from autotrader.core import audit
from autotrader.core.audit.chain import to_document
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError, Conflict
from autotrader.core.ops.pace import paced
from broker.errors import BrokerUnavailable
from trading.models import OrderRequest
from trading.models.request import RequestKind
from trading.services.request_bodies import body_hash, plain_body
from trading.services.request_refusals import GivenUp
from trading.services.rows import swap

# Whoever asks again after this time goes on with a request whose process has died; after the other it is given up.
TAKEN_OVER_AFTER_S = 30
GIVEN_UP_AFTER_S = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: whose key, which key, by whom, and what; `must_be_approved`: a person's word is needed."""

    client: str
    key: str
    actor: str
    kind: RequestKind
    body: Mapping[str, Any]
    must_be_approved: bool = False


def request_receive(asked: Asked) -> tuple[OrderRequest, bool]:
    """Keep the request, durable, before anything is done about it; whether it is the caller's to be worked on.

    Raises Conflict IDEMPOTENCY_KEY_REUSED where the key stands with another body, Invalid where the body is no JSON.
    """
    body, digest = _digested(asked)
    try:
        with audit.acting(actor=asked.actor), audit.recording(durable=True, point="request"):
            return _receive(asked, body, digest), True
    except IntegrityError:
        known = _known(asked, digest)
        if known is None:
            raise
        return known, _take_over(known, asked)


def request_ended(asked: Asked) -> OrderRequest | None:
    """The request under this key where it has ended, so that nothing is left to do; None where it has not, or there
    is none. Raises as `request_receive`."""
    _, digest = _digested(asked)
    known = _known(asked, digest)
    return known if known is not None and known.state != "RECEIVED" else None


def _digested(asked: Asked) -> tuple[dict[str, Any], str]:
    """The body as it is kept, and what tells it from another."""
    body = plain_body(asked.body)
    return body, body_hash({"kind": asked.kind, "body": body})


def _known(asked: Asked, digest: str) -> OrderRequest | None:
    """The request under this key. Raises Conflict IDEMPOTENCY_KEY_REUSED where it is another one."""
    known = OrderRequest.objects.filter(client=asked.client, idempotency_key=asked.key).first()
    if known is not None and known.body_hash != digest:
        raise Conflict(
            "This Idempotency-Key stands for another request already; use a new key for a new request.",
            code="IDEMPOTENCY_KEY_REUSED",
            details={"request": known.pk},
        ) from None
    return known


def _receive(asked: Asked, body: dict[str, Any], digest: str) -> OrderRequest:
    request = OrderRequest.objects.create(
        client=asked.client,
        idempotency_key=asked.key,
        kind=asked.kind,
        body=body,
        body_hash=digest,
        actor=asked.actor[:80],
        must_be_approved=asked.must_be_approved,
        correlation_id=_correlation(),
        created_at=system_now(),
    )
    with audit.acting(correlation_id=request.correlation_id):
        _record(request, EventType.ORDER_REQUESTED, old="", cause=request.kind)
    return request


def _correlation() -> str:
    """That of the HTTP request it came by, so that one id joins all; a second one within it has one of its own."""
    now = audit.current().correlation_id
    return now if now and not OrderRequest.objects.filter(correlation_id=now).exists() else uuid.uuid4().hex


def _take_over(request: OrderRequest, asked: Asked) -> bool:
    """Go on with a request that nobody seems to work on any more; its first process then finds its version gone.

    A key that was narrowed in between does not send without a person what it may only propose by now.
    """
    age = (system_now() - request.created_at).total_seconds()
    is_free = request.status == BrokerUnavailable.status or age >= paced(TAKEN_OVER_AFTER_S)
    if request.state != "RECEIVED" or not is_free:
        return False
    try:
        must = request.must_be_approved or asked.must_be_approved
        swap(request, status=0, code="", message="", must_be_approved=must)
    except Conflict:
        return False
    return True


def request_name(request: OrderRequest, market_at: datetime | None, **facts: Any) -> None:
    """Note what the request is about as soon as that is known; market time is kept once. Raises Conflict where
    somebody else works on it."""
    if request.market_at is None and market_at is not None:
        facts["market_at"] = market_at
    swap(request, **facts)


def request_accept(request: OrderRequest, **details: Any) -> None:
    """It will be done; call inside `audit.recording()` with the rows that do it. Raises Conflict where it has ended."""
    _end(request, "ACCEPTED", EventType.ORDER_REQUEST_ACCEPTED, cause="", details=details)


def request_postpone(request: OrderRequest, error: BrokerUnavailable) -> None:
    """The broker is away and nothing was done: who asks again with the same key is heard anew. Raises Conflict."""
    swap(request, status=error.status, code=error.reason[:40], message=error.message)


def request_refuse(request: OrderRequest, error: AutoTraderError, **details: Any) -> None:
    """It will not be done, and why; call inside `audit.recording()`. Raises Conflict where it has ended."""
    reason = f"{error.reason}: {error.message}"
    _end(
        request,
        "REFUSED",
        EventType.ORDER_REQUEST_REFUSED,
        cause=reason,
        code=error.reason[:40],
        message=error.message,
        status=error.status,
        details=_json(error.details | details),
    )


def _json(details: dict[str, Any]) -> dict[str, Any]:
    """JSON-safe, as an Event keeps it."""
    text, _ = to_document(details)
    made: dict[str, Any] = json.loads(text)
    return made


def _end(request: OrderRequest, state: str, kind: EventType, *, cause: str, **changes: Any) -> None:
    old = request.state
    if old != "RECEIVED":
        raise Conflict(f"request {request.pk} is {old} already")
    swap(request, state=state, ended_at=system_now(), **changes)
    _record(request, kind, old=old, cause=cause)


def requests_give_up(now: datetime) -> int:
    """Refuse what was received and never answered, since its process died before anything was done; the number."""
    before = now - timedelta(seconds=paced(GIVEN_UP_AFTER_S))
    ended = 0
    for request in OrderRequest.objects.filter(state="RECEIVED", created_at__lt=before).order_by("id"):
        gone = GivenUp("It was not worked on to its end, and nothing was sent; ask anew under another Idempotency-Key.")
        with suppress(Conflict), audit.acting(correlation_id=request.correlation_id):
            with audit.recording(point="request_given_up"):
                request_refuse(request, gone)
            ended += 1
    return ended


def _record(request: OrderRequest, kind: EventType, *, old: str, cause: str) -> None:
    """The body stands in the first event; its hash ties the others to it."""
    body = {} if old else {"body": request.body}
    audit.record(
        kind,
        f"request:{request.pk}",
        version=request.version,
        old_state=old,
        new_state=request.state,
        account=request.account_id or "",
        cause=cause,
        market_at=request.market_at,
        document={"client": request.client, "kind": request.kind, "hash": request.body_hash} | body,
    )
