"""Which errors an operation can answer, by status: what the kit itself refuses, and what the endpoint names."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from autotrader.core.errors import AutoTraderError
from autotrader.core.rest.documents import Schema

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
UNSAFE = WITH_BODY | {"DELETE"}
NAME = "Problem"
SCHEMA: Schema = {
    "type": "object",
    "description": "Every error, everywhere. docs/errors.md lists the codes and what to do about each.",
    "required": ["detail", "error"],
    "additionalProperties": False,
    "properties": {
        "detail": {"type": "string", "description": "One sentence that names the fix."},
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "correlation_id"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$", "description": "Stable; decide by it."},
                "message": {"type": "string", "description": "The same sentence."},
                "details": {"type": "object", "additionalProperties": {}, "description": "For `field`: which one."},
                "correlation_id": {"type": "string", "description": "Finds the request in the logs and the events."},
            },
        },
    },
}


def problems(view: Any, method: str, *, named: bool) -> dict[int, list[str]]:
    """Status → codes of a view's method; `named` says whether its path has parameters."""
    found: dict[int, list[str]] = {
        400: ["MALFORMED"],
        401: ["NOT_AUTHENTICATED"],
        403: ["NOT_ALLOWED", "SCOPE_MISSING", "KEY_LIMITED"],
        422: ["INVALID", "UNKNOWN_FIELD"],
        429: ["THROTTLED"],
        503: ["STORAGE", "BUSY"],
    }
    if method in getattr(view, "people_only", ()):
        found[403].append("PERSON_NEEDED")
    if named:
        found[404] = ["NOT_FOUND"]
    if method in WITH_BODY:
        found |= {411: ["LENGTH_REQUIRED"], 413: ["BODY_TOO_LARGE"], 415: ["UNSUPPORTED_MEDIA_TYPE"]}
    if method in UNSAFE and getattr(view, "idempotent", None):
        found[400].append("IDEMPOTENCY_KEY_INVALID")
        if view.idempotent != "optional":
            found[400].append("IDEMPOTENCY_KEY_MISSING")
        found[409] = ["IDEMPOTENCY_KEY_REUSED", "IN_PROGRESS"]
    for error in errors_of(view, method):
        codes = found.setdefault(error.status, [])
        codes += [error.code] if error.code not in codes else []
    return dict(sorted(found.items()))


def errors_of(view: Any, method: str) -> Iterable[type[AutoTraderError]]:
    """What the endpoint says it raises: `errors`, a tuple for all its methods or a tuple by method."""
    named: Any = getattr(view, "errors", ())
    found: tuple[type[AutoTraderError], ...] = named.get(method, ()) if isinstance(named, dict) else named
    return found


def example(status: int, code: str) -> dict[str, Any]:
    """The envelope as it is sent with this code."""
    sentence = f"{HTTPStatus(status).phrase}: one sentence that says what to do."
    error = {"code": code, "message": sentence, "details": {}, "correlation_id": "5f0c9a1e7b2d4c3f8a6e1d0b9c7f2a45"}
    return {"detail": sentence, "error": error}
