"""What may have changed between the controls' word and the intent's commit: the lease, the strategy, the patience."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from autotrader.core.clock import system_now
from tests.trading.asking import asked, person, say
from tests.trading.builders import NOW, bought, claimed, decided, intent, market, strategy
from trading.models import Order, OrderChange, OrderRequest, Strategy, WorkflowExecution
from trading.models.strategy import Mode
from trading.selectors.approvals import with_details
from trading.services.accounts import shadow_account
from trading.services.approved_intents import intent_of_approval
from trading.services.dispatches import dispatch_claim
from trading.services.executions import EpochLost, execution_claim
from trading.services.intents import NoRoomLeft
from trading.services.orders import change_write, entry_write, exit_write


@pytest.fixture
def row(db: None) -> Strategy:
    return strategy()


def refusal(write: Callable[[], object]) -> str:
    with pytest.raises(NoRoomLeft) as caught:
        write()
    return caught.value.reason


def test_a_lease_that_ran_out_writes_nothing_though_nobody_has_taken_the_row(row: Strategy) -> None:
    target = bought(row)[2]
    execution = claimed(row)
    leaving = intent(decided(execution, "sell", position="10"))
    WorkflowExecution.objects.filter(pk=execution.pk).update(lease_until=system_now() - timedelta(seconds=1))
    before = (Order.objects.count(), OrderChange.objects.count())
    for write in (lambda: change_write(execution, leaving, target), lambda: exit_write(execution, leaving)):
        with pytest.raises(EpochLost):
            write()
    assert (Order.objects.count(), OrderChange.objects.count()) == before
    again = execution_claim("test", "worker-2", execution.cycle_id)
    assert again is not None
    assert again.epoch == execution.epoch + 1, "and the row is free for whoever looks at the market anew"


def test_a_strategy_that_was_turned_off_enters_nothing_more(row: Strategy) -> None:
    execution = claimed(row)
    made = intent(decided(execution))
    Strategy.objects.filter(pk=row.pk).update(enabled=False)
    assert refusal(lambda: entry_write(execution, made)) == "STRATEGY_DISABLED"
    assert not Order.objects.exists()


def test_a_strategy_that_was_turned_off_still_leaves_what_it_holds(row: Strategy) -> None:
    target = bought(row)[2]
    execution = claimed(row)
    leaving = intent(decided(execution, "sell", position="10"))
    Strategy.objects.filter(pk=row.pk).update(enabled=False, mode=Mode.SHADOW)
    assert change_write(execution, leaving, target).state == "SENDING"


def test_a_yes_does_not_enter_for_a_strategy_that_was_turned_off(db: None) -> None:
    approval = asked()
    say(approval, person())
    dispatch = dispatch_claim("worker-1")
    assert dispatch is not None
    made = intent_of_approval(with_details().get(pk=approval.pk), market(at=NOW + timedelta(minutes=1)))
    Strategy.objects.update(enabled=False)
    assert refusal(lambda: entry_write(dispatch, made)) == "STRATEGY_DISABLED"
    approval.refresh_from_db()
    assert approval.state == "APPROVED", "not spent"


@pytest.mark.parametrize("before", [Mode.AUTO, Mode.SHADOW])
def test_a_decision_enters_only_the_ledger_that_its_strategy_still_trades(db: None, before: Mode) -> None:
    row = strategy(mode=before)
    account = shadow_account(row, "USD").pk if before == Mode.SHADOW else "DU1234567"
    execution = claimed(row, account=account)
    made = intent(decided(execution))
    Strategy.objects.update(mode=Mode.AUTO if before == Mode.SHADOW else Mode.SHADOW)
    assert refusal(lambda: entry_write(execution, made)) == "MODE_CHANGED"


def test_what_was_asked_for_long_ago_is_not_done_when_a_process_comes_back(row: Strategy) -> None:
    bought(row)
    execution = claimed(row)
    asked_for = OrderRequest(market_at=NOW - timedelta(minutes=6), actor="ann")
    leaving = replace(intent(decided(execution, "sell", position="10")), decision=None, request=asked_for)
    assert refusal(lambda: exit_write(execution, leaving)) == "STALE_REQUEST"
