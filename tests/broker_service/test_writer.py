"""One transaction an event, in order; what fails blocks its order only, and nothing within the bound is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError

from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from broker import types
from broker.errors import BrokerUnavailable
from broker.models import BrokerMessage
from broker.service import evidence
from broker.service.writer import Writer
from tests.broker.test_heard import FILL, REPORT
from tests.broker_service.house import ACCOUNT, NOW, MemoryDesk
from tests.support import eventually

LIMIT = 45.0


def message(order_ref: str, code: int = 1) -> types.OrderMessage:
    return types.OrderMessage(ACCOUNT, order_ref, 0, code, "text", NOW)


def codes(desk: MemoryDesk) -> list[tuple[str, int]]:
    return [(event.order_ref, event.code) for event in desk.all(types.OrderMessage)]


def stored(order_ref: str) -> list[str]:
    return list(BrokerMessage.objects.filter(order_ref=order_ref).order_by("id").values_list("state", flat=True))


def _wait(gate: threading.Event) -> None:
    gate.wait(LIMIT)


@pytest.fixture
def looks() -> list[bool]:
    return []


@pytest.fixture
def writer(desk: MemoryDesk, looks: list[bool]) -> Iterator[Writer]:
    made = Writer(look_again=lambda: looks.append(True), bound=20)
    made.start()
    yield made
    made.stop(LIMIT)


def test_events_are_applied_in_order_with_their_raw_message(writer: Writer, desk: MemoryDesk) -> None:
    for number in range(5):
        writer.put(message("A", number))
    writer.drain(LIMIT)
    assert codes(desk) == [("A", number) for number in range(5)]
    assert stored("A") == ["APPLIED"] * 5


def test_what_fails_blocks_its_order_and_no_other(writer: Writer, desk: MemoryDesk) -> None:
    desk.failing["A"] = ValueError("no such order")
    for event in (message("A", 1), message("B", 1), message("A", 2), message("B", 2)):
        writer.put(event)
    writer.drain(LIMIT)
    assert codes(desk) == [("B", 1), ("B", 2)]
    assert stored("A") == ["ERROR", "ERROR"]
    assert writer.blocks("A")
    assert not writer.blocks("B")
    assert Event.objects.filter(type="BROKER_MESSAGE_FAILED").count() == 1


def test_a_retry_applies_what_failed_in_its_order(writer: Writer, desk: MemoryDesk) -> None:
    desk.failing["A"] = ValueError("not yet")
    writer.put(message("A", 1))
    writer.put(message("A", 2))
    writer.drain(LIMIT)
    desk.failing.clear()
    writer.submit(writer.retry_blocked)
    writer.put(message("A", 3))
    writer.drain(LIMIT)
    assert codes(desk) == [("A", 1), ("A", 2), ("A", 3)]
    assert stored("A") == ["APPLIED"] * 3
    assert not writer.blocks("A")


def test_a_retry_that_fails_again_leaves_the_rest_waiting(writer: Writer, desk: MemoryDesk) -> None:
    desk.failing["A"] = ValueError("no")
    writer.put(message("A", 1))
    writer.put(message("A", 2))
    writer.submit(writer.retry_blocked)
    writer.drain(LIMIT)
    assert stored("A") == ["ERROR", "ERROR"]
    assert writer.blocks("A")


@pytest.mark.parametrize(
    ("kind", "payload"), [("OrderMessage", '{"account": "DU1", "a_field_of": "another build"}'), ("NoSuchKind", "{}")]
)
def test_a_failed_message_that_no_build_of_today_can_read_ends_no_writer(
    desk: MemoryDesk, kind: str, payload: str
) -> None:
    BrokerMessage.objects.create(kind=kind, order_ref="A", payload=payload, received_at=NOW, state="ERROR")
    BrokerMessage.objects.create(kind="PositionMismatch", payload=payload, received_at=NOW, state="APPLIED")
    writer = Writer(look_again=lambda: None)
    writer.start()
    writer.put(message("B", 1))
    writer.drain(LIMIT)
    assert codes(desk) == [("B", 1)]
    assert writer.healthy
    assert writer.blocks("A")
    assert evidence.mismatches(ACCOUNT) == []
    told = [(item.account, item.order_ref) for item in evidence.blocked()]
    assert told == ([("DU1", "A")] if kind == "OrderMessage" else []), "a person sees what blocks"
    writer.stop(LIMIT)


def test_the_next_owner_takes_up_what_failed_before_anything_new(desk: MemoryDesk) -> None:
    desk.failing["A"] = ValueError("no")
    first = Writer(look_again=lambda: None)
    first.start()
    first.put(message("A", 1))
    first.stop(LIMIT)
    desk.failing.clear()
    second = Writer(look_again=lambda: None)
    second.put(message("A", 2))
    second.start()
    second.drain(LIMIT)
    second.stop(LIMIT)
    assert codes(desk) == [("A", 1), ("A", 2)]


def test_the_next_owner_stores_only_what_is_new(desk: MemoryDesk) -> None:
    late = BrokerMessage(kind="OfAnotherVersion", payload="{}", received_at=system_now(), state="APPLIED")
    late.save()
    for status in ("PreSubmitted", "Submitted", "Submitted", "Filled", "Submitted"):
        writer = Writer(look_again=lambda: None)
        writer.start()
        for event in (replace(REPORT, status=status), FILL):
            writer.put(event)
        writer.drain(LIMIT)
        writer.stop(LIMIT)
    assert [report.status for report in desk.all(types.OrderReport)] == [
        "PreSubmitted",
        "Submitted",
        "Filled",
        "Submitted",
    ]
    assert len(desk.all(types.ExecutionReport)) == 1
    assert BrokerMessage.objects.count() == 1 + 4 + 1


def test_the_record_is_recalled_without_a_gap_and_not_beyond_its_age(desk: MemoryDesk) -> None:
    now = system_now()
    ages = {1: 0, 2: 25, 3: 1, 4: 0}  # a clock may have been set back in between
    for code, hours in ages.items():
        evidence.apply(message("A", code), desk, now - timedelta(hours=hours))
    assert evidence.recent(now) == [(message("A", 3), True), (message("A", 4), True)]


def test_a_database_that_goes_away_loses_nothing_and_the_book_is_read_again(
    writer: Writer, desk: MemoryDesk, looks: list[bool]
) -> None:
    desk.failing["A"] = OperationalError("server closed the connection")
    writer.put(message("A", 1))
    writer.put(message("B", 1))
    eventually(lambda: not writer.healthy)
    desk.failing.clear()
    writer.drain(LIMIT)
    assert codes(desk) == [("A", 1), ("B", 1)]
    assert stored("A") == ["APPLIED"]
    assert writer.healthy
    assert looks


def test_it_ends_soon_where_the_database_stays_away(writer: Writer, desk: MemoryDesk) -> None:
    desk.failing["A"] = OperationalError("server closed the connection")
    writer.put(message("A", 1))
    eventually(lambda: not writer.healthy)
    began = time.monotonic()
    writer.stop(LIMIT)
    assert time.monotonic() - began < LIMIT / 2


def test_an_error_of_the_database_that_belongs_to_one_message_does_not_stop_the_others(
    writer: Writer, desk: MemoryDesk
) -> None:
    desk.failing["A"] = OperationalError("no such column")
    writer.put(message("A", 1))
    writer.put(message("B", 1))
    writer.drain(LIMIT)
    assert codes(desk) == [("B", 1)]
    assert stored("A") == ["ERROR"]


@contextmanager
def held(writer: Writer) -> Iterator[None]:
    """The writer waits at a job of its queue for the length of the block."""
    began, gate = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        gate.wait(LIMIT)

    writer.submit(hold)
    assert began.wait(LIMIT)
    yield
    gate.set()


def test_beyond_the_bound_the_loss_is_on_record_and_the_book_is_read_again(
    writer: Writer, desk: MemoryDesk, looks: list[bool]
) -> None:
    with held(writer):
        for number in range(25):
            writer.put(message("A", number))
        assert not writer.healthy
    writer.drain(LIMIT)
    assert looks
    assert len(codes(desk)) == 20
    assert Event.objects.filter(type="BROKER_MESSAGE_FAILED", subject="broker:queue").exists()


def test_a_drain_that_cannot_end_says_so(writer: Writer) -> None:
    gate = threading.Event()
    writer.submit(lambda: _wait(gate))
    with pytest.raises(BrokerUnavailable):
        writer.drain(0.05)
    gate.set()


def test_a_job_that_fails_does_not_end_the_writer(writer: Writer, desk: MemoryDesk) -> None:
    writer.submit(lambda: _wait(None))  # type: ignore[arg-type]
    writer.put(message("A"))
    writer.drain(LIMIT)
    assert codes(desk) == [("A", 1)]


def test_texts_and_numbers_that_a_database_dislikes_are_stored(writer: Writer, desk: MemoryDesk) -> None:
    writer.put(message("\x00" + "long" * 100))
    order = types.CommissionReport(ACCOUNT, "C", "e\x00" * 200, Decimal("NaN"), "USD", None, NOW)
    writer.put(order)
    writer.drain(LIMIT)
    assert BrokerMessage.objects.filter(state="APPLIED").count() == 2


# Several that wait


def report(order_ref: str, status: str = "Submitted") -> types.OrderReport:
    return replace(REPORT, order_ref=order_ref, status=status)


def execution(order_ref: str) -> types.ExecutionReport:
    return replace(FILL, order_ref=order_ref, exec_id=f"{order_ref}.01")


def told_at_once(writer: Writer, *events: types.BrokerEvent) -> None:
    """All of them wait when the writer looks."""
    with held(writer):
        for event in events:
            writer.put(event)
    writer.drain(LIMIT)


def record() -> list[tuple[str, str, str]]:
    return list(BrokerMessage.objects.order_by("id").values_list("order_ref", "kind", "state"))


def test_what_waits_shares_a_transaction_that_ends_with_a_fill(writer: Writer, desk: MemoryDesk) -> None:
    events = [report("A"), report("B"), execution("A"), report("A", "Filled"), report("C")]
    told_at_once(writer, *events)
    assert desk.runs == [events[:3], events[3:]]
    assert desk.events == events
    assert record() == [(event.order_ref, type(event).__name__, "APPLIED") for event in events]


def test_what_goes_alone_keeps_its_place(writer: Writer, desk: MemoryDesk) -> None:
    unnamed = replace(REPORT, order_ref="", perm_id=5)
    events = [
        report("A"),
        report("B"),
        message("A"),
        report("A", "Filled"),
        report("B", "Filled"),
        unnamed,
        report("C"),
    ]
    told_at_once(writer, *events)
    assert desk.runs == [events[:2], events[3:5]]
    assert desk.events == events
    assert [kind for _, kind, _ in record()] == [type(event).__name__ for event in events]


def test_many_that_wait_are_several_transactions(writer: Writer, desk: MemoryDesk) -> None:
    events = [report(f"A{number}") for number in range(19)]
    told_at_once(writer, *events)
    assert [len(run) for run in desk.runs] == [16, 3]
    assert desk.events == events


def test_one_of_several_that_fails_blocks_its_order_only(writer: Writer, desk: MemoryDesk) -> None:
    desk.failing["B"] = ValueError("no such order")
    told_at_once(writer, report("A"), report("B"), report("C"), report("B", "Filled"), report("A", "Filled"))
    assert [(event.order_ref, event.status) for event in desk.all(types.OrderReport)] == [
        ("A", "Submitted"),
        ("C", "Submitted"),
        ("A", "Filled"),
    ]
    assert [(order_ref, state) for order_ref, _, state in record()] == [
        ("A", "APPLIED"),
        ("B", "ERROR"),
        ("C", "APPLIED"),
        ("B", "ERROR"),
        ("A", "APPLIED"),
    ]
    assert writer.blocks("B")
    assert Event.objects.filter(type="BROKER_MESSAGE_FAILED").count() == 1
    desk.failing.clear()
    writer.submit(writer.retry_blocked)
    writer.drain(LIMIT)
    assert [event.status for event in desk.all(types.OrderReport, "B")] == ["Submitted", "Filled"]
    assert [state for _, _, state in record()] == ["APPLIED"] * 5


def test_what_is_refused_together_is_applied_one_by_one(writer: Writer, desk: MemoryDesk) -> None:
    desk.refused.add("B")
    events = [report("A"), report("B"), report("B"), report("C"), report("A")]
    told_at_once(writer, *events)
    told_at_once(writer, report("A"), report("B"), report("C"))
    assert desk.events == [report("A"), report("B"), report("C")]
    assert [state for _, _, state in record()] == ["APPLIED"] * 3


def test_what_was_known_before_a_run_that_is_refused_stays_known(writer: Writer, desk: MemoryDesk) -> None:
    """Such as a message that a person has set aside: it would block its order anew."""
    told_at_once(writer, report("A"))
    desk.failing["A"] = ValueError("no such order")
    told_at_once(writer, report("A"), report("B"), report("A", "Filled"))
    assert [(order_ref, state) for order_ref, _, state in record()] == [
        ("A", "APPLIED"),
        ("B", "APPLIED"),
        ("A", "ERROR"),
    ]
    assert [event.status for event in desk.all(types.OrderReport, "A")] == ["Submitted"]


def test_what_is_told_again_in_a_run_is_stored_once(writer: Writer, desk: MemoryDesk) -> None:
    again = replace(report("A"), time=NOW + timedelta(seconds=1))
    told_at_once(writer, report("A"), again, report("B"), report("A", "Filled"), report("A"), again)
    assert [event.status for event in desk.all(types.OrderReport, "A")] == ["Submitted", "Filled", "Submitted"]
    told_at_once(writer, report("A"), report("B"))
    assert len(record()) == 4


def test_a_database_that_goes_away_under_a_run_loses_nothing(
    writer: Writer, desk: MemoryDesk, looks: list[bool]
) -> None:
    desk.failing["B"] = OperationalError("server closed the connection")
    for event in (report("A"), report("B"), report("C")):
        writer.put(event)
    eventually(lambda: not writer.healthy)
    desk.failing.clear()
    writer.drain(LIMIT)
    assert [event.order_ref for event in desk.all(types.OrderReport)] == ["A", "B", "C"]
    assert [state for _, _, state in record()] == ["APPLIED"] * 3
    assert looks


def test_a_change_s_submission_goes_alone() -> None:
    sent = types.SubmissionReport(ACCOUNT, "A", 0, "SENT", NOW)
    assert evidence.may_go_together(sent)
    assert not evidence.may_go_together(replace(sent, revision=1))
    assert not evidence.may_go_together(types.CommissionReport("", "", "x.01", Decimal(1), "USD", None, NOW))
