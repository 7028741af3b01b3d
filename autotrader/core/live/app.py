"""The ASGI application of the event stream: stands before Django's, holds no thread and no connection a client."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, OperationalError
from rest_framework.exceptions import MethodNotAllowed

from autotrader.core import audit
from autotrader.core.live.asking import address_in, headers_of, place_asked, refuse_foreign_host, refuse_foreign_origin
from autotrader.core.live.doors import refuse_limited
from autotrader.core.live.hall import Hall
from autotrader.core.live.reader import DatabaseAway
from autotrader.core.live.rules import Rules
from autotrader.core.live.streams import Receive, Send, Stream
from autotrader.core.ops import measures
from autotrader.core.ops.correlation import HEADER, new_id, requests_log
from autotrader.core.rest.errors import RETRY_AFTER_S, envelope, problem_of
from autotrader.core.users.access import Access
from autotrader.core.users.keys import prefix_of, shown_key

logger = logging.getLogger(__name__)
Scope = Mapping[str, Any]
Application = Callable[[Any, Receive, Send], Awaitable[None]]
ROUTE = "api/events/stream"
COMMON = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


@dataclass(slots=True)
class _Call:
    """One request, for the answer's headers and its line in the log."""

    scope: Scope
    send: Send
    headers: dict[str, str]
    began: float = field(default_factory=time.monotonic)
    access: Access | None = None
    status: int = 0
    events: int = 0

    async def start(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        self.status = status
        measures.http(ROUTE, self.scope["method"], status, time.monotonic() - self.began)
        told = (HEADER.lower().encode(), audit.current().correlation_id.encode())
        await self.send({"type": "http.response.start", "status": status, "headers": [told, *COMMON, *headers]})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stream begins: after this event, with its hash; `head` is how far the log goes."""

    after: int
    head: int
    digest: str | None


class EventStream:
    """Answers ROUTE, and hands everything else on. One for each event loop."""

    def __init__(self, following: Application, rules: Rules | None = None, hall: Hall | None = None) -> None:
        self._following = following
        self._hall = hall or Hall(rules)
        self._rules, self._doors, self._tailer = self._hall.rules, self._hall.doors, self._hall.tailer
        self._streams = self._hall.guests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != f"/{ROUTE}":
            await self._following(scope, receive, send)
            return
        call = _Call(scope, send, headers_of(scope))
        with audit.acting(correlation_id=new_id()):
            try:
                await self._answer(call, receive)
            except Exception as error:
                await _refuse(call, error)
            finally:
                _log(call)

    async def close(self) -> None:
        """End the tailer and the threads; for tests, as a server that ends takes them with it."""
        await self._hall.close()

    async def _answer(self, call: _Call, receive: Receive) -> None:
        refuse_foreign_host(call.headers)
        with ExitStack() as held:
            held.enter_context(self._doors.entered())
            asked_at = asyncio.get_running_loop().time()
            access = call.access = await self._doors.let_in(call.headers, address_in(call.scope, call.headers))
            if not access.prefix:
                refuse_foreign_origin(call.scope["scheme"], call.headers)
            if call.scope["method"] != "GET":
                raise MethodNotAllowed(call.scope["method"])
            refuse_limited(access)
            after = place_asked(call.scope["query_string"], call.headers)
            held.enter_context(self._doors.counted(access))
            head = await self._tailer.ready(after)
            stream = Stream(access, self._tailer, self._rules, call.send, now=asked_at)
            held.enter_context(self._tailer.told(stream))
            place = await self._place(access, head if after is None else after, head)
            await call.start(200, (b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no"))
            await self._run(call, stream, receive, place)

    async def _place(self, access: Access, after: int, head: int) -> _Place:
        """Looked up when the stream is told of a log that is put back: a hash of the old one is not the last word."""
        last = await self._tailer.event(after) if after <= head else None
        is_told = last is not None and access.limits.allows_account(last.account)
        return _Place(after, head, last.hash if last is not None and is_told else None)

    async def _run(self, call: _Call, stream: Stream, receive: Receive, place: _Place) -> None:
        try:
            with self._hall.looked_after(stream):
                await stream.run(receive, after=place.after, head=place.head, digest=place.digest)
        finally:
            call.events = stream.events


async def _refuse(call: _Call, error: Exception) -> None:
    """The envelope; a response that has begun already is left to the server, which closes the connection."""
    told = OperationalError(str(error)) if isinstance(error, (DatabaseAway, Error)) else error
    problem = problem_of(told)
    if problem.status == 500:
        logger.error("the event stream failed", exc_info=error)
    if call.status:
        raise error
    body = json.dumps(envelope(problem, audit.current().correlation_id)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", b"GET"))
    if challenge := getattr(error, "auth_header", ""):
        headers.append((b"www-authenticate", challenge.encode()))
    wait = getattr(error, "wait", RETRY_AFTER_S if problem.status == 503 else None)
    if wait is not None:
        headers.append((b"retry-after", str(wait).encode()))
    await call.start(problem.status, *headers)
    await call.send({"type": "http.response.body", "body": body})
    if problem.status in {401, 403, 429}:
        logger.warning("access refused", extra={**_who(call), "status": problem.status, "code": problem.code})


def _who(call: _Call) -> dict[str, str]:
    shown = shown_key(call.headers.get("authorization", ""), call.headers.get("x-api-key", ""))
    return {
        "user": call.access.username if call.access else "",
        "key": prefix_of(shown or ""),
        "method": call.scope["method"],
        "route": ROUTE,
        "address": address_in(call.scope, call.headers),
    }


def _log(call: _Call) -> None:
    ms = round((time.monotonic() - call.began) * 1000, 1)
    requests_log.info("request", extra={**_who(call), "status": call.status, "ms": ms, "events": call.events})
