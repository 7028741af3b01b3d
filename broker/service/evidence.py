"""What the broker said becomes one committed transaction, alone or with its like: raw message, rows and Events."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from broker import codec, types
from broker.models import BrokerMessage
from broker.service.desk import Desk

ACTOR = "broker"
Together = types.SubmissionReport | types.OrderReport | types.ExecutionReport | types.CommissionReport
RECALLED = timedelta(hours=24)  # at a start; a broker tells today's orders and fills again, no older ones
RECALLED_ROWS = 20_000
State = BrokerMessage.State


def key_of(event: types.BrokerEvent) -> str:
    """What an event that fails blocks: its order; empty where it belongs to none."""
    order_ref: str = getattr(event, "order_ref", "")
    perm_id: int = getattr(event, "perm_id", 0)
    return order_ref or (f"perm:{perm_id}" if perm_id else "")


def apply(event: types.BrokerEvent, desk: Desk, now: datetime) -> None:
    """Store and book the event; whatever is raised leaves nothing behind."""
    with audit.acting(actor=ACTOR), audit.recording(point=f"evidence_{type(event).__name__}"):
        _message(event, now, State.APPLIED, "").save()
        _book(event, desk)


def may_go_together(event: types.BrokerEvent) -> bool:
    """True for what an order of ours sets off many times in a moment: it can share a transaction with its like."""
    if isinstance(event, types.SubmissionReport) and event.revision:
        return False
    return isinstance(event, Together) and bool(event.account and event.order_ref)


def apply_together(events: Sequence[types.BrokerEvent], desk: Desk, now: datetime) -> None:
    """Store and book several events in their order, all or none; whatever is raised leaves nothing behind."""
    with (
        audit.acting(actor=ACTOR),
        audit.recording(point=[f"evidence_{type(event).__name__}" for event in events]),
    ):
        BrokerMessage.objects.bulk_create([_message(event, now, State.APPLIED, "") for event in events])
        with desk.together(events):
            for event in events:
                with audit.acting(correlation_id=uuid.uuid4().hex):
                    _book(event, desk)


def store_failed(event: types.BrokerEvent, problem: str, now: datetime, *, alarm: bool) -> None:
    """Keep an event that could not be applied; `alarm` records it for people."""
    with audit.acting(actor=ACTOR), audit.recording():
        row = _message(event, now, State.ERROR, problem)
        row.save()
        if alarm:
            document = {"kind": row.kind, "order_ref": row.order_ref, "error": problem}
            audit.record(
                EventType.BROKER_MESSAGE_FAILED,
                f"broker_message:{row.pk}",
                account=getattr(event, "account", "")[:40],
                cause=problem,
                document=document,
            )


def record_overflow(lost: int) -> None:
    """Say that events were dropped at the bound of the queue."""
    with audit.acting(actor=ACTOR), audit.recording():
        audit.record(
            EventType.BROKER_MESSAGE_FAILED,
            "broker:queue",
            cause=f"{lost} broker events came while the queue was full; the broker's book is read again",
            document={"lost": lost},
        )


def seen(order_refs: Collection[str]) -> set[str]:
    """Those of these orders that the broker has ever told of."""
    kinds = (types.OrderReport.__name__, types.ExecutionReport.__name__)
    rows = BrokerMessage.objects.filter(order_ref__in=order_refs, kind__in=kinds)
    return set(rows.values_list("order_ref", flat=True))


def mismatches(account: str) -> list[types.PositionMismatch]:
    """What was told of positions that differ from our fills, oldest first."""
    rows = BrokerMessage.objects.filter(kind=types.PositionMismatch.__name__).order_by("id")
    told = (_read(row.kind, row.payload) for row in rows)
    return [event for event in told if isinstance(event, types.PositionMismatch) and event.account == account]


def doubles(account: str) -> list[tuple[types.OrderDoubled, datetime]]:
    """What was told of references with more than one working order, oldest first, and when."""
    rows = BrokerMessage.objects.filter(kind=types.OrderDoubled.__name__).order_by("id")
    told = ((_read(row.kind, row.payload), row.received_at) for row in rows)
    return [(event, at) for event, at in told if isinstance(event, types.OrderDoubled) and event.account == account]


def failed() -> dict[str, list[BrokerMessage]]:
    """The messages in state ERROR in the order they came, by what they block."""
    blocked: dict[str, list[BrokerMessage]] = {}
    for row in BrokerMessage.objects.filter(state=State.ERROR).order_by("id"):
        blocked.setdefault(_key_of_row(row), []).append(row)
    return blocked


def blocked() -> list[types.Blocked]:
    """The same for people, as far as the messages tell their account."""
    return [
        types.Blocked(
            key,
            account,
            rows[0].order_ref,
            rows[0].perm_id,
            rows[0].kind,
            rows[0].error,
            rows[0].received_at,
            tuple(row.pk for row in rows),
        )
        for key, rows in failed().items()
        if (account := _account_of(rows[0]))
    ]


def _account_of(row: BrokerMessage) -> str:
    """Also of a message that cannot be read any more: a person must see what blocks."""
    try:
        return str(json.loads(row.payload).get("account", ""))
    except (ValueError, AttributeError):
        return ""


def set_aside(messages: Collection[int]) -> list[types.BrokerEvent]:
    """A person has said that these need not be applied: they block nothing any more, and stay on record.

    What they said, oldest first, as far as it can be read.
    """
    rows = BrokerMessage.objects.filter(pk__in=messages, state=State.ERROR).order_by("id")
    said = [event for row in rows if (event := _read(row.kind, row.payload)) is not None]
    rows.update(state=State.ASIDE, version=F("version") + 1)
    return said


def recent(now: datetime) -> list[tuple[types.BrokerEvent | None, bool]]:
    """The newest messages without a gap, oldest first: what was said (None where that cannot be read), and whether it
    was booked at once."""
    rows = BrokerMessage.objects.order_by("-id").values_list("kind", "payload", "received_at", "state", "version")
    young = itertools.takewhile(lambda row: row[2] >= now - RECALLED, rows[:RECALLED_ROWS].iterator())
    found = [
        (_read(kind, payload), (state, version) == (State.APPLIED, 1)) for kind, payload, _, state, version in young
    ]
    return found[::-1]


def _read(kind: str, payload: str) -> types.BrokerEvent | None:
    try:
        event: types.BrokerEvent = codec.loads(getattr(types, kind), payload)
    except (AttributeError, codec.CodecError):  # another version of this program wrote it
        return None
    return event


def retry(rows: Iterable[BrokerMessage], desk: Desk) -> str:
    """Apply failed messages in order, each in its transaction; the first new failure's text ends it, else empty."""
    for row in rows:
        try:
            event = codec.loads(getattr(types, row.kind), row.payload)
            with audit.acting(actor=ACTOR), audit.recording(point="retry"):
                BrokerMessage.objects.filter(pk=row.pk, version=row.version).update(
                    state=State.APPLIED, error="", version=row.version + 1
                )
                _book(event, desk)
        except Exception as error:  # whatever cannot be read or booked stays ERROR, with its reason
            return describe(error)
    return ""


def describe(error: BaseException) -> str:
    """An error's class and text, for a row."""
    return f"{type(error).__name__}: {error}"


def _message(event: types.BrokerEvent, now: datetime, state: str, problem: str) -> BrokerMessage:
    return BrokerMessage(
        kind=type(event).__name__,
        order_ref=getattr(event, "order_ref", "").replace("\x00", "")[:200],
        perm_id=getattr(event, "perm_id", 0),
        exec_id=getattr(event, "exec_id", "").replace("\x00", "")[:200],
        payload=codec.dumps(event),
        received_at=now,
        state=state,
        error=problem.replace("\x00", ""),
    )


def _key_of_row(row: BrokerMessage) -> str:
    return row.order_ref or (f"perm:{row.perm_id}" if row.perm_id else "")


def _book(event: types.BrokerEvent, desk: Desk) -> None:
    desk.apply(event)
    if isinstance(event, types.ConnectionReport):
        _record_connection(event)


def _record_connection(event: types.ConnectionReport) -> None:
    document: dict[str, Any] = {"clock": event.clock, "market_now": event.market_now.isoformat()}
    common: dict[str, Any] = {"account": event.account[:40], "cause": event.detail, "document": document}
    if event.state == "CONNECTED":
        audit.record(EventType.BROKER_CONNECTED, "broker:connection", **common)
    elif event.state == "LOST":
        audit.record(EventType.BROKER_DISCONNECTED, "broker:connection", **common)
    elif event.clock == "set":
        audit.record(EventType.CLOCK_SUBSTITUTED, "broker:connection", market_at=event.market_now, **common)
