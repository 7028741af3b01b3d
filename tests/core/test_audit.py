"""Recording: frames and savepoints, numbers, quarantine, once only, and a chain that names its break."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from autotrader.core.audit import acting, record, recording
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import AuditHead, Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.errors import AlreadyDone
from tests import database

MARKET = datetime(2019, 6, 3, 20, 0, tzinfo=UTC)


def subjects() -> list[str]:
    return list(Event.objects.order_by("seq").values_list("subject", flat=True))


def queue(subject: str, version: int | None = None, **fields: Any) -> None:
    record(EventType.CYCLE_QUEUED, subject, version=version, **fields)


def fail() -> None:
    raise ValueError("as planned")


def test_a_nested_frame_vanishes_with_its_savepoint(db: None) -> None:
    with recording():
        queue("before")
        with pytest.raises(ValueError, match="as planned"), recording():
            queue("lost")
            with recording():
                queue("lost with the frame around it")
            fail()
        with recording():
            queue("inner")
        queue("after")
    assert subjects() == ["before", "inner", "after"]
    assert verify_chain().ok


def test_an_outer_error_takes_everything(db: None) -> None:
    with pytest.raises(ValueError, match="as planned"), recording():
        with recording():
            queue("inner")
        fail()
    assert subjects() == []
    assert AuditHead.objects.get().seq == 0


def test_events_share_the_fate_of_the_rows_beside_them(db: None) -> None:
    with pytest.raises(ValueError, match="as planned"), transaction.atomic():
        with recording():
            queue("rolled back outside")
        fail()
    with recording():
        queue("kept")
    assert [(event.seq, event.subject) for event in Event.objects.all()] == [(1, "kept")]


def test_recording_outside_a_frame_raises(db: None) -> None:
    with pytest.raises(RuntimeError, match="outside"):
        queue("nowhere")
    with pytest.raises(ValueError, match="as planned"), recording():
        fail()
    with pytest.raises(RuntimeError, match="outside"):
        queue("the failed frame is closed")


def test_durable_refuses_to_run_inside_a_transaction(transactional_db: None) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"), recording(durable=True):
        queue("not committed yet")
    with recording(durable=True):
        queue("committed")
    assert subjects() == ["committed"]


def test_numbers_have_no_gap(db: None) -> None:
    for round_ in range(3):
        with recording():
            queue(f"{round_}a")
            queue(f"{round_}b")
        with pytest.raises(ValueError, match="as planned"), recording():
            queue("never")
            fail()
    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert verify_chain().rows == 6


def test_the_document_is_canonical_json(db: None) -> None:
    with recording():
        queue("order:1", document={"b": Decimal("1.50"), "a": MARKET, "c": (1, 2)}, market_at=MARKET, account="DU1")
    event = Event.objects.get()
    assert event.document == '{"a":"2019-06-03T20:00:00.000000+00:00","b":"1.50","c":[1,2]}'
    assert (event.account, event.market_at, event.quarantined) == ("DU1", MARKET, False)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(float("nan"), id="nan"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(b"\xff\x00", id="bytes"),
        pytest.param(object(), id="object"),
        pytest.param(datetime(2019, 6, 3), id="naive"),  # noqa: DTZ001
        pytest.param({1: "a", "b": 2}, id="mixed keys"),
        pytest.param({1, "a"}, id="mixed set"),
    ],
)
def test_what_json_cannot_hold_is_kept_as_text(db: None, value: object) -> None:
    with recording():
        queue("odd", document={"value": value})
    event = Event.objects.get()
    assert event.quarantined
    assert json.loads(event.document)["text"].startswith("{'value': ")
    assert verify_chain().ok


@pytest.mark.parametrize("text", ["\x00", "a\\u0000b", "\ud800", "\u2028", "💸"])
def test_odd_characters_are_stored_and_hash_the_same(db: None, text: str) -> None:
    with recording():
        queue("odd", document={"text": text}, cause=text)
    assert verify_chain().ok
    assert json.loads(Event.objects.get().document)


class Unprintable:
    def __repr__(self) -> str:
        raise LookupError("no words")


def test_even_what_cannot_be_described_is_recorded(db: None) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with recording():
        queue("a", document={"value": Unprintable()})
        queue("b", document={"value": deep})
    assert list(Event.objects.values_list("quarantined", flat=True)) == [True, True]


def test_long_names_are_cut_to_the_column(db: None) -> None:
    with acting(actor="a" * 200, correlation_id="c" * 200), recording():
        queue("s" * 200, old_state="o" * 200, new_state="n" * 200, account="DU" * 200, cause="why" * 20_000)
    event = Event.objects.get()
    assert (len(event.actor), len(event.subject), len(event.correlation_id)) == (80, 80, 64)
    assert verify_chain().ok


def test_a_document_that_holds_itself_is_quarantined(db: None) -> None:
    document: dict[str, object] = {}
    document["self"] = document
    with recording():
        queue("loop", document=document)
    assert Event.objects.get().quarantined


def test_the_same_event_of_the_same_version_is_already_done(db: None) -> None:
    with acting(correlation_id="c1"):
        with recording():
            queue("order:1", 1)
        with pytest.raises(AlreadyDone) as caught, recording():
            queue("other", 1)
            queue("order:1", 1)
        with recording():
            queue("order:1", 2)
    with acting(correlation_id="c2"), recording():
        queue("order:1", 1)
    assert caught.value.details["subject"] == "order:1"
    assert subjects() == ["order:1", "order:1", "order:1"]
    assert verify_chain().ok


def test_twice_in_one_frame_is_refused_too(db: None) -> None:
    with acting(correlation_id="c1"), pytest.raises(AlreadyDone), recording():
        queue("order:1", 1)
        queue("order:1", 1)
    assert subjects() == []


def test_without_a_version_an_event_may_repeat(db: None) -> None:
    with acting(correlation_id="c1"), recording():
        queue("broker")
        queue("broker")
    assert subjects() == ["broker", "broker"]


def test_actor_and_correlation_are_inherited(db: None) -> None:
    with acting(actor="ann", correlation_id="outer"):
        with acting(actor="worker-1"), recording():
            queue("a")
        with acting(correlation_id="inner"), recording():
            queue("b")
        with recording():
            queue("c")
    with acting(actor="bob") as who, recording():
        queue("d")
        queue("e")
    with recording():
        queue("f")
    rows = list(Event.objects.order_by("seq").values_list("actor", "correlation_id"))
    assert rows[:3] == [("worker-1", "outer"), ("ann", "inner"), ("ann", "outer")]
    assert rows[3] == rows[4] == ("bob", who.correlation_id)
    assert rows[5][0] == "system"
    assert len(rows[5][1]) == 32


def tamper(*statements: str) -> None:
    with connection.cursor() as cursor, database.append_only_lifted(cursor):
        for statement in statements:
            cursor.execute(statement)


COLUMNS = "at, market_at, type, account, actor, correlation_id || 'x', subject, subject_version, old_state, new_state"
INSERT = (
    f"INSERT INTO audit_event SELECT 6, {COLUMNS}, cause, document, quarantined, previous_hash, hash "
    "FROM audit_event WHERE seq = 5"
)
SWAP = (
    "UPDATE audit_event SET seq = 99 WHERE seq = 2",
    "UPDATE audit_event SET seq = 2 WHERE seq = 3",
    "UPDATE audit_event SET seq = 3 WHERE seq = 99",
)


@pytest.mark.parametrize(
    ("statements", "row"),
    [
        pytest.param(("UPDATE audit_event SET document = '{\"quantity\":900}' WHERE seq = 3",), 3, id="edit"),
        pytest.param(("UPDATE audit_event SET account = 'U1' WHERE seq = 1",), 1, id="edit the first"),
        pytest.param(("UPDATE audit_event SET market_at = NULL WHERE seq = 4",), 4, id="edit a time"),
        pytest.param(("DELETE FROM audit_event WHERE seq = 2",), 3, id="delete"),
        pytest.param((INSERT,), 6, id="insert"),
        pytest.param(SWAP, 2, id="swap"),
        pytest.param(("DELETE FROM audit_event WHERE seq >= 4",), 4, id="cut the tail"),
        pytest.param(("DELETE FROM audit_event",), 1, id="cut everything"),
    ],
)
def test_the_first_row_that_does_not_fit_is_named(db: None, statements: tuple[str, ...], row: int) -> None:
    with acting(actor="ann", correlation_id="c"), recording():
        for number in range(5):
            queue(f"order:{number}", 1, market_at=MARKET, document={"quantity": number})
    assert verify_chain().ok
    tamper(*statements)
    verdict = verify_chain()
    assert not verdict.ok
    assert verdict.bad_seq == row


def verify_command() -> tuple[int, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("verify_audit", stdout=out, stderr=err)
    except SystemExit as stop:
        return int(stop.code or 0), err.getvalue()
    return 0, out.getvalue()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param(lambda: None, 0, "1 rows, chain whole", id="whole"),
        pytest.param(lambda: tamper("UPDATE audit_event SET actor = 'eve'"), 1, "broken at row 1", id="edited"),
    ],
)
def test_the_command_says_so(db: None, change: Callable[[], None], code: int, words: str) -> None:
    with recording():
        queue("a")
    change()
    exit_code, text = verify_command()
    assert exit_code == code
    assert words in text
