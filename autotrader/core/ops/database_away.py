"""What is answered while the database does not answer: 503 at once, also to requests that are under way."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from autotrader.core import audit
from autotrader.core.ops import measures
from autotrader.core.ops.breaker import breaker
from autotrader.core.ops.correlation import HEADER, new_id
from autotrader.core.ops.traffic import GIVEN_UP

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
# These say themselves what is up.
OPEN_PATHS = ("/health", "/api/health")
RETRY_AFTER_S = 1
TICK = 0.05
NOT_DONE = "The database does not answer; nothing was done. Try again in a moment."
NOT_KNOWN = "The database stopped answering while this was done; whether it was done is not known."
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>AutoTrader: database away</title>
<meta http-equiv="refresh" content="5"></head><body><h1>The database does not answer</h1>
<p>{message}</p><p>Stops at the broker stay in force. manage.py halt works without the database.</p>
<p>Correlation id {identity}</p></body></html>"""


class DatabaseAwayMiddleware:
    """In front of the sessions: refuses while the database is known to be away, and says so where a query met it."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not settings.AUTOTRADER_WATCHES_DATABASE or request.path in OPEN_PATHS:
            return self._get_response(request)
        if not breaker().look().ok:
            return _refused(request, "known", NOT_DONE)
        response = self._get_response(request)
        # A session that could not be stored, say: what the framework made of it tells nobody why.
        if response.status_code == 500 and not breaker().ask().ok:
            return _refused(request, "failed", _message(str(request.method)))
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A view's query that met a database away; the API's endpoints say so themselves."""
        if not isinstance(error, (OperationalError, InterfaceError)):
            return None
        logger.warning("a request met a failing database", exc_info=error)
        return _refused(request, "failed", _message(str(request.method)))


class InFlightGuard:
    """Around the whole application: a request that hangs on a connection is answered when the database is found away.

    The thread that hangs is left to the connection's own time-out. What it then still does is not told, nor counted.
    While the database is away, `plain` answers what needs none: threads that are shared may all be hanging.
    """

    def __init__(self, app: Application, plain: Application | None = None) -> None:
        self._app = app
        self._plain = plain or app
        self._left: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer instead where no answer has begun and the database is away."""
        began = time.perf_counter()
        if not breaker().peek().ok:
            await self._instead(scope, receive, send, "known", NOT_DONE, began)
            return
        answer = _Answer(send)
        task = asyncio.ensure_future(self._app({**scope, GIVEN_UP: lambda: answer.is_given_up}, receive, answer))
        try:
            while not (await asyncio.wait({task}, timeout=TICK))[0]:
                if not answer.has_begun and not breaker().peek().ok:
                    answer.is_given_up = True
                    self._leave(task)
                    await self._instead(scope, _nothing(), send, "waited", _message(scope["method"]), began)
                    return
        except asyncio.CancelledError:
            task.cancel()
            raise
        task.result()

    def _leave(self, task: asyncio.Future[None]) -> None:
        self._left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Future[None]) -> None:
        self._left.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.info("a request that was given up failed: %r", task.exception())

    async def _instead(self, scope: Scope, receive: Receive, send: Send, how: str, message: str, began: float) -> None:
        if scope["path"] in OPEN_PATHS:
            await self._plain(scope, receive, send)
            return
        measures.database_refusal(how)
        identity = new_id()
        logger.warning("the database is away: a request was refused", extra={"how": how, "correlation_id": identity})
        response = away(scope["path"], message, identity)
        headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})
        measures.http("", scope["method"], response.status_code, time.perf_counter() - began)


def _nothing() -> Receive:
    """What is received by who answers a request whose body another has taken, or still may: an empty one.

    The end of the connection goes to the other; this answer is soon given in any case.
    """
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        for message in messages:
            return message
        return await asyncio.get_running_loop().create_future()

    return receive


class _Answer:
    """What the application sends; nothing of it is passed on once it has been given up."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False
        self.is_given_up = False

    async def __call__(self, message: Any) -> None:
        if not self.is_given_up:
            self.has_begun = True
            await self._send(message)


def away(path: str, message: str, identity: str) -> HttpResponse:
    """The answer 503: the API's envelope below /api/, a plain page elsewhere."""
    if path.startswith("/api/"):
        error = {"code": "STORAGE", "message": message, "details": {}, "correlation_id": identity}
        text, kind = json.dumps({"detail": message, "error": error}), "application/json"
    else:
        text, kind = PAGE.format(message=html.escape(message), identity=identity), "text/html; charset=utf-8"
    headers = {
        "Retry-After": str(RETRY_AFTER_S),
        "Cache-Control": "no-store",
        HEADER: identity,
        "Content-Length": str(len(text.encode())),
    }
    return HttpResponse(text, status=503, content_type=kind, headers=headers)


def _refused(request: HttpRequest, how: str, message: str) -> HttpResponse:
    measures.database_refusal(how)
    return away(request.path, message, audit.current().correlation_id)


def _message(method: str) -> str:
    """What can be said of a request that had begun; nobody may take silence for a refusal."""
    if method in {"GET", "HEAD", "OPTIONS"}:
        return NOT_DONE
    return f"{NOT_KNOWN} A program repeats it with the same Idempotency-Key; a person looks before repeating it."
