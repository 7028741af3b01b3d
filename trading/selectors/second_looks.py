"""What was asked and judged again about a decision: read from the audit log, which alone keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from research import facade
from research.types import ModelCallRecord
from trading.models import Analysis, Decision

ASKED = (EventType.DECISION_ASKED_AGAIN, EventType.DECISION_ASKING_AGAIN, EventType.DECISION_ANSWERED_AGAIN)
SHOWN = 20
# Longer than the queue lets a task live: one that has not ended by then never will.
LONGEST = timedelta(seconds=180)
SOON = timedelta(seconds=10)
REPAIR = ":repair"
Question = tuple[ModelCallRecord, ModelCallRecord]


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """One wish to ask again. `answers` has one document a question: what was said then and now, and what differs."""

    correlation_id: str
    actor: str
    asked_at: datetime
    began_at: datetime | None = None
    ended_at: datetime | None = None
    why: str = ""
    answers: Sequence[Mapping[str, Any]] = field(default=())
    cost: Decimal | None = None

    @property
    def waits(self) -> bool:
        """Whether an answer may still come, by the system's clock."""
        return self.is_open(system_now(), LONGEST)

    def is_open(self, now: datetime, longest: timedelta) -> bool:
        """Whether an answer may still come."""
        return self.ended_at is None and now - (self.began_at or self.asked_at) < longest

    def is_late(self, now: datetime) -> bool:
        """Whether it waits for a worker longer than one that is free takes."""
        return self.began_at is None and self.is_open(now, LONGEST) and now - self.asked_at > SOON


@dataclass(frozen=True, slots=True)
class Replayed:
    """One judgement of the stored answer by the code of its day: what was compared, and what could not be judged."""

    at: datetime
    actor: str
    parts: Sequence[Mapping[str, Any]]
    not_judged: Sequence[str]

    @property
    def different(self) -> list[Mapping[str, Any]]:
        """The parts that came out otherwise than then."""
        return [part for part in self.parts if not part.get("same")]


def asked_again(pk: int) -> list[AskedAgain]:
    """What the model was asked again about this decision, the newest first."""
    kinds = [str(kind) for kind in ASKED]
    events = Event.objects.filter(subject=f"decision:{pk}", type__in=kinds).order_by("-seq")[: SHOWN * len(ASKED)]
    told: dict[str, dict[str, Event]] = {}
    for event in events:
        told.setdefault(event.correlation_id, {})[event.type] = event
    wished = [rows for rows in told.values() if EventType.DECISION_ASKED_AGAIN in rows]
    return [_asked(rows) for rows in sorted(wished, key=lambda rows: -rows[EventType.DECISION_ASKED_AGAIN].seq)]


def open_wishes(now: datetime) -> list[AskedAgain]:
    """The wishes of the whole desk to whom an answer may still come."""
    kinds = [str(kind) for kind in ASKED]
    told: dict[str, dict[str, Event]] = {}
    for event in Event.objects.filter(type__in=kinds, at__gt=now - 2 * LONGEST).order_by("-seq"):
        told.setdefault(event.correlation_id, {})[event.type] = event
    wished = [_asked(rows) for rows in told.values() if EventType.DECISION_ASKED_AGAIN in rows]
    return [row for row in wished if row.is_open(now, LONGEST)]


def asked_by(correlation_id: str) -> tuple[int, AskedAgain] | None:
    """The decision's id and the wish of this correlation id; None where there is none."""
    rows = {row.type: row for row in Event.objects.filter(correlation_id=correlation_id).order_by("seq")}
    wish = rows.get(EventType.DECISION_ASKED_AGAIN)
    return None if wish is None else (int(wish.subject.partition(":")[2]), _asked(rows))


def last_replay(pk: int) -> Replayed | None:
    """How this decision was last judged again; None where it never was."""
    event = Event.objects.filter(subject=f"decision:{pk}", type=EventType.DECISION_REPLAYED).order_by("-seq").first()
    if event is None:
        return None
    told = _document(event)
    return Replayed(
        event.at, event.actor, _mappings(told.get("parts")), [str(one) for one in told.get("not_judged", [])]
    )


def question_calls(decision: Decision) -> list[Question]:
    """Each question the decision rests on: the call that asked it first, and the one whose answer was the last."""
    analyses = Analysis.objects.filter(execution=decision.execution_id).order_by("timeframe")
    ids = [call for analysis in analyses for call in analysis.model_calls]
    records = facade.model_calls({call for call in [*ids, *decision.model_calls] if isinstance(call, int)})
    found: dict[str, Question] = {}
    for record in records:
        name = record.purpose.partition(REPAIR)[0]
        if REPAIR not in record.purpose:
            found[name] = (record, record)
        elif name in found:
            found[name] = (found[name][0], record)
    return list(found.values())


def _asked(rows: Mapping[str, Event]) -> AskedAgain:
    wish = rows[EventType.DECISION_ASKED_AGAIN]
    begun, ended = rows.get(EventType.DECISION_ASKING_AGAIN), rows.get(EventType.DECISION_ANSWERED_AGAIN)
    told = _document(ended) if ended else {}
    return AskedAgain(
        correlation_id=wish.correlation_id,
        actor=wish.actor,
        asked_at=wish.at,
        began_at=begun.at if begun else None,
        ended_at=ended.at if ended else None,
        why=ended.cause if ended else "",
        answers=_mappings(told.get("answers")),
        cost=_decimal(told.get("cost")),
    )


def _document(event: Event) -> dict[str, Any]:
    try:
        told = json.loads(event.document)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _mappings(told: Any) -> list[Mapping[str, Any]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _decimal(told: Any) -> Decimal | None:
    try:
        return None if told is None else Decimal(str(told))
    except InvalidOperation:
        return None
