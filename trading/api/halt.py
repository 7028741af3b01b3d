"""The kill switch over REST: what is in force, halting, and releasing by a person."""

from __future__ import annotations

from typing import Any, cast

from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Invalid
from autotrader.core.rest.permissions import LOGGED_IN
from autotrader.core.rest.views import Endpoint, actor_of
from broker.gates import Cancel, HaltReading, HaltState, halt_reading
from trading.services.halts import HALT_PERMISSION, HaltOutcome, halt, release

TIGHTER, LOOSER = ("HALTED", "REDUCING"), ("ACTIVE", "REDUCING")
CANCELS = {"none": "", "entries": "entries", "all": "all"}


class HaltEndpoint(Endpoint):
    """GET: the Halt in force. POST {"reason", "state", "cancel"}: tighten; HALTED and entries where not given."""

    permissions = {"GET": LOGGED_IN, "POST": HALT_PERMISSION}
    idempotent = "optional"

    def get(self, request: Request) -> Response:
        return Response(reading_document(halt_reading()))

    def post(self, request: Request) -> Response:
        body = _body(request, reason=None, state="HALTED", cancel="entries")
        state = _one_of(body, "state", TIGHTER)
        cancel = CANCELS[_one_of(body, "cancel", tuple(CANCELS))]
        outcome = halt(
            actor=actor_of(request), reason=body["reason"], state=HaltState(state), cancel=cast("Cancel", cancel)
        )
        return Response(outcome_document(outcome))


class ReleaseEndpoint(Endpoint):
    """POST {"reason", "to", "seen"}: loosen to ACTIVE or REDUCING; `seen` is that of the halt which is meant.

    The service itself refuses who may not, so that the refusal is on record.
    """

    permissions = {"POST": LOGGED_IN}
    idempotent = "optional"

    def post(self, request: Request) -> Response:
        body = _body(request, reason=None, to="ACTIVE", seen="")
        to = HaltState(_one_of(body, "to", LOOSER))
        return Response(outcome_document(release(user=request.user, reason=body["reason"], to=to, seen=body["seen"])))


def reading_document(reading: HaltReading) -> dict[str, Any]:
    """The Halt as programs see it; `asked` and `confirmed` are null before the first cancel."""
    return {
        "state": reading.state.value,
        "reason": reading.reason,
        "actor": reading.actor,
        "at": reading.at,
        "version": reading.version,
        "seen": reading.seen,
        "cancel": reading.cancel or "none",
        "asked": reading.asked,
        "confirmed": reading.confirmed,
        "working": list(reading.working),
        "cancelled_at": reading.cancelled_at,
    }


def outcome_document(outcome: HaltOutcome) -> dict[str, Any]:
    """The Halt in force now with what became of the cancels."""
    return {
        **reading_document(outcome.reading),
        "asked": outcome.asked,
        "confirmed": outcome.confirmed,
        "working": list(outcome.working),
        "kept": list(outcome.kept),
        "done": outcome.done,
        "problem": outcome.problem,
    }


def _body(request: Request, **known: str | None) -> dict[str, str]:
    """The fields as texts, with the defaults of those that are not given. Raises Invalid naming the field."""
    told = request.data
    for name, value in told.items():
        if name not in known:
            raise Invalid(f"There is no field {name[:40]}.", code="UNKNOWN_FIELD", details={"field": name[:40]})
        if not isinstance(value, str):
            raise Invalid(f"{name} must be a text.", details={"field": name})
    return {name: str(told.get(name, default if default is not None else "")) for name, default in known.items()}


def _one_of(body: dict[str, str], field: str, words: tuple[str, ...]) -> str:
    if body[field] not in words:
        raise Invalid(f"{field} must be one of {', '.join(words)}.", details={"field": field})
    return body[field]
