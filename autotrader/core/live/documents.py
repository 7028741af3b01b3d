"""The one form in which an event leaves this desk: on the stream, in the history, on pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class EventDocument:
    """An event as programs are told it; `event_document` makes it of a row.

    `seq` is its place in the log and what `after_id` means; `version` is the subject's after the change. `document` is
    `{"text": …}` where `quarantined` says that what was recorded could not be written as JSON.
    """

    seq: int
    at: datetime
    market_at: datetime | None
    type: str
    account: str
    actor: str
    correlation_id: str
    subject: str
    version: int | None
    old_state: str
    new_state: str
    cause: str
    document: dict[str, Any]
    quarantined: bool
    hash: str


class EventRow(Protocol):
    """A row of the log, or whatever has its columns."""

    seq: Any
    at: Any
    market_at: Any
    type: Any
    account: Any
    actor: Any
    correlation_id: Any
    subject: Any
    subject_version: Any
    old_state: Any
    new_state: Any
    cause: Any
    document: Any
    quarantined: Any
    hash: Any


def event_document(event: EventRow) -> dict[str, Any]:
    """The event as plain JSON values with the names of `EventDocument`. Never raises on what a document may hold."""
    document, quarantined = _opened(event.document, bool(event.quarantined))
    return {
        "seq": event.seq,
        "at": iso(event.at),
        "market_at": iso(event.market_at) if event.market_at else None,
        "type": event.type,
        "account": event.account,
        "actor": event.actor,
        "correlation_id": event.correlation_id,
        "subject": event.subject,
        "version": event.subject_version,
        "old_state": event.old_state,
        "new_state": event.new_state,
        "cause": event.cause,
        "document": document,
        "quarantined": quarantined,
        "hash": event.hash,
    }


def event_text(event: EventRow) -> str:
    """`event_document` as one line of ASCII."""
    return json.dumps(event_document(event), separators=(",", ":"), allow_nan=False)


def iso(at: datetime) -> str:
    """UTC with microseconds and Z, so that texts sort as their times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _opened(text: str, quarantined: bool) -> tuple[dict[str, Any], bool]:
    """The document's values; one that no recorder of ours can have written is kept as text and marked."""
    try:
        found = _decoder.decode(text)
    except (ValueError, RecursionError):
        return {"text": text}, True
    return (found, quarantined) if isinstance(found, dict) else ({"text": text}, True)


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise ValueError(f"{number} is no number of JSON")
    return value


# Kept, because to make one costs ten times what it takes to read a document.
_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
