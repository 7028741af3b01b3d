"""One transaction an event, in order; what fails blocks its order only, and nothing within the bound is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
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

LIMIT = 10.0


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


def test_beyond_the_bound_the_loss_is_on_record_and_the_book_is_read_again(
    writer: Writer, desk: MemoryDesk, looks: list[bool]
) -> None:
    began, gate = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        gate.wait(LIMIT)

    writer.submit(hold)
    assert began.wait(LIMIT)
    for number in range(25):
        writer.put(message("A", number))
    assert not writer.healthy
    gate.set()
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
