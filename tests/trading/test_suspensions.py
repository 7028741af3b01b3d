"""A strategy that repeats itself is stopped until a person resumes it; what it holds can still be closed."""

from __future__ import annotations

import pytest

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.errors import Conflict, Invalid
from tests.trading.builders import D, bought, claimed, decided, facts, intent, opinion, strategy
from trading.models import Decision, Strategy
from trading.models.decision import DecisionState
from trading.risk.base import Verdict
from trading.services.decisions import decision_judge, decision_make, decision_refuse
from trading.services.intents import NoRoomLeft
from trading.services.orders import entry_write
from trading.services.suspensions import strategy_resume, strategy_suspend

REACHED = Verdict("repeated_executions", allowed=False, code="TOO_MANY_ORDERS_TODAY", message="10 entries sent today")
ROOM = Verdict("position_limits", allowed=False, code="POSITION_TOO_LARGE", message="too large")


def judged(row: Strategy, *verdicts: Verdict) -> Decision:
    """A decision with these refusals."""
    with audit.recording():
        decision = decision_make(claimed(row), opinion(), facts())
        decision_judge(decision, verdicts, quantity=D(1), limit_price=D(101))
    return decision


def suspended(row: Strategy) -> bool:
    return Strategy.objects.get(pk=row.pk).suspended_at is not None


@pytest.fixture
def row(db: None) -> Strategy:
    return strategy()


def test_the_one_order_too_many_suspends_its_strategy_with_its_refusal(row: Strategy) -> None:
    decision = judged(row, ROOM, REACHED)
    stopped = Strategy.objects.get(pk=row.pk)
    assert decision.state == DecisionState.REFUSED
    assert stopped.suspended_at is not None
    assert "TOO_MANY_ORDERS_TODAY" in stopped.suspended_reason
    told = Event.objects.get(type="STRATEGY_SUSPENDED")
    assert (told.subject, told.subject_version, told.new_state) == (f"strategy:{row.pk}", stopped.version, "suspended")


def test_a_refusal_for_another_reason_suspends_nothing(row: Strategy) -> None:
    judged(row, ROOM)
    assert not suspended(row)


def test_a_refusal_that_is_not_kept_leaves_no_suspension(row: Strategy) -> None:
    with pytest.raises(RuntimeError), audit.recording():
        decision = decision_make(claimed(row), opinion(), facts())
        decision_judge(decision, [REACHED], quantity=D(1), limit_price=D(101))
        raise RuntimeError("the process dies here")
    assert not suspended(row)
    assert not Event.objects.filter(type="STRATEGY_SUSPENDED").exists()


def test_the_second_refusal_changes_nothing(row: Strategy) -> None:
    judged(row, REACHED)
    first = Strategy.objects.get(pk=row.pk)
    judged(row, REACHED)
    assert Strategy.objects.get(pk=row.pk).suspended_at == first.suspended_at
    assert Event.objects.filter(type="STRATEGY_SUSPENDED").count() == 1


def test_at_the_moment_of_sending_it_is_suspended_as_well(row: Strategy) -> None:
    decision = decided(claimed(row))
    with audit.recording():
        decision_refuse(decision, "TOO_MANY_ORDERS_TODAY", "another worker sent the last one")
    assert suspended(row)


def test_what_was_allowed_before_is_not_sent_after(row: Strategy) -> None:
    execution = claimed(row)
    decision = decided(execution)
    with audit.recording():
        strategy_suspend(row.pk, "by hand", market_at=None)
    with pytest.raises(NoRoomLeft) as caught:
        entry_write(execution, intent(decision))
    assert caught.value.reason == "STRATEGY_SUSPENDED"


def test_its_entries_are_counted_anew_once_a_person_has_resumed_it(row: Strategy) -> None:
    one = strategy("one", limits={"max_orders_per_day": 1, "duplicate_window_seconds": 0})
    bought(one)
    second = claimed(one, "AAPL")
    wanted = decided(second, position="10", allow_add=True)
    with pytest.raises(NoRoomLeft) as caught:
        entry_write(second, intent(wanted))
    assert caught.value.reason == "TOO_MANY_ORDERS_TODAY"
    with audit.recording():
        decision_refuse(wanted, caught.value.reason, caught.value.message)
    assert suspended(one)
    strategy_resume(one, actor="ann", reason="the first was a test")
    third = claimed(one, "AAPL")
    entry_write(third, intent(decided(third, position="10", allow_add=True)))


def test_resuming_takes_a_reason_and_is_recorded(row: Strategy) -> None:
    judged(row, REACHED)
    with pytest.raises(Invalid):
        strategy_resume(row, actor="ann", reason="  ")
    assert suspended(row)
    strategy_resume(row, actor="ann", reason="looked at it")
    told = Event.objects.get(type="STRATEGY_RESUMED")
    assert (told.actor, told.cause, told.old_state) == ("ann", "looked at it", "suspended")
    assert not suspended(row)
    with pytest.raises(Conflict):
        strategy_resume(row, actor="ann", reason="again")
