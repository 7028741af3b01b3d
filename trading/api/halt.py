"""The kill switch over REST: what is in force, halting, and releasing by a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Conflict, Invalid
from autotrader.core.rest.limits import limits_of
from autotrader.core.rest.permissions import LOGGED_IN, may
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint, actor_of
from broker.gates import Cancel, HaltReading, HaltState, halt_reading
from trading.services.halts import (
    HALT_PERMISSION,
    LONGEST_REASON,
    PROTECTION_PERMISSION,
    HaltOutcome,
    NotAllowed,
    halt,
    release,
)

TIGHTER, LOOSER = ("HALTED", "REDUCING"), ("ACTIVE", "REDUCING")
CANCELS = {"none": "", "entries": "entries", "all": "all"}


def why() -> serializers.CharField:
    """The reason; the service says what is one."""
    return serializers.CharField(max_length=LONGEST_REASON, allow_blank=True, help_text="Kept in the audit log.")


class HaltBody(Body):
    """How tight, and which orders are to end."""

    reason = why()
    state = serializers.ChoiceField(choices=TIGHTER, default="HALTED")
    cancel = serializers.ChoiceField(choices=tuple(CANCELS), default="entries")


class ReleaseBody(Body):
    """How loose; `seen` is that of the halt which is meant, as GET /api/halt tells it, so that a newer one stands."""

    reason = why()
    to = serializers.ChoiceField(choices=LOOSER, default="ACTIVE")
    seen = serializers.CharField(max_length=80)

    example = {"reason": "Checked against the news.", "to": "ACTIVE", "seen": "12.5f0c9a1e7b2d4c3f"}


@dataclass(frozen=True, slots=True)
class HaltDocument:
    """The Halt in force; `asked` and `confirmed` count its cancels and are null before the first one.

    `working` names orders of every account and strategy: it is null for a key that is limited to some.
    """

    state: HaltState
    reason: str
    actor: str
    at: datetime | None
    version: int
    seen: str
    cancel: str
    asked: int | None
    confirmed: int | None
    working: list[str] | None
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True)
class HaltOutcomeDocument(HaltDocument):
    """The Halt in force now with what became of the cancels: `kept` stay on purpose, and are null as `working` is;
    `problem` says why `done` is false."""

    kept: list[str] | None
    done: bool
    problem: str


class HaltEndpoint(Endpoint):
    """GET: the Halt in force. POST: halt trading; HALTED, and entries are cancelled, where nothing else is said.

    A repeat halts again, whatever its Idempotency-Key: who asks for a halt is never told of an earlier one. It is the
    whole desk's: a key with the scope halt may halt it, whatever else that key is limited to. Protective stops are
    ended by `all` only for who may remove protection, by a key with the scope admin; the halt is done in any case.
    """

    permissions = {"GET": LOGGED_IN, "POST": HALT_PERMISSION}
    idempotent = ""
    body = HaltBody
    answers = {"GET": HaltDocument, "POST": HaltOutcomeDocument}
    errors = {"POST": (Invalid,)}

    def get(self, request: Request) -> Response:
        return Response(told_to(request, reading_document(halt_reading())))

    def post(self, request: Request) -> Response:
        said = self.told(request)
        outcome = halt(
            actor=actor_of(request),
            reason=said["reason"],
            state=HaltState(said["state"]),
            cancel=cast("Cancel", CANCELS[said["cancel"]]),
            may_unprotect=may(request, PROTECTION_PERMISSION),
        )
        return Response(told_to(request, outcome_document(outcome)))


class ReleaseEndpoint(Endpoint):
    """POST: release the Halt that was `seen`, to ACTIVE or REDUCING. Only a person does, never a key.

    The service itself refuses who may not, so that the refusal is on record. It commits before the answer is kept:
    where the process dies in between, a repeat does the work again, and finds that the Halt is not the one seen.
    """

    permissions = {"POST": LOGGED_IN}
    people_only = frozenset({"POST"})
    body = ReleaseBody
    answers = {"POST": HaltOutcomeDocument}
    errors = (NotAllowed, Conflict, Invalid)

    def post(self, request: Request) -> Response:
        said = self.told(request)
        outcome = release(user=request.user, reason=said["reason"], to=HaltState(said["to"]), seen=said["seen"])
        return Response(asdict(outcome_document(outcome)))


def told_to(request: Request, found: HaltDocument) -> dict[str, Any]:
    """The document as this caller may see it: a limited key is not told which orders there are."""
    told = asdict(found)
    if limits_of(request).is_limited:
        told |= {name: None for name in ("working", "kept") if name in told}
    return told


def reading_document(reading: HaltReading) -> HaltDocument:
    """The Halt as programs see it."""
    return HaltDocument(
        state=reading.state,
        reason=reading.reason,
        actor=reading.actor,
        at=reading.at,
        version=reading.version,
        seen=reading.seen,
        cancel=reading.cancel or "none",
        asked=reading.asked,
        confirmed=reading.confirmed,
        working=list(reading.working),
        cancelled_at=reading.cancelled_at,
    )


def outcome_document(outcome: HaltOutcome) -> HaltOutcomeDocument:
    """The Halt in force now with what became of the cancels."""
    found = asdict(reading_document(outcome.reading)) | {
        "asked": outcome.asked,
        "confirmed": outcome.confirmed,
        "working": list(outcome.working),
    }
    problem = ". ".join(filter(None, (outcome.problem, outcome.left_out)))
    done = outcome.done and not outcome.left_out
    return HaltOutcomeDocument(**found, kept=list(outcome.kept), done=done, problem=problem)
