"""What is answered where every thread of the site waits for something: 503, and nothing was done."""

from __future__ import annotations

import json
import logging
from typing import Any

from autotrader.core.errors import AutoTraderError
from autotrader.core.ops import measures
from autotrader.core.ops.correlation import HEADER, new_id
from autotrader.core.rest.errors import RETRY_AFTER_S, envelope, problem_of

logger = logging.getLogger(__name__)
SENTENCE = (
    "Every thread of the site waits for something, such as a broker that does not answer; nothing was done. "
    "Ask again in a second."
)


class Busy(AutoTraderError):
    """Every thread of the site waits for something, such as a broker that hangs: ask again in a second."""

    code = "BUSY"
    status = 503


async def busy(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that refuses a request before anything is done: the envelope below /api/, else a line."""
    problem, identity = problem_of(Busy(SENTENCE)), new_id()
    is_api = scope["path"].startswith("/api/")
    body = json.dumps(envelope(problem, identity)) if is_api else f"{SENTENCE}\nCorrelation id {identity}\n"
    headers = {
        "content-type": "application/json" if is_api else "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "retry-after": str(RETRY_AFTER_S),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        HEADER.lower(): identity,
    }
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    logger.warning("every thread is taken: a request was refused", extra={"correlation_id": identity})
    await send({"type": "http.response.start", "status": problem.status, "headers": told})
    await send({"type": "http.response.body", "body": body.encode()})
    measures.http("", scope["method"], problem.status, 0.0)
