"""Counts and times every HTTP request by the pattern that answered it."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from autotrader.core.ops import measures
from autotrader.core.ops.correlation import route_of

# In the scope of a request that another may answer meanwhile: a call that says whether it was. Who answers counts.
GIVEN_UP = "autotrader.given_up"


class TrafficMiddleware:
    """Outside of everything that may answer a request, so that none is missed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = self._get_response(request)
        if not _is_given_up(request):
            measures.http(route_of(request), str(request.method), response.status_code, time.perf_counter() - began)
        return response


def _is_given_up(request: HttpRequest) -> bool:
    said = getattr(request, "scope", {}).get(GIVEN_UP)
    return said is not None and bool(said())
