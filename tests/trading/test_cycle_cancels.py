"""Cancelling a cycle: what waits ends at once, what runs is fenced, what was sent stays with its protection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from tests.support import in_threads
from tests.trading.asking import asked
from tests.trading.builders import bracket, claimed, decided, deliver, fill, intent, report, sent, strategy
from trading.models import Cycle, Order, StepRun, WorkflowExecution
from trading.selectors.cycle_documents import CycleUnknown
from trading.selectors.executions import closable_cycles, orders_sent, unfinished
from trading.selectors.invariants import Terms, Violation, violations
from trading.services.cycle_cancels import CycleCancelled, cycle_cancel
from trading.services.cycles import cycle_close, cycle_fail, cycle_queue
from trading.services.executions import (
    EpochLost,
    StepRecord,
    cycle_started,
    execution_claim,
    execution_end,
    execution_wait,
    lease_extend,
    step_commit,
)
from trading.services.intents import Intent
from trading.services.order_states import GRAPH
from trading.services.orders import entry_write

LANE = "test"
FREE = {"max_open_orders": 1000, "duplicate_window_seconds": 0}


def queued(symbols: tuple[str, ...] = ("AAPL", "IBM", "SPY")) -> Cycle:
    row = strategy(f"s{Cycle.objects.count()}", symbols)
    return cycle_queue(strategies=[row], trigger="manual", actor="ann", lane=LANE, wake=False)


def claim(cycle: Cycle) -> WorkflowExecution:
    execution = execution_claim(LANE, "w1", cycle.pk)
    assert execution is not None
    return execution


def states(cycle: Cycle) -> list[str]:
    return list(cycle.executions.order_by("id").values_list("state", flat=True))


def broken() -> list[Violation]:
    return violations(Terms(GRAPH, system_now()))


def as_worker(execution: WorkflowExecution, work: Callable[[], Any]) -> Any:
    with audit.acting(actor=f"strategy:{execution.strategy.name}", correlation_id=execution.correlation_id):
        return work()


def test_what_waits_ends_at_once_and_what_runs_is_fenced(db: None) -> None:
    cycle = queued()
    waiting = claim(cycle)
    execution_wait(waiting, 0, 60)
    running = claim(cycle)
    done = cycle_cancel(cycle.pk, actor="ben", reason="wrong day")
    assert states(cycle) == ["CANCELLED"] * 3
    assert (len(done.ended), done.fenced) == (2, (running.pk,))
    cycle.refresh_from_db()
    assert (cycle.state, cycle.reason) == ("CANCELLED", "cancelled by ben: wrong day")
    assert cycle.finished_at is not None
    events = Event.objects.filter(type__in=("CYCLE_CANCELLED", "EXECUTION_CANCELLED"))
    assert {event.actor for event in events} == {"ben"}
    assert events.filter(correlation_id__startswith=cycle.correlation_id).count() == 4
    assert (unfinished(cycle.pk).exists(), closable_cycles().exists(), execution_claim(LANE, "w2")) == (
        False,
        False,
        None,
    )
    assert broken() == []
    assert verify_chain().ok


def test_a_fenced_worker_writes_nothing_more(db: None) -> None:
    execution = claimed(strategy())
    wanted = intent(decided(execution))
    cycle_cancel(execution.cycle_id, actor="ben")
    before = Event.objects.count()
    record = StepRecord(0, "check_session", {}, {}, system_now())
    for work in (
        lambda: _recorded(lambda: step_commit(execution, record)),
        lambda: _recorded(lambda: execution_end(execution, outcome="decided", reason="")),
        lambda: execution_wait(execution, 0, 5),
        lambda: lease_extend(execution, 5),
        lambda: entry_write(execution, wanted),
    ):
        with pytest.raises(EpochLost):
            work()
    cycle_started(execution, wanted.market_now, "DU1")
    assert (Order.objects.count(), StepRun.objects.count(), Event.objects.count()) == (0, 0, before)
    execution.refresh_from_db()
    assert (execution.state, execution.epoch, execution.cycle.state) == ("CANCELLED", 2, "CANCELLED")


def test_what_was_sent_stays_and_its_fill_is_booked(db: None) -> None:
    entry, stop, _ = bracket()
    assert entry.decision is not None
    cycle = entry.decision.execution.cycle
    cycle_cancel(cycle.pk, actor="ben")
    assert orders_sent(cycle) == [entry]
    deliver(sent(entry), report(entry, "PreSubmitted"), fill(entry, "10"), report(entry, "Filled", "10"))
    entry.refresh_from_db()
    stop.refresh_from_db()
    assert (entry.state, stop.state) == ("FILLED", "SENDING")
    assert [found for found in broken() if found.rule == "cancelled"] == []


def test_what_a_fenced_worker_had_asked_a_person_is_void(db: None) -> None:
    approval = asked()
    assert approval.decision is not None
    cycle_cancel(approval.decision.execution.cycle_id, actor="ben")
    approval.refresh_from_db()
    approval.decision.refresh_from_db()
    assert (approval.state, approval.decision.state) == ("VOID", "REFUSED")
    assert set(Order.objects.values_list("state", flat=True)) == {"REFUSED"}
    assert orders_sent(approval.decision.execution.cycle) == []


def test_what_has_ended_is_not_cancelled(db: None) -> None:
    cycle = queued(("AAPL",))
    cycle_cancel(cycle.pk, actor="ben")
    with pytest.raises(Conflict) as again:
        cycle_cancel(cycle.pk, actor="ben")
    assert again.value.reason == "CYCLE_ENDED"
    with pytest.raises(Conflict):
        cycle_fail(cycle, "too late")
    assert cycle_close(cycle) is False
    cycle.refresh_from_db()
    assert (cycle.state, cycle.version) == ("CANCELLED", 2)

    over = queued(("AAPL",))
    with audit.recording():
        execution_end(claim(over), outcome="hold", reason="")
    with pytest.raises(Conflict):
        cycle_cancel(over.pk, actor="ben")
    assert cycle_close(over)
    with pytest.raises(CycleUnknown):
        cycle_cancel(10**6, actor="ben")
    with pytest.raises(Invalid):
        cycle_cancel(over.pk, actor="ben", reason="x" * 501)


def test_the_invariants_tell_of_work_after_a_cancel(db: None) -> None:
    cycle = queued(("AAPL",))
    execution = claim(cycle)
    cycle_cancel(cycle.pk, actor="ben")

    def late() -> None:
        with audit.recording():
            audit.record(EventType.STEP_DONE, f"step:{execution.pk}.0", version=1)

    as_worker(execution, late)
    WorkflowExecution.objects.filter(pk=execution.pk).update(state="RUNNING")
    found = {(row.rule, row.subject) for row in broken()}
    assert found >= {("cancelled", f"execution:{execution.pk}"), ("cancelled", f"cycle:{cycle.pk}")}


def test_the_invariants_know_an_execution_that_failed_with_its_cycle(db: None) -> None:
    """A worker had claimed it and stood still; another found no broker and failed the cycle."""
    cycle = queued(("AAPL",))
    execution = claim(cycle)
    cycle_fail(cycle, "BROKER_UNAVAILABLE: the port is closed")
    assert broken() == []

    def late() -> None:
        with audit.recording():
            ends = {"worker": execution.worker, "epoch": execution.epoch, "outcome": "hold"}
            audit.record(EventType.EXECUTION_DONE, f"execution:{execution.pk}", version=9, document=ends)

    as_worker(execution, late)
    assert [found.rule for found in broken() if found.subject == f"execution:{execution.pk}"] == ["epochs"]


def test_a_cancel_and_an_order_at_once(transactional_db: None) -> None:
    """Either the order was written before the cancel, and is named by it, or it is never written."""
    written = 0
    for turn in range(8):
        execution = claimed(strategy(f"s{turn}", limits=FREE))
        wanted = as_worker(execution, partial(_wanted, execution))
        jobs = [partial(as_worker, execution, partial(_write, execution, wanted)), partial(_cancel, execution)]
        if turn % 2:
            done, order = in_threads(reversed(jobs), threads=2)
        else:
            order, done = in_threads(jobs, threads=2)
        assert isinstance(done, CycleCancelled)
        assert done.fenced == (execution.pk,)
        assert [row.order_ref for row in orders_sent(done.cycle)] == ([order] if order else [])
        written += bool(order)
        cancelled = Event.objects.get(type="EXECUTION_CANCELLED", subject=f"execution:{execution.pk}").seq
        late = Event.objects.filter(correlation_id=execution.correlation_id, seq__gt=cancelled)
        assert not late.exists()
    assert [found for found in broken() if found.rule in ("cancelled", "epochs")] == []
    assert Order.objects.filter(role="entry").count() == written


def _recorded(work: Callable[[], Any]) -> None:
    with audit.recording():
        work()


def _wanted(execution: WorkflowExecution) -> Intent:
    return intent(decided(execution))


def _cancel(execution: WorkflowExecution) -> CycleCancelled:
    return cycle_cancel(execution.cycle_id, actor="ben")


def _write(execution: WorkflowExecution, wanted: Intent) -> str:
    try:
        return entry_write(execution, wanted)[0].order_ref
    except EpochLost:
        return ""
