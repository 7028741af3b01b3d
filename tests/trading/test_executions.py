"""The claimable row: one winner a claim, leases on the database's clock, nothing written by an epoch that is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from tests.support import in_threads
from tests.trading.builders import NOW, strategy
from trading.models import StepRun, WorkflowExecution
from trading.selectors.executions import claimable, closable_cycles, unfinished
from trading.services.cycles import cycle_queue
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

LANE = "test"
SECOND = timedelta(seconds=1)  # what the database's clock may be rounded by


def queued(symbols: tuple[str, ...] = ("AAPL",), **fields: Any) -> int:
    row = strategy(f"s{WorkflowExecution.objects.count()}", symbols, **fields)
    return cycle_queue(strategies=[row], trigger="manual", actor="test", lane=LANE, wake=False).pk


def claim(worker: str = "w1", cycle: int | None = None) -> WorkflowExecution:
    execution = execution_claim(LANE, worker, cycle)
    assert execution is not None
    return execution


def lease_over(execution: WorkflowExecution) -> None:
    past = system_now() - timedelta(seconds=1)
    WorkflowExecution.objects.filter(pk=execution.pk).update(lease_until=past, due_at=past)


def is_held_for(execution: WorkflowExecution, seconds: int, since: datetime) -> bool:
    """Whether the stored lease ends so long after a moment between `since` and now, however long that was."""
    lease, told = row(execution).lease_until, timedelta(seconds=seconds)
    assert lease is not None
    return since + told - SECOND <= lease <= system_now() + told + SECOND


def record(index: int = 0) -> StepRecord:
    return StepRecord(index, "check_session", {}, {"answer": 42}, system_now())


def row(execution: WorkflowExecution) -> WorkflowExecution:
    return WorkflowExecution.objects.get(pk=execution.pk)


def test_a_row_is_claimed_once(db: None) -> None:
    queued()
    before = system_now()
    first = claim("w1")
    assert is_held_for(first, 30, before)
    assert (first.state, first.epoch, first.worker) == ("RUNNING", 1, "w1")
    assert execution_claim(LANE, "w2") is None
    assert Event.objects.filter(type="EXECUTION_CLAIMED").count() == 1


def test_a_lane_and_a_cycle_keep_to_themselves(db: None) -> None:
    one, other = queued(), queued()
    assert execution_claim("work", "w1") is None
    assert claim(cycle=other).cycle_id == other
    assert execution_claim(LANE, "w1", other) is None
    assert claim(cycle=one).cycle_id == one


def test_the_more_important_row_comes_first(db: None) -> None:
    queued()
    important = queued(priority=5)
    queued()
    assert claim().cycle_id == important


def test_a_row_whose_lease_ran_out_is_resumed_with_the_next_epoch(db: None) -> None:
    queued()
    dead = claim("w1")
    lease_over(dead)
    alive = claim("w2")
    assert (alive.pk, alive.epoch, alive.worker) == (dead.pk, 2, "w2")
    event = Event.objects.get(type="EXECUTION_RESUMED")
    assert (event.subject, event.old_state) == (f"execution:{dead.pk}", "RUNNING")
    assert alive.started_at == dead.started_at
    assert verify_chain().ok


def test_an_epoch_that_is_over_writes_nothing(db: None) -> None:
    queued()
    dead = claim("w1")
    lease_over(dead)
    alive = claim("w2")
    before = (list(WorkflowExecution.objects.values()), Event.objects.count())
    with pytest.raises(EpochLost), audit.recording():
        step_commit(dead, record())
    with pytest.raises(EpochLost):
        lease_extend(dead, 60)
    with pytest.raises(EpochLost):
        execution_wait(dead, 0, 5)
    with pytest.raises(EpochLost), audit.recording():
        execution_end(dead, outcome="hold", reason="")
    assert (list(WorkflowExecution.objects.values()), Event.objects.count()) == before
    assert not StepRun.objects.exists()
    with audit.recording():
        step_commit(alive, record())
    assert StepRun.objects.get().epoch == 2


def test_an_ended_row_takes_nothing_more(db: None) -> None:
    queued()
    execution = claim()
    with audit.recording():
        execution_end(execution, outcome="hold", reason="no data")
    assert row(execution).state == "DONE"
    with pytest.raises(EpochLost):
        lease_extend(execution, 60)
    lease_over(execution)
    assert execution_claim(LANE, "w2") is None


def test_a_step_extends_the_lease_and_moves_on(db: None) -> None:
    queued()
    execution = claim()
    lease_over(execution)
    with audit.recording():
        run = step_commit(execution, record())
    stored = row(execution)
    assert (stored.next_step, run.state, run.worker) == (1, "DONE", "w1")
    assert stored.version == execution.version
    assert not claimable(LANE).exists()


def test_a_failed_step_is_kept_and_not_passed(db: None) -> None:
    queued()
    execution = claim()
    with audit.recording():
        step_commit(execution, record(), failed=True)
    assert (row(execution).next_step, StepRun.objects.get().state) == (0, "FAILED")


def test_a_lease_covers_a_long_call(db: None) -> None:
    queued()
    execution, before = claim(), system_now()
    lease_extend(execution, 60)
    assert is_held_for(execution, 70, before)


def test_a_waiting_row_is_free_when_it_is_due(db: None) -> None:
    queued()
    execution = claim("w1")
    execution_wait(execution, 0, 3600)
    waiting = row(execution)
    assert (waiting.state, waiting.delayed_step) == ("WAITING", 0)
    assert waiting.due_at is not None
    assert timedelta(minutes=59) < waiting.due_at - system_now() < timedelta(minutes=61)
    assert execution_claim(LANE, "w2") is None
    WorkflowExecution.objects.filter(pk=execution.pk).update(lease_until=system_now() - timedelta(hours=1))
    assert execution_claim(LANE, "w2") is None, "its lease has nothing to say while it waits"
    lease_over(execution)
    again = claim("w2")
    assert (again.epoch, again.delayed_step, again.state) == (2, 0, "RUNNING")
    assert Event.objects.filter(type="EXECUTION_WAITING").count() == 1
    assert verify_chain().ok


def test_what_a_transaction_loses_is_not_half_there(db: None) -> None:
    queued()
    execution = claim()
    before = Event.objects.count()
    with pytest.raises(RuntimeError, match="spoiled"), audit.recording():
        step_commit(execution, record())
        raise RuntimeError("spoiled")
    assert (row(execution).next_step, StepRun.objects.count(), Event.objects.count()) == (0, 0, before)


def test_the_first_claimed_execution_starts_the_cycle(db: None) -> None:
    from trading.services.accounts import account_ensure

    queued(("AAPL", "IBM"))
    one, other = claim("w1"), claim("w2")
    account = account_ensure("DU1234567")
    cycle_started(one, NOW, account.pk)
    cycle_started(other, NOW, account.pk)
    one.cycle.refresh_from_db()
    assert (one.cycle.state, one.cycle.market_at) == ("RUNNING", NOW)
    assert Event.objects.filter(type="CYCLE_STARTED").count() == 1


def test_a_cycle_whose_executions_failed_before_they_began_can_end(db: None) -> None:
    queued(("AAPL", "IBM"))
    for failed in (True, False):
        assert not closable_cycles().exists()
        with audit.recording():
            execution_end(claim(), outcome="", reason="an unknown step", failed=failed)
    cycle = closable_cycles().get()
    assert (cycle.state, unfinished(cycle.pk).exists()) == ("QUEUED", False)


@pytest.mark.postgres
def test_of_many_claimers_each_row_has_one(transactional_db: None) -> None:
    queued(("AAPL", "IBM", "SPY"))
    queued(("AAPL", "IBM", "SPY"))
    claims = in_threads([partial(execution_claim, LANE, f"w{number}") for number in range(24)], threads=12)
    won = [claimed for claimed in claims if claimed is not None]
    assert len(won) == len({claimed.pk for claimed in won}) == 6
    assert {claimed.epoch for claimed in won} == {1}
    assert Event.objects.filter(type="EXECUTION_CLAIMED").count() == 6
    assert verify_chain().ok


@pytest.mark.postgres
def test_an_expired_lease_has_one_heir(transactional_db: None) -> None:
    queued()
    dead = claim("w0")
    lease_over(dead)
    claims = in_threads([partial(execution_claim, LANE, f"w{number}") for number in range(8)], threads=8)
    (heir,) = [claimed for claimed in claims if claimed is not None]
    assert heir.epoch == 2
    with pytest.raises(EpochLost):
        lease_extend(dead, 10)
