"""The base of every endpoint: one correlation id a request, and the actor for everything it records."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponseBase
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autotrader.core import audit
from autotrader.core.rest.errors import Malformed

KEY_LENGTH = 80


class Endpoint(APIView):
    """Parse, call one service or selector, render. `permissions` names a permission for each method."""

    permissions: dict[str, str] = {}
    correlation_id = ""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.correlation_id = uuid.uuid4().hex
        with audit.acting(correlation_id=self.correlation_id):
            return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        answered: Response = super().finalize_response(request, response, *args, **kwargs)
        answered.headers.setdefault("Cache-Control", "no-store")
        answered.headers.setdefault("X-Correlation-Id", self.correlation_id)
        return answered


class UnknownEndpoint(Endpoint):
    """Whatever no other endpoint answers, in the envelope too."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"There is no endpoint {request.path}.")


def actor_of(request: Request) -> str:
    """Who asks, as the audit log names people."""
    return str(request.user.get_username())


def client_of(request: Request) -> str:
    """Whose keys are told apart from everybody else's."""
    return f"user:{request.user.get_username()}"[:80]


def idempotency_key(request: Request) -> str:
    """The header that makes an unsafe request safe to repeat. Raises Malformed where it is missing or no sound key."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise Malformed(
            "The header Idempotency-Key is missing: give each request a key of its own.", code="IDEMPOTENCY_KEY_MISSING"
        )
    if len(key) > KEY_LENGTH or not all("!" <= character <= "~" for character in key):
        raise Malformed(
            f"Idempotency-Key must have 1 to {KEY_LENGTH} printable ASCII characters without spaces.",
            code="IDEMPOTENCY_KEY_INVALID",
        )
    return key
