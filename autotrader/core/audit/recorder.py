"""The frames of `recording()`: events are gathered, then written in one go at the end of the outermost transaction."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connection, transaction

from autotrader.core.audit.chain import event_hash, storable, to_document
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import AlreadyDone
from autotrader.core.ops.crashpoints import crashpoint

if TYPE_CHECKING:
    from autotrader.core.audit.models import Event


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts, and under which correlation id."""

    actor: str = "system"
    correlation_id: str = ""


@dataclass(slots=True)
class _Pending:
    type: EventType
    subject: str
    version: int | None
    market_at: datetime | None
    fields: dict[str, Any]


@dataclass(slots=True)
class _Frame:
    events: list[_Pending] = field(default_factory=list)


class _Collision(Exception):
    """One of these rows is on record already; which one is asked when the transaction is rolled back."""

    def __init__(self, rows: list[Event], error: IntegrityError) -> None:
        super().__init__(str(error))
        self.rows, self.error = rows, error


# The widths of the columns; SQLite would take more, PostgreSQL would refuse the money path's transaction.
WIDTHS = {"account": 40, "actor": 80, "correlation_id": 64, "subject": 80, "old_state": 30, "new_state": 30}
CAUSE_LENGTH = 20_000
TOLD = ("seq", "subject", "old_state", "new_state", "account", "actor", "correlation_id")
events_log = logging.getLogger("autotrader.events")
_NOBODY = Acting()
_acting: ContextVar[Acting] = ContextVar("acting", default=_NOBODY)
_local = threading.local()


def _stack() -> list[_Frame]:
    if not hasattr(_local, "frames"):
        _local.frames = []
    frames: list[_Frame] = _local.frames
    return frames


def current() -> Acting:
    """Who acts at this moment, and under which correlation id; both empty of meaning outside `acting()`."""
    return _acting.get()


@contextmanager
def acting(*, actor: str | None = None, correlation_id: str | None = None) -> Iterator[Acting]:
    """Name the actor and the correlation id for everything recorded inside; what is not given is inherited."""
    outer = _acting.get()
    inner = Acting(actor or outer.actor, correlation_id or outer.correlation_id or uuid.uuid4().hex)
    token = _acting.set(inner)
    try:
        yield inner
    finally:
        _acting.reset(token)


@contextmanager
def recording(*, durable: bool = False, point: str | Sequence[str] = ()) -> Iterator[None]:
    """One transaction (outermost) or one savepoint (nested) with its events.

    `durable` refuses to run inside another transaction: leaving the block means the rows are committed. `point` names
    this commit, or all that it is the commit of: where it is the outermost, a test can end the process right before
    and right after it.
    Raises AlreadyDone, with everything rolled back, where the same event of the same subject version is on record.
    """
    stack = _stack()
    frame = _Frame()
    points = [point] if isinstance(point, str) else [*point]
    outermost = not stack
    written: Sequence[Event] = ()
    stack.append(frame)
    try:
        with transaction.atomic(durable=durable):
            yield
            if outermost:
                written = _write(frame.events)
                for name in points:
                    crashpoint(f"{name}_committing")
    except _Collision as collision:
        raise _already_done(collision.rows) or collision.error from collision.error
    finally:
        stack.pop()
    if not outermost:
        stack[-1].events.extend(frame.events)
        return
    for name in points:
        crashpoint(f"{name}_committed")
    _tell(written)


def record(
    type: EventType,
    subject: str,
    *,
    version: int | None = None,
    old_state: str = "",
    new_state: str = "",
    account: str = "",
    cause: str = "",
    market_at: datetime | None = None,
    document: Mapping[str, Any] | None = None,
) -> None:
    """Add an event to the open frame. `subject` is "kind:identity"; `version` is the row's version after the change."""
    stack = _stack()
    if not stack:
        raise RuntimeError("audit.record() outside audit.recording()")
    text, quarantined = to_document(document or {})
    who = _acting.get()
    texts = {
        "account": account,
        "actor": who.actor,
        "correlation_id": who.correlation_id or uuid.uuid4().hex,
        "subject": subject,
        "old_state": old_state,
        "new_state": new_state,
    }
    fields = {
        **{name: storable(value, WIDTHS[name]) for name, value in texts.items()},
        "type": str(type),
        "subject_version": version,
        "cause": storable(cause, CAUSE_LENGTH),
        "document": text,
        "quarantined": quarantined,
    }
    stack[-1].events.append(_Pending(type, subject, version, market_at, fields))


def _tell(written: Sequence[Event]) -> None:
    """A line in the log for each event that is committed."""
    if not events_log.isEnabledFor(logging.INFO):
        return
    for row in written:
        told = {name: getattr(row, name) for name in TOLD}
        events_log.info(row.type, extra={name: value for name, value in told.items() if value != ""})


def _write(pending: list[_Pending]) -> Sequence[Event]:
    """Number, chain and insert the events under the head's lock, the last lock this transaction takes."""
    if not pending:
        return ()
    # Imported late: the package is imported before the app registry is ready.
    from autotrader.core.audit.models import Event

    seq, previous = _head()
    rows = []
    for item in pending:
        seq += 1
        at = system_now()
        digest = event_hash(previous, seq, at, item.market_at, item.fields)
        rows.append(Event(seq=seq, at=at, market_at=item.market_at, previous_hash=previous, hash=digest, **item.fields))
        previous = digest
    try:
        Event.objects.bulk_create(rows)
    except IntegrityError as error:
        raise _Collision(rows, error) from error
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_audithead SET seq = %s, hash = %s WHERE id = 1", [seq, previous])
    return rows


def _head() -> tuple[int, str]:
    """The last number and hash, under the head's lock. Written out: every transaction of the desk asks for it."""
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT seq, hash FROM audit_audithead WHERE id = 1{lock}")
        seq, digest = cursor.fetchone()
    return seq, digest


def _already_done(rows: list[Event]) -> AlreadyDone | None:
    """The first row that is on record, or that stands twice among these."""
    from autotrader.core.audit.models import Event

    seen = []
    for row in rows:
        key = {name: getattr(row, name) for name in ("correlation_id", "type", "subject", "subject_version")}
        if row.subject_version is not None and (key in seen or Event.objects.filter(**key).exists()):
            return AlreadyDone(f"{row.type} of {row.subject} is already recorded.", details=key)
        seen.append(key)
    return None
