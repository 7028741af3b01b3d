"""One id a request: what it records, logs and asks of the broker carries it, and the answer tells it."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from autotrader.core import audit

HEADER = "X-Correlation-Id"
SOUND = re.compile(r"[A-Za-z0-9._-]{1,64}")
requests_log = logging.getLogger("autotrader.requests")
GetResponse = Callable[[HttpRequest], HttpResponseBase]


def new_id() -> str:
    """An id that no request or cycle has had before; a client never chooses it, since events are unique by it."""
    return uuid.uuid4().hex


def sound_id(text: str) -> str:
    """An id that another process of ours tells, or "" where it is none."""
    return text if SOUND.fullmatch(text) else ""


class CorrelationMiddleware:
    """The first of all: gives the request its id, and writes one line about it when it has been answered."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        with audit.acting(correlation_id=new_id()) as acting:
            response = self._get_response(request)
            _log(request, response, time.perf_counter() - began)
        response.headers.setdefault(HEADER, acting.correlation_id)
        return response


def route_of(request: HttpRequest) -> str:
    """The pattern that answered, such as "api/orders/<str:order_ref>/status"; "" for none: never the address itself."""
    match = request.resolver_match
    return match.route if match is not None else ""


def _log(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    # Only what was looked up already: a line in the log asks no database.
    user = request.__dict__.get("_cached_user")
    requests_log.info(
        "request",
        extra={
            "method": request.method,
            "route": route_of(request),
            "status": response.status_code,
            "ms": round(seconds * 1000, 1),
            "user": user.get_username() if user is not None else "",
            "key": getattr(request, "key_prefix", ""),
        },
    )
