"""The owner's door for other processes: a small ASGI application made from the port's table."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db import connections

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from autotrader.core.ops.correlation import HEADER, sound_id
from broker import codec, types
from broker.errors import CLASSES, BrokerError, BrokerUnavailable
from broker.ib.fairness import CALLER
from broker.port import TABLE, Call
from broker.service.local import LocalBroker

logger = logging.getLogger(__name__)
BODY_LIMIT = 256 * 1024
PING_LIMIT = 1.0
DRAIN_LIMIT = 30.0
CALLER_LENGTH = 60
SENDERS = 16
WRONG_SECRET = (
    "The owner's secret is missing or wrong: AUTOTRADER_BROKER_SECRET (or the file of AUTOTRADER_BROKER_SECRET_FILE) "
    "must hold what broker.secret in the owner's state folder holds."
)
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, message: str, cls: type[BrokerError] = BrokerError) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"class": cls.__name__, "code": code, "message": message, "details": {}}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class OwnerApp:
    """`GET /ping`, `POST /drain` and `POST /call/<name>` for each row of the table. Work runs in threads."""

    def __init__(
        self, broker: LocalBroker, secret: str, *, threads: int = 32, now: Callable[[], datetime] = system_now
    ) -> None:
        self._broker = broker
        self._secret = secret.encode()
        self._now = now
        self._calls = ThreadPoolExecutor(threads, thread_name_prefix="call")
        # Of their own, so that no order waits behind slow reads, and slow calls never make the owner look dead.
        self._sends = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")
        self._pings = ThreadPoolExecutor(4, thread_name_prefix="ping")
        # Nor does the kill switch wait behind orders that wait for a database.
        self._kills = ThreadPoolExecutor(4, thread_name_prefix="kill")

    def close(self) -> None:
        """Take no more work; what runs is left to end by its own time-out."""
        for pool in (self._calls, self._sends, self._pings, self._kills):
            pool.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            request = await _read(scope, receive)
            status, document = 200, await self._answer(request)
        except Refused as refusal:
            status, document = refusal.status, {"error": refusal.document}
        except AutoTraderError as error:
            status, document = error.status, {"error": _document(error)}
        except Exception:
            logger.exception("a call to the owner failed")
            unexpected = BrokerError("The owner failed in an unexpected way; its log says how.", code="OWNER_FAILED")
            status, document = 500, {"error": _document(unexpected)}
        await _send(send, status, document)

    async def _answer(self, request: Request) -> Any:
        self._check_secret(request)
        if request.path == "/ping":
            return await self._run(self._pings, request, self._ping)
        if request.method != "POST":
            raise Refused(405, "METHOD_NOT_ALLOWED", "Calls are POST requests.")
        deadline = self._deadline(request)
        if request.path == "/drain":
            return await self._run(self._calls, request, lambda: self._broker.drain(self._left(deadline, DRAIN_LIMIT)))
        call = TABLE.get(request.path.removeprefix("/call/"))
        if call is None:
            raise Refused(404, "NOT_FOUND", f"There is no {request.path}.")
        pool = self._calls if call.kind == "read" else self._kills if call.name == "kill" else self._sends
        return await self._run(pool, request, lambda: self._call(call, request.body, deadline))

    def _ping(self) -> dict[str, float]:
        """Our time, by which a caller on another host reckons its deadlines."""
        self._broker.ping(PING_LIMIT)
        return {"now": self._now().timestamp()}

    def _check_secret(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, b"Bearer " + self._secret):
            raise Refused(401, "UNAUTHORIZED", WRONG_SECRET, BrokerUnavailable)

    def _deadline(self, request: Request) -> datetime | None:
        text = request.headers.get("x-deadline")
        try:
            return datetime.fromtimestamp(float(text), UTC) if text else None
        except (ValueError, OverflowError, OSError) as error:
            raise Refused(400, "MALFORMED", "X-Deadline is no time in seconds.") from error

    def _left(self, deadline: datetime | None, longest: float) -> float:
        """Seconds until the deadline; a call that is late when its turn comes is dropped."""
        if deadline is None:
            return longest
        left = (deadline - self._now()).total_seconds()
        if left <= 0:
            raise BrokerUnavailable("The call reached the owner after its deadline; nothing was done.", code="LATE")
        return min(left, longest)

    def _call(self, call: Call, body: bytes, deadline: datetime | None) -> Any:
        try:
            request: Any = codec.loads(call.request, body.decode() or "{}")
        except (codec.CodecError, UnicodeDecodeError) as error:
            raise Refused(400, "MALFORMED", f"The request does not fit {call.name}: {error}.") from error
        left = self._left(deadline, call.timeout)
        if deadline is not None and isinstance(request, (types.PlaceOrder, types.ModifyOrder)):
            request = replace(request, deadline=min(request.deadline, deadline))
        method = getattr(self._broker, call.name)
        arguments = () if call.request is types.Nothing else (request,)
        options = {} if call.name == "status" else {"timeout": left}
        return codec.to_json(method(*arguments, **options))

    async def _run(self, pool: ThreadPoolExecutor, request: Request, work: Callable[[], Any]) -> Any:
        caller = request.headers.get("x-caller", "")[:CALLER_LENGTH]
        identity = sound_id(request.headers.get(HEADER.lower(), ""))
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: _closing(caller, identity, work))


def _closing(caller: str, identity: str, work: Callable[[], Any]) -> Any:
    """Do the work for a caller, under the correlation id of what made it ask.

    Leaves no database connection open in a thread that may not be used again.
    """
    token = CALLER.set(caller)
    try:
        with audit.acting(correlation_id=identity or None):
            return work()
    finally:
        CALLER.reset(token)
        connections.close_all()


async def _read(scope: dict[str, Any], receive: Receive) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise Refused(413, "TOO_LARGE", f"A request has at most {BODY_LIMIT} bytes.")
        if not message.get("more_body"):
            break
    return Request(scope["method"], scope["path"], headers, body)


async def _send(send: Send, status: int, document: Any) -> None:
    body = json.dumps(document, allow_nan=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _document(error: AutoTraderError) -> dict[str, Any]:
    """The error as JSON. A class of a module of ours is told by the first class of the port it descends from."""
    name = next((cls.__name__ for cls in type(error).__mro__ if cls.__name__ in CLASSES), "BrokerError")
    return {"class": name, "code": error.reason, "message": error.message, "details": error.details}
