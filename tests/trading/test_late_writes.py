"""What may have changed between the controls' word and the intent's commit: the lease, the strategy, the patience."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from tests.trading.asking import asked, person, say
from tests.trading.builders import NOW, bought, claimed, decided, intent, market, proposal, strategy
from trading.models import Order, OrderChange, OrderRequest, RiskProfile, RiskVerdict, Strategy, WorkflowExecution
from trading.models.request import RequestKind
from trading.models.strategy import Mode
from trading.risk.rules import judge
from trading.selectors.approvals import with_details
from trading.services.accounts import shadow_account
from trading.services.approved_intents import intent_of_approval
from trading.services.change_terms import NotChangeable, check_same_terms
from trading.services.decisions import decision_refuse
from trading.services.dispatch_work import _refused
from trading.services.dispatches import dispatch_claim
from trading.services.executions import EpochLost, execution_claim
from trading.services.intents import NoRoomLeft
from trading.services.orders import changes_write, entry_write, exit_write
from trading.services.request_refusals import refusal_of
from trading.services.request_rows import Asked, request_receive
from trading.services.requests import _not_done


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
    for write in (lambda: changes_write(execution, leaving, [target]), lambda: exit_write(execution, leaving)):
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
    assert changes_write(execution, leaving, [target])[0].state == "SENDING"


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


# What the controls said at the moment of sending


def test_a_refusal_at_sending_keeps_every_verdict_with_the_decision(row: Strategy) -> None:
    decision = decided(claimed(row))
    said = {"order_size": {"allowed": False, "code": "VALUE_TOO_LARGE"}, "duplicates": {"allowed": True, "code": ""}}
    with audit.recording():
        decision_refuse(decision, "VALUE_TOO_LARGE", "too large by now", said)
    document = Event.objects.filter(type="DECISION_REFUSED").latest("seq").document
    assert "verdicts_at_send" in str(document)
    assert "duplicates" in str(document)


def test_a_refusal_at_sending_keeps_every_verdict_with_the_dispatch(db: None) -> None:
    approval = asked()
    say(approval, person())
    dispatch = dispatch_claim("worker-1")
    assert dispatch is not None
    made = intent_of_approval(with_details().get(pk=approval.pk), market(at=NOW + timedelta(minutes=1)))
    RiskProfile.objects.update(max_order_value=1000)
    with pytest.raises(NoRoomLeft) as caught:
        entry_write(dispatch, made)
    _refused(dispatch, caught.value)
    dispatch.refresh_from_db()
    assert (dispatch.state, dispatch.outcome) == ("DONE", "refused")
    document = str(Event.objects.filter(type="DISPATCH_DONE").latest("seq").document)
    assert all(rule in document for rule in ("verdicts_at_send", *rule_names_of(caught.value)))


def rule_names_of(error: NoRoomLeft) -> list[str]:
    names = list(error.details["verdicts"])
    assert len(names) > 10
    return names


def test_a_refused_change_keeps_every_verdict_with_the_request(transactional_db: None) -> None:
    request, _ = request_receive(Asked("user:ann", "k1", "ann", RequestKind.MODIFY, {"order_ref": "x"}))
    error = refusal_of(judge(proposal(limits={"max_order_value": Decimal(1)})))
    assert error is not None
    _not_done(request, error)
    request.refresh_from_db()
    assert (request.state, request.code) == ("REFUSED", "VALUE_TOO_LARGE")
    kept = dict(RiskVerdict.objects.filter(request=request).values_list("rule", "allowed"))
    assert kept["order_size"] is False
    assert kept["duplicates"] is True


def test_a_change_does_not_undo_one_that_took_effect_meanwhile(row: Strategy) -> None:
    target = bought(row)[2]
    seen = Order.objects.get(pk=target.pk)
    check_same_terms(Order.objects.get(pk=target.pk), seen)
    Order.objects.filter(pk=target.pk).update(quantity=5)
    with pytest.raises(NotChangeable) as caught:
        check_same_terms(Order.objects.get(pk=target.pk), seen)
    assert caught.value.reason == "CHANGED_MEANWHILE"
