"""The ASGI application of the pages' socket: who may open it, from which page, and where it begins."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, OperationalError
from rest_framework.exceptions import PermissionDenied

from autotrader.core import audit
from autotrader.core.audit.tail import TailBroken
from autotrader.core.live.app import Scope
from autotrader.core.live.asking import (
    FOREIGN,
    ROWS,
    address_in,
    headers_of,
    lists_asked,
    place_asked,
    refuse_foreign_host,
    refuse_foreign_origin,
)
from autotrader.core.live.hall import Hall
from autotrader.core.live.lines import Lines, Render
from autotrader.core.live.reader import DatabaseAway
from autotrader.core.live.rows import KnowsRows, NoRows, Rows
from autotrader.core.live.sockets import LOG_BROKEN, MALFORMED, Socket
from autotrader.core.live.streams import Receive, Send
from autotrader.core.ops import measures
from autotrader.core.ops.correlation import new_id, requests_log
from autotrader.core.rest.errors import problem_of
from autotrader.core.users.access import Access

logger = logging.getLogger(__name__)
ROUTE = "live/"
SCHEMES = {"ws": "http", "wss": "https"}
# A close code of ours is HTTP's status and 4000; the place that is none is a malformed one here.
OWN_CODES = 4000
REFUSED = frozenset({400, 401, 403, 422, 429, 500, 503})


@dataclass(slots=True)
class _Call:
    """One socket, for its line in the log."""

    scope: Scope
    send: Send
    headers: dict[str, str]
    began: float = field(default_factory=time.monotonic)
    access: Access | None = None
    code: int = 0
    events: int = 0


class PageSockets:
    """Serves ROUTE to the pages of this site, and no other socket. `render` makes the line of an event document, and
    rows where it `KnowsRows`."""

    def __init__(self, render: Render, hall: Hall, every_poke: Sequence[str] = ()) -> None:
        self._hall = hall
        self._lines = Lines(render, hall.rules.lines_cached, every_poke)
        self._rows = Rows(render if isinstance(render, KnowsRows) else NoRows(), hall.tailer.read)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # that it wants to connect
        if scope["path"] != f"/{ROUTE}":
            await send({"type": "websocket.close"})
            return
        # At once: a browser is told a close code only of what was accepted, and servers wait some seconds only.
        await send({"type": "websocket.accept"})
        call = _Call(scope, send, headers_of(scope))
        with audit.acting(correlation_id=new_id()):
            try:
                await self._serve(call, receive)
            except Exception as error:
                await _refuse(call, error)
            finally:
                _log(call)

    async def _serve(self, call: _Call, receive: Receive) -> None:
        refuse_foreign_host(call.headers)
        if "origin" not in call.headers:
            raise PermissionDenied(FOREIGN)
        refuse_foreign_origin(SCHEMES[call.scope.get("scheme", "ws")], call.headers)
        hall = self._hall
        with ExitStack() as held:
            held.enter_context(hall.doors.entered())
            asked_at = asyncio.get_running_loop().time()
            # The session's cookie alone: no page of ours shows a key.
            shown = {"cookie": call.headers.get("cookie", "")}
            access = call.access = await hall.doors.let_in(shown, address_in(call.scope, call.headers))
            after = place_asked(call.scope["query_string"], {}, more=ROWS)
            held.enter_context(hall.doors.counted(access))
            head = await hall.tailer.ready(after)
            socket = Socket(access, hall.tailer, self._lines, hall.rules, call.send, now=asked_at)
            socket.want(self._rows, lists_asked(call.scope["query_string"]))
            held.enter_context(hall.tailer.told(socket))
            held.enter_context(hall.looked_after(socket))
            place = head if after is None else after
            digest = await self._digest(place, head)
            measures.http(ROUTE, "GET", 101, time.monotonic() - call.began)
            try:
                await socket.run(receive, after=place, head=head, digest=digest)
            finally:
                call.code, call.events = socket.code, socket.events

    async def _digest(self, place: int, head: int) -> str:
        """The hash of the event that a page has read last; not looked up for a page that begins anew in any case."""
        tailer, rules = self._hall.tailer, self._hall.rules
        last = await tailer.event(place) if 0 <= head - place <= rules.waiting else None
        return last.hash if last is not None else ""


async def _refuse(call: _Call, error: Exception) -> None:
    """Said in a frame, since daphne sends no reason along with a code; then closed with the code."""
    told = OperationalError(str(error)) if isinstance(error, (DatabaseAway, Error)) else error
    problem = problem_of(told)
    if problem.status == 500:
        logger.error("a page's socket failed", exc_info=error)
    status = problem.status if problem.status in REFUSED else 500
    call.code = LOG_BROKEN if isinstance(error, TailBroken) else MALFORMED if status == 422 else OWN_CODES + status
    measures.http(ROUTE, "GET", status, time.monotonic() - call.began)
    said: dict[str, Any] = {"failure": {"code": problem.code, "message": problem.message}}
    if status == 503:
        said["away"] = True
    await call.send({"type": "websocket.send", "text": json.dumps(said)})
    await call.send({"type": "websocket.close", "code": call.code})
    if problem.status in {401, 403, 429}:
        logger.warning("access refused", extra={**_who(call), "status": problem.status, "code": problem.code})


def _who(call: _Call) -> dict[str, str]:
    return {
        "user": call.access.username if call.access else "",
        "key": "",
        "method": "GET",
        "route": ROUTE,
        "address": address_in(call.scope, call.headers),
    }


def _log(call: _Call) -> None:
    ms = round((time.monotonic() - call.began) * 1000, 1)
    requests_log.info("request", extra={**_who(call), "status": call.code, "ms": ms, "events": call.events})
