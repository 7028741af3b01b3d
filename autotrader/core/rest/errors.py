"""One envelope for every error: `{"detail", "error": {"code", "message", "details", "correlation_id"}}`."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, DataError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response

from autotrader.core import audit
from autotrader.core.errors import AutoTraderError
from autotrader.core.rest.refusals import log_refusal

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 1
STORAGE = "STORAGE"
NOT_KNOWN = (
    "The database stopped answering while this was done; whether it was done is not known. "
    "Repeat it with the same Idempotency-Key."
)
# What the framework raises by itself, most special first.
CODES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.ParseError, "MALFORMED"),
    (exceptions.AuthenticationFailed, "NOT_AUTHENTICATED"),
    (exceptions.NotAuthenticated, "NOT_AUTHENTICATED"),
    (exceptions.PermissionDenied, "NOT_ALLOWED"),
    (exceptions.NotFound, "NOT_FOUND"),
    (exceptions.MethodNotAllowed, "METHOD_NOT_ALLOWED"),
    (exceptions.UnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE"),
    (exceptions.NotAcceptable, "NOT_ACCEPTABLE"),
    (exceptions.Throttled, "THROTTLED"),
    (Http404, "NOT_FOUND"),
    (PermissionDenied, "NOT_ALLOWED"),
    (RequestDataTooBig, "BODY_TOO_LARGE"),
    (SuspiciousOperation, "MALFORMED"),
    (DataError, "INVALID"),
    (DatabaseError, STORAGE),
)


class Malformed(AutoTraderError):
    """No request at all: correct its form and send it again."""

    code = "MALFORMED"
    status = 400


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as people and programs are told it; `status` is HTTP's."""

    status: int
    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """The framework's exception handler: every error leaves in the envelope, and none without one."""
    problem = _told(problem_of(error), str(context["request"].method))
    if problem.status >= status.HTTP_500_INTERNAL_SERVER_ERROR and not isinstance(error, AutoTraderError):
        logger.error("a request failed", exc_info=error)
    log_refusal(context["request"], problem.status, problem.code)
    response = enveloped(problem, audit.current().correlation_id)
    header = getattr(error, "auth_header", None)
    if header:
        response["WWW-Authenticate"] = header
    wait = getattr(error, "wait", None)
    if wait is not None:
        response["Retry-After"] = str(math.ceil(wait))
    return response


def enveloped(problem: Problem, correlation_id: str) -> Response:
    """The answer to a request that failed."""
    response = Response(envelope(problem, correlation_id), status=problem.status)
    if problem.status == status.HTTP_503_SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_S)
    return response


def envelope(problem: Problem, correlation_id: str) -> dict[str, Any]:
    """The body of every error, for answers that the framework does not make too."""
    error = {
        "code": problem.code,
        "message": problem.message,
        "details": problem.details,
        "correlation_id": correlation_id,
    }
    return {"detail": problem.message, "error": error}


def _told(problem: Problem, method: str) -> Problem:
    """An unsafe request may have been done before the database fell silent: its client is not told that it was not."""
    is_unsure = problem.code == STORAGE and problem.status == status.HTTP_503_SERVICE_UNAVAILABLE
    return replace(problem, message=NOT_KNOWN) if is_unsure and method not in SAFE_METHODS else problem


def problem_of(error: Exception) -> Problem:
    """What an error is told as."""
    if isinstance(error, AutoTraderError):
        return Problem(error.status, error.reason, error.message, error.details)
    if isinstance(error, Http404):
        return Problem(404, "NOT_FOUND", str(error) or "There is no such record.")
    if isinstance(error, PermissionDenied):
        return Problem(403, "NOT_ALLOWED", str(error) or "You may not do this.")
    if isinstance(error, RequestDataTooBig):
        return Problem(413, "BODY_TOO_LARGE", "The body is longer than any sound request.")
    if isinstance(error, SuspiciousOperation):
        return Problem(400, "MALFORMED", "The request is not in a form that can be read.")
    if isinstance(error, DataError):
        return Problem(422, "INVALID", "A value is outside of what can be kept.")
    if isinstance(error, DatabaseError):
        return Problem(503, STORAGE, "The database does not answer; nothing was done.")
    if isinstance(error, exceptions.APIException):
        code = next((code for kind, code in CODES if isinstance(error, kind)), str(error.default_code).upper())
        return Problem(error.status_code, code, _sentence(error.detail))
    return Problem(500, "INTERNAL", "Something failed inside; the correlation id finds it in the log.")


def _sentence(detail: Any) -> str:
    if isinstance(detail, dict):
        return "; ".join(f"{name}: {_sentence(value)}" for name, value in detail.items())
    if isinstance(detail, list):
        return "; ".join(_sentence(item) for item in detail)
    return str(detail)
