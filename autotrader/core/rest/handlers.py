"""What Django refuses before an endpoint is asked: in the envelope below /api/, as a page elsewhere."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from autotrader.core import audit
from autotrader.core.rest.errors import Problem, envelope

API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: a host that is not ours, or a form that is none."""
    if not request.path.startswith(API):
        return defaults.bad_request(request, exception)
    return _enveloped(Problem(400, "MALFORMED", "The request names a host that is not ours, or cannot be read."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if not request.path.startswith(API):
        return defaults.permission_denied(request, exception)
    return _enveloped(Problem(403, "NOT_ALLOWED", "You may not do this."))


def server_error(request: HttpRequest) -> HttpResponse:
    """500: Django has logged why."""
    if not request.path.startswith(API):
        return defaults.server_error(request)
    return _enveloped(Problem(500, "INTERNAL", "Something failed inside; the correlation id finds it in the log."))


def _enveloped(problem: Problem) -> HttpResponse:
    body: dict[str, Any] = envelope(problem, audit.current().correlation_id)
    return JsonResponse(body, status=problem.status, headers={"Cache-Control": "no-store"})
