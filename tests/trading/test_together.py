"""Several of the broker's words in one transaction: the same rows and events as one by one, and fewer queries."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.ops import crashpoints
from autotrader.wiring import TradingDesk
from broker import types
from broker.models import BrokerMessage
from broker.service import evidence
from broker.service.writer import Writer
from tests.trading.builders import D, bracket, cost, fill, report, sent, strategy
from tests.trading.test_evidence_properties import STORIES, Story
from trading.models import Fill, Order, OrderChange, Trade
from trading.services.sought import BetterAlone

QUICK = settings(
    max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow], database=None
)
LIMIT = 30.0


def at_once(events: Sequence[Any]) -> None:
    evidence.apply_together(events, TradingDesk(), system_now())


def one_by_one(events: Sequence[Any]) -> None:
    for event in events:
        with transaction.atomic():
            evidence.apply(event, TradingDesk(), system_now())


def in_runs(events: Sequence[Any]) -> None:
    """As the writer does it with what waits."""
    try:
        with transaction.atomic():
            at_once(events)
    except Exception:
        one_by_one(events)


def recorded() -> list[Any]:
    """The events in their order, but for numbers that the database draws."""
    fields = ("type", "subject", "subject_version", "old_state", "new_state", "cause", "correlation_id", "market_at")
    found = []
    for row in Event.objects.order_by("seq").values_list(*fields):
        kind = row[1].partition(":")[0]
        found.append((row[0], kind if kind in ("trade", "discrepancy") else row[1], *row[2:]))
    return found


def all_rows() -> Any:
    orders = Order.objects.order_by("id").values(
        "state", "version", "filled_quantity", "average_price", "broker_status", "broker_quantity", "perm_id",
        "submission_state", "rejected", "missing", "reason", "limit_price",
    )  # fmt: skip
    trades = Trade.objects.order_by("opening_exec_id").values(
        "opening_exec_id", "state", "version", "quantity", "open_quantity", "commission", "pnl"
    )
    fills = Fill.objects.order_by("exec_id").values("exec_id", "quantity", "commission", "superseded")
    changes = OrderChange.objects.order_by("id").values("state", "reason")
    return [list(rows) for rows in (orders, trades, fills, changes)]


# The same as one by one


@pytest.mark.parametrize("story", STORIES)
def test_however_the_words_are_grouped_rows_and_events_are_the_same(db: None, story: Story) -> None:
    legs = bracket()
    words = [word for word in story(legs) if evidence.may_go_together(word)]

    def outcome(groups: Sequence[Sequence[Any]]) -> Any:
        with transaction.atomic():
            for group in groups:
                in_runs(group)
            found = [all_rows(), recorded()]
            assert verify_chain().ok
            transaction.set_rollback(True)
        return found

    expected = outcome([[word] for word in words])

    @QUICK
    @given(cuts=st.sets(st.integers(1, len(words) - 1)))
    def check(cuts: set[int]) -> None:
        ends = [*sorted(cuts), len(words)]
        groups = [words[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
        assert outcome(groups) == expected

    check()


def test_a_change_is_proven_by_a_report_in_a_run_and_ends_with_its_order(db: None) -> None:
    entry, stop, target = bracket()
    one_by_one([*(sent(leg) for leg in (entry, stop, target)), report(target, "Submitted")])
    made = [
        OrderChange.objects.create(
            order=target, kind=kind, revision=revision, limit_price=D(112), state="SENDING", created_at=system_now()
        )
        for kind, revision in (("modify", 1), ("cancel", 0))
    ]
    execution = fill(target, "10", "112", number=2)
    at_once([report(stop, "PreSubmitted"), report(target, "Submitted", limit_price=D(112)), execution])
    assert [OrderChange.objects.get(pk=row.pk).state for row in made] == ["ACKED", "REJECTED"]
    assert Order.objects.get(pk=target.pk).limit_price == 112


@pytest.mark.parametrize(
    "change",
    [{"order_ref": "ELSEWHERE-E"}, {"perm_id": 77}],
    ids=["an order that no row knows", "another order under our reference"],
)
def test_what_is_out_of_the_ordinary_is_refused_in_a_run_and_leaves_nothing(db: None, change: dict[str, Any]) -> None:
    entry, stop, _ = bracket()
    one_by_one([report(entry, "Submitted")])
    before = [all_rows(), recorded(), BrokerMessage.objects.count()]
    with pytest.raises(BetterAlone), transaction.atomic():
        at_once([report(stop, "PreSubmitted"), report(entry, "Submitted", **{"perm_id": 78} | change)])
    assert [all_rows(), recorded(), BrokerMessage.objects.count()] == before


def test_a_difference_for_a_person_is_refused_in_a_run(db: None) -> None:
    entry, stop, _ = bracket()
    one_by_one([sent(entry), report(entry, "Cancelled")])
    with pytest.raises(BetterAlone), transaction.atomic():
        at_once([report(stop, "PreSubmitted"), fill(entry, "4")])
    assert not Fill.objects.exists()


def test_a_row_that_somebody_else_wrote_meanwhile_is_not_written_over(db: None) -> None:
    """A look-up holds for its own transaction only."""
    entry = bracket()[0]
    at_once([sent(entry), report(entry, "PreSubmitted")])
    Order.objects.filter(pk=entry.pk).update(broker_status="", version=50)
    at_once([report(entry, "Submitted"), report(entry, "PreSubmitted")])
    row = Order.objects.get(pk=entry.pk)
    assert (row.broker_status, row.version) == ("PreSubmitted", 52)


# What it costs


class Queries:
    """Counts statements but for those that begin and end transactions."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(("BEGIN", "SAVEPOINT", "RELEASE")):
            self.texts.append(sql)
        return execute(sql, params, many, context)


def cost_of(*events: Any) -> int:
    counted = Queries()
    with connection.execute_wrapper(counted):
        at_once(events) if len(events) > 1 else evidence.apply(events[0], TradingDesk(), system_now())
    return len(counted.texts)


def test_what_each_kind_of_word_costs(db: None) -> None:
    entry, stop, target = bracket()
    opened, closed = fill(entry, "10"), fill(target, "10", "110", number=2)
    told = {
        "submission": cost_of(sent(entry)),
        "first report": cost_of(report(entry, "PreSubmitted")),
        "report of another word": cost_of(report(entry, "Submitted")),
        "report that says nothing new": cost_of(report(entry, "Submitted", why_held="trigger")),
        "fill that opens": cost_of(opened),
        "its report": cost_of(report(entry, "Filled", "10")),
        "its cost": cost_of(cost(opened)),
        "fill that closes": cost_of(closed),
        "cancel": cost_of(report(stop, "Cancelled")),
    }
    assert told == {
        "submission": 6,
        "first report": 7,
        "report of another word": 4,
        "report that says nothing new": 3,
        "fill that opens": 14,
        "its report": 4,
        "its cost": 9,
        "fill that closes": 14,
        "cancel": 9,
    }


def test_what_a_bracket_and_its_fill_cost_in_runs(db: None) -> None:
    legs = bracket()
    execution = fill(legs[0], "10")
    assert cost_of(*(sent(leg) for leg in legs)) == 8
    assert cost_of(*(report(leg, "PreSubmitted") for leg in legs), execution) == 17
    rest = (report(legs[0], "Filled", "10"), cost(execution), *(report(leg, "Submitted") for leg in legs[1:]))
    assert cost_of(*rest) == 14


# A process that ends


@pytest.mark.parametrize("side", ["committing", "committed"])
def test_a_kill_around_the_commit_of_a_run_loses_nothing_and_books_nothing_twice(
    transactional_db: None, side: str
) -> None:
    legs = bracket(strategy())
    execution = fill(legs[0], "10")
    words = [*(report(leg, "PreSubmitted") for leg in legs), execution]
    _told_to_a_writer_that_dies(words, f"evidence_OrderReport_{side}:2")
    kept = (BrokerMessage.objects.count(), Fill.objects.count())
    assert kept == ((4, 1) if side == "committed" else (0, 0))
    writer = Writer(look_again=lambda: None)
    writer.start()
    for word in words:
        writer.put(word)
    writer.drain(LIMIT)
    writer.stop(LIMIT)
    told = list(BrokerMessage.objects.order_by("id").values_list("kind", flat=True))
    assert [told.count(kind) for kind in ("ExecutionReport", "OrderReport")] == [
        1,
        5 if side == "committed" else 3,
    ]  # an order that works is looked at anew
    types_told = Event.objects.filter(actor="broker").values_list("type", flat=True).order_by("type")
    assert list(types_told) == [
        "FILL_BOOKED", "ORDER_ACCEPTED", "ORDER_ACCEPTED", "ORDER_ACCEPTED", "ORDER_FILLED", "TRADE_OPENED",
    ]  # fmt: skip
    assert [order.state for order in Order.objects.order_by("id")] == ["FILLED", "ACCEPTED", "ACCEPTED"]
    assert Trade.objects.get().quantity == 10
    assert verify_chain().ok


def _told_to_a_writer_that_dies(words: Sequence[types.BrokerEvent], point: str) -> None:
    """All of them wait before it begins."""
    connections.close_all()  # a connection is no two processes'
    child = os.fork()
    if not child:
        crashpoints.arm(point)
        writer = Writer(look_again=lambda: None)
        for word in words:
            writer.put(word)
        writer.start()
        writer.drain(LIMIT)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
