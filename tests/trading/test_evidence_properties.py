"""Whatever the order in which the broker's words arrive, and however often: the same life, the same shares, trades."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autotrader.core.audit.verify import verify_chain
from tests.trading.builders import bracket, cost, deliver, fill, missing, report, said, sent
from trading.models import Fill, Order, Trade
from trading.services.order_states import GRAPH

# Each word's booking is tried on both databases in test_evidence.py; their order is ours alone.
pytestmark = pytest.mark.once
# Shrinking would take longer than a test may; the failing order is printed as it is.
QUICK = settings(
    max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow], database=None
)
Story = Callable[[list[Order]], list[Any]]


def filled_in_parts(legs: list[Order]) -> list[Any]:
    entry = legs[0]
    one, two, three = (fill(entry, size, price, number=n) for n, (size, price) in enumerate(PARTS, 1))
    return [
        sent(entry), report(entry, "PreSubmitted"), report(entry, "Submitted"), one, report(entry, "Submitted", "2"),
        cost(one), two, report(entry, "Submitted", "5"), cost(two), three, report(entry, "Filled", "10"), cost(three),
    ]  # fmt: skip


PARTS = (("2", "100"), ("3", "100.5"), ("5", "99.75"))


def cancelled_in_part(legs: list[Order]) -> list[Any]:
    entry = legs[0]
    one = fill(entry, "4")
    return [
        sent(entry), report(entry, "Submitted"), one, cost(one), report(entry, "Submitted", "4"), said(entry, 202),
        report(entry, "Cancelled", "4"),
    ]  # fmt: skip


def corrected(legs: list[Order]) -> list[Any]:
    entry = legs[0]
    wrong, right = fill(entry, "10", "100"), fill(entry, "10", "99.5", correction=2)
    return [
        sent(entry),
        report(entry, "Submitted"),
        wrong,
        cost(wrong),
        report(entry, "Filled", "10"),
        right,
        cost(right),
    ]


def stopped_out(legs: list[Order]) -> list[Any]:
    entry, stop, target = legs
    opened, closed = fill(entry, "10"), fill(stop, "10", "95", number=2)
    return [
        *(sent(leg) for leg in legs), *(report(leg, "PreSubmitted") for leg in legs), opened, cost(opened),
        report(entry, "Filled", "10"), closed, cost(closed), report(stop, "Filled", "10"),
        report(target, "Cancelled"), said(target, 202),
    ]  # fmt: skip


def rejected(legs: list[Order]) -> list[Any]:
    entry, stop, target = legs
    return [
        *(sent(leg) for leg in legs), said(entry, 201, "no margin"), report(entry, "Inactive"),
        *(report(leg, "Cancelled") for leg in (stop, target)),
    ]  # fmt: skip


STORIES: list[Story] = [filled_in_parts, cancelled_in_part, corrected, stopped_out, rejected]


def outcome(legs: list[Order]) -> Any:
    """All that must not depend on the way there."""
    rows = Order.objects.filter(pk__in=[leg.pk for leg in legs]).order_by("id")
    return (
        list(rows.values_list("state", "filled_quantity", "average_price", "broker_status", "submission_state")),
        list(
            Fill.objects.filter(superseded=False).order_by("exec_id").values_list("exec_id", "quantity", "commission")
        ),
        list(
            Trade.objects.order_by("opening_exec_id").values_list(
                "opening_exec_id", "state", "side", "quantity", "open_quantity", "entry_price", "commission", "pnl"
            )
        ),
    )


def play(events: Sequence[Any]) -> None:
    """As the writer: what cannot be booked yet is tried again when something else could."""
    waiting: list[Any] = []
    for event in events:
        if _booked(event):
            waiting = [earlier for earlier in waiting if not _booked(earlier)]
        else:
            waiting.append(event)
    assert waiting == []


def _booked(event: Any) -> bool:
    try:
        deliver(event)
    except Fill.DoesNotExist:
        return False
    return True


def played(legs: list[Order], events: Sequence[Any]) -> Any:
    """The outcome of these events, after which nothing of them is left."""
    with transaction.atomic():
        play(events)
        result = outcome(legs)
        assert verify_chain().ok
        transaction.set_rollback(True)
    return result


@pytest.mark.parametrize("story", STORIES)
def test_any_order_and_any_repetition_ends_alike(db: None, story: Story) -> None:
    legs = bracket()
    events = story(legs)
    expected = played(legs, events)

    @QUICK
    @given(order=st.permutations(range(len(events))), again=st.lists(st.integers(0, len(events) - 1), max_size=6))
    def check(order: list[int], again: list[int]) -> None:
        told = [events[number] for number in order]
        for number in again:
            told.insert(number, events[number])
        assert played(legs, told) == expected

    check()


@pytest.mark.parametrize("story", STORIES)
def test_a_book_that_lacks_the_order_for_a_while_changes_nothing(db: None, story: Story) -> None:
    """Reconcile may look between any two words; what the broker says afterwards stands."""
    legs = bracket()
    events = story(legs)
    expected = played(legs, events)
    for number in range(1, len(events)):
        told = [*events[:number], missing(legs[0], proven=False), *events[number:]]
        assert played(legs, [*told, *events]) == expected


def test_the_row_never_leaves_the_graph(db: None) -> None:
    """Any words in any order, sensible or not: each step is an edge, and the row stays readable."""
    legs = bracket()
    entry = legs[0]
    words = [
        *(report(entry, status, "4") for status in ("PreSubmitted", "Submitted", "Cancelled", "Filled", "Inactive")),
        *(fill(entry, size, number=n) for n, size in enumerate(("4", "6", "3"), 1)),
        fill(entry, "0", number=1, correction=2), said(entry, 201), said(entry, 399), sent(entry), sent(entry, "VOID"),
        missing(entry, proven=False), missing(entry, proven=True),
    ]  # fmt: skip

    @QUICK
    @given(st.lists(st.sampled_from(words), max_size=12))
    def check(told: list[Any]) -> None:
        with transaction.atomic():
            state = "SENDING"
            for word in told:
                deliver(word)
                row = Order.objects.get(pk=entry.pk)
                assert row.state == state or row.state in GRAPH[state]  # type: ignore[index]
                assert (row.ended_at is not None) == (not GRAPH[row.state] & {"SENDING", "UNKNOWN"})  # type: ignore[index]
                state = row.state
                assert row.filled_quantity == sum(
                    part.quantity for part in Fill.objects.filter(order=entry, superseded=False)
                )
            transaction.set_rollback(True)

    check()
