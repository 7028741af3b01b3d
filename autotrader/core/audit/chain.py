"""Canonical JSON and the hash chain over it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

_text = json.encoder.encode_basestring
HASHED_FIELDS = (
    "type",
    "account",
    "actor",
    "correlation_id",
    "subject",
    "subject_version",
    "old_state",
    "new_state",
    "cause",
    "document",
    "quarantined",
)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    raise TypeError(f"{type(value).__name__} is not JSON-safe")


def canonical(value: Any) -> str:
    """One text for one value: sorted keys, no blanks; TypeError or ValueError on what JSON cannot hold (NaN too)."""
    return json.dumps(value, default=_plain, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def instant(value: datetime) -> str:
    """An aware datetime as UTC with microseconds."""
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no instant")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def to_document(value: Mapping[str, Any]) -> tuple[str, bool]:
    """The document's text, and whether it had to be quarantined. Never raises: money paths record here."""
    try:
        text = canonical(dict(value))
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return canonical({"text": storable(_described(value), 20_000)}), True
    return text, False


def storable(text: str, limit: int) -> str:
    """Text that both databases take: no NUL, no half surrogate, at most `limit` characters."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()[:limit]


def _described(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # a __repr__ may raise anything, and the event must be kept all the same
        return f"a {type(value).__name__} whose description fails with {type(error).__name__}"


def event_hash(previous: str, seq: int, at: datetime, market_at: datetime | None, fields: Mapping[str, Any]) -> str:
    """SHA-256 over the previous hash, the position, both times and the hashed fields."""
    texts = [instant(at), instant(market_at) if market_at else None, *(fields[name] for name in HASHED_FIELDS)]
    return row_hash(previous, seq, *texts)


def row_hash(
    previous: str,
    seq: int,
    at: str,
    market_at: str | None,
    type: str,
    account: str,
    actor: str,
    correlation_id: str,
    subject: str,
    subject_version: int | None,
    old_state: str,
    new_state: str,
    cause: str,
    document: str,
    quarantined: bool,
) -> str:
    """`event_hash` of a row as it is stored, times as `instant()` writes them.

    Written out, since a chain of a million rows is walked: it is the canonical JSON of the same names and values.
    """
    body = (
        f'{previous}{{"account":{_text(account)},"actor":{_text(actor)},"at":"{at}","cause":{_text(cause)},'
        f'"correlation_id":{_text(correlation_id)},"document":{_text(document)},'
        f'"market_at":{_text(market_at) if market_at else "null"},"new_state":{_text(new_state)},'
        f'"old_state":{_text(old_state)},"quarantined":{"true" if quarantined else "false"},"seq":{seq},'
        f'"subject":{_text(subject)},"subject_version":{"null" if subject_version is None else subject_version},'
        f'"type":{_text(type)}}}'
    )
    return hashlib.sha256(body.encode()).hexdigest()
