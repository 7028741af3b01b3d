"""Starting and ending cycles by hand and by schedule, and the names that the queue is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Schedule

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from autotrader.management.commands.run_cycle import _strategies
from broker.errors import BrokerUnavailable
from tests.support import in_threads
from tests.trading.builders import STEPS, strategy
from trading.models import Cycle, Strategy, Workflow
from trading.models.account import AccountKind
from trading.services.accounts import account_ensure, account_kind, shadow_account
from trading.services.cycles import cycle_close, cycle_fail, cycle_queue, cycles_fail_abandoned
from trading.services.executions import execution_claim, execution_end
from trading.services.schedules import due_strategies, schedule_due, schedules_ensure
from trading.services.wake import WORK_TASK
from trading.services.workflows import workflow_version_add


def queue(*rows: Strategy, **options: Any) -> Cycle:
    return cycle_queue(strategies=rows, **({"trigger": "manual", "actor": "anna", "wake": False} | options))


def refusal(*rows: Strategy, **options: Any) -> str:
    with pytest.raises(Invalid) as caught:
        queue(*rows, **options)
    assert not Cycle.objects.exists()
    assert not Event.objects.filter(type="CYCLE_QUEUED").exists()
    return caught.value.reason


def test_a_cycle_holds_each_strategy_on_each_instrument(db: None) -> None:
    one, two = strategy("one", ("AAPL", "IBM"), priority=1), strategy("two", ("AAPL",))
    cycle = queue(one, two, dry_run=True)
    rows = list(cycle.executions.order_by("id"))
    assert [(row.strategy.name, row.instrument.symbol) for row in rows] == [
        ("one", "AAPL"), ("one", "IBM"), ("two", "AAPL")
    ]  # fmt: skip
    assert {(row.state, row.lane) for row in rows} == {("QUEUED", "work")}
    assert [row.priority for row in rows] == [1, 1, 0]
    assert {row.workflow_version_id for row in rows} == {one.workflow_version_id, two.workflow_version_id}
    queued = Event.objects.get(type="CYCLE_QUEUED")
    assert (queued.actor, queued.correlation_id) == ("anna", cycle.correlation_id)
    ids = set(Event.objects.filter(type="EXECUTION_QUEUED").values_list("correlation_id", flat=True))
    assert ids == {row.correlation_id for row in rows}
    assert verify_chain().ok


def test_only_the_chosen_symbols(db: None) -> None:
    cycle = queue(strategy(symbols=("AAPL", "IBM", "SPY")), symbols=["IBM"])
    assert [row.instrument.symbol for row in cycle.executions.all()] == ["IBM"]


def test_a_symbol_or_a_strategy_for_which_nothing_would_run_is_named(db: None) -> None:
    rows = [strategy("one", ("AAPL", "SPY")), strategy("two", ("IBM",))]
    with pytest.raises(Invalid) as caught:
        queue(*rows, symbols=["AAPL", "APPL"])
    assert (caught.value.reason, caught.value.details["fields"]) == (
        "UNKNOWN_SYMBOL",
        {"symbols": "No chosen strategy trades APPL.", "strategies": "None of AAPL, APPL is traded by two."},
    )
    assert refusal(*rows, symbols=["AAPL"]) == "UNKNOWN_SYMBOL"
    # The command chooses by the symbols where nobody names a strategy.
    assert [_strategies([], ["IBM"]), _strategies([], [])] == [rows[1:], rows]
    assert _strategies(["one", "two"], ["IBM"]) == _strategies([], ["NOSUCH"]) == rows


def test_what_cannot_run_is_named(db: None) -> None:
    version = workflow_version_add(Workflow.objects.create(name="draft"), STEPS)
    assert refusal(strategy("no instruments", ())) == "STRATEGY_WITHOUT_INSTRUMENTS"
    assert refusal(strategy("draft", workflow_version=version)) == "WORKFLOW_NOT_PUBLISHED"
    assert refusal(strategy("sound"), symbols=["NOSUCH"]) == "UNKNOWN_SYMBOL"
    assert refusal() == "UNKNOWN_SYMBOL"


def test_one_bad_strategy_keeps_the_others_from_half_a_cycle(db: None) -> None:
    assert refusal(strategy("sound"), strategy("bare", ())) == "STRATEGY_WITHOUT_INSTRUMENTS"


def test_a_worker_is_woken_when_the_rows_are_there(db: None, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        queue(strategy(), wake=True)
        assert not OrmQ.objects.exists()
    assert len(callbacks) == 1
    (task,) = OrmQ.objects.all()
    assert (task.task["func"], task.task["args"], task.key) == (WORK_TASK, ("work",), "work")


def test_the_names_that_the_queue_is_given_resolve(db: None) -> None:
    schedules_ensure()
    schedules_ensure()
    names = {WORK_TASK, *Schedule.objects.values_list("func", flat=True)}
    assert names == {"trading.tasks.work", "trading.tasks.wake"}
    assert all(callable(import_string(name)) for name in names)
    assert dict(Schedule.objects.values_list("name", "cluster")) == {"wake": "work", "wake now": "now"}
    schedule = Schedule.objects.get(name="wake")
    assert schedule.repeats == -1


def ended(cycle: Cycle, **outcome: Any) -> None:
    execution = execution_claim("work", "w1", cycle.pk)
    assert execution is not None
    with audit.recording():
        execution_end(execution, **({"outcome": "hold", "reason": ""} | outcome))


def test_a_cycle_ends_once_with_its_last_execution(db: None) -> None:
    cycle = queue(strategy(symbols=("AAPL", "IBM")))
    ended(cycle)
    assert not cycle_close(cycle)
    ended(cycle, failed=True, reason="no answer")
    assert cycle_close(cycle)
    assert not cycle_close(Cycle.objects.get(pk=cycle.pk))
    assert (cycle.state, cycle.reason) == ("FAILED", "no answer")
    assert cycle.finished_at is not None
    assert Event.objects.filter(type="CYCLE_FAILED").count() == 1


def test_a_cycle_without_failures_is_done(db: None) -> None:
    cycle = queue(strategy())
    ended(cycle)
    assert cycle_close(cycle)
    assert (cycle.state, cycle.reason) == ("DONE", "")


def test_a_cycle_that_cannot_run_fails_with_its_rows(db: None) -> None:
    cycle = queue(strategy(symbols=("AAPL", "IBM")))
    cycle_fail(cycle, "BROKER_UNAVAILABLE: the port is closed")
    assert {(row.state, row.reason) for row in cycle.executions.all()} == {
        ("FAILED", "BROKER_UNAVAILABLE: the port is closed")
    }
    assert cycle.state == "FAILED"
    assert execution_claim("work", "w1") is None
    with pytest.raises(Conflict):
        cycle_fail(cycle, "again")
    assert verify_chain().ok


# Schedules


NOW = datetime(2026, 7, 1, 15, tzinfo=UTC)


def scheduled(row: Strategy, seconds_ago: float) -> None:
    cycle = queue(row, trigger="schedule")
    Cycle.objects.filter(pk=cycle.pk).update(created_at=NOW - timedelta(seconds=seconds_ago))


def due() -> list[str]:
    return [row.name for row in due_strategies(NOW)]


@pytest.fixture
def hourly(settings: Any) -> None:
    settings.AUTOTRADER_CYCLE_INTERVAL_SECONDS = 3600


@pytest.mark.usefixtures("db", "hourly")
def test_who_is_due() -> None:
    strategy("never ran")
    scheduled(strategy("long ago"), 3601)
    scheduled(strategy("just now"), 3599)
    scheduled(strategy("own interval", interval_seconds=60), 61)
    scheduled(strategy("own interval, just now", interval_seconds=60), 50)
    strategy("switched off", enabled=False)
    strategy("never by schedule", interval_seconds=0)
    scheduled(strategy("more important", priority=3), 4000)
    assert due() == ["more important", "never ran", "long ago", "own interval"]


@pytest.mark.usefixtures("db", "hourly")
def test_a_cycle_by_hand_does_not_put_the_schedule_off() -> None:
    row = strategy()
    scheduled(row, 4000)
    queue(row)
    assert due() == ["s"]


@pytest.mark.usefixtures("db")
def test_no_interval_means_never(settings: Any) -> None:
    settings.AUTOTRADER_CYCLE_INTERVAL_SECONDS = 0
    strategy()
    strategy("own", interval_seconds=5)
    assert due() == ["own"]


@pytest.mark.usefixtures("db", "hourly")
def test_the_schedule_starts_each_once() -> None:
    schedules_ensure()
    strategy("one")
    strategy("two")
    strategy("bare", ())
    started = schedule_due()
    assert [cycle.executions.get().strategy.name for cycle in started] == ["one", "two"]
    assert {cycle.trigger for cycle in started} == {"schedule"}
    assert schedule_due() == []
    assert Cycle.objects.count() == 2
    assert verify_chain().ok


@pytest.mark.postgres
def test_two_wakes_at_once_start_each_once(transactional_db: None, settings: Any) -> None:
    settings.AUTOTRADER_CYCLE_INTERVAL_SECONDS = 3600
    schedules_ensure()
    strategy("one")
    strategy("two")
    found = in_threads([schedule_due] * 6, threads=6)
    assert sorted(map(len, found)) == [0, 0, 0, 0, 0, 2]
    assert verify_chain().ok


# Accounts


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DU1234567", AccountKind.PAPER), ("DF1234567", AccountKind.PAPER), ("DUR0000001", AccountKind.REPLAY),
        ("SHADOW:7", AccountKind.SHADOW), ("U1234567", AccountKind.LIVE), ("F1234567", AccountKind.LIVE),
    ],
)  # fmt: skip
def test_what_an_account_proves_to_be(name: str, kind: AccountKind) -> None:
    assert account_kind(name) == kind


def test_a_broker_that_has_named_no_account_makes_none(db: None) -> None:
    with pytest.raises(BrokerUnavailable):
        account_ensure("")
    row = strategy()
    assert shadow_account(row, "USD") == shadow_account(row, "EUR")
    assert shadow_account(row, "USD").base_currency == "USD"


def test_a_cycle_whose_command_died_is_ended(db: None) -> None:
    dead = queue(strategy("dead"), trigger="command", lane="cmd1")
    young = queue(strategy("young"), trigger="command", lane="cmd2")
    working = queue(strategy("working"), trigger="command", lane="cmd3")
    scheduled = queue(strategy("scheduled"), trigger="schedule")
    long_ago = system_now() - timedelta(minutes=5)
    Cycle.objects.exclude(pk=young.pk).update(created_at=long_ago)
    assert execution_claim("cmd3", "w1", working.pk) is not None

    assert cycles_fail_abandoned(system_now()) == 1

    states = {cycle.pk: cycle.state for cycle in Cycle.objects.all()}
    assert [states[cycle.pk] for cycle in (dead, young, working, scheduled)] == ["FAILED", "QUEUED", "QUEUED", "QUEUED"]
    assert dead.executions.get().state == "FAILED"
    assert cycles_fail_abandoned(system_now()) == 0
