"""Writing the intent: committed whole or not at all, within the limits of this moment, and only what was decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.errors import Conflict
from tests.support import in_threads
from tests.trading.builders import (
    ACCOUNT,
    CLOSE,
    NOW,
    D,
    bought,
    bracket,
    claimed,
    decided,
    deliver,
    fill,
    intent,
    missing,
    report,
    said,
    sent,
    strategy,
    summary,
)
from trading.models import Decision, Order, OrderChange, Strategy, WorkflowExecution
from trading.models.order import OrderState
from trading.selectors.orders import live_entry, orders_of, unresolved, working_legs
from trading.services.accounts import snapshot_take
from trading.services.executions import EpochLost
from trading.services.intents import NoRoomLeft
from trading.services.order_moves import order_move
from trading.services.orders import changes_write, entry_write, exit_write


def ready(row: Strategy, kind: str = "buy", symbol: str = "AAPL", **changes: Any) -> tuple[WorkflowExecution, Decision]:
    execution = claimed(row, symbol)
    return execution, decided(execution, kind, **changes)


def refusal(write: Callable[[], object]) -> str:
    """The code with which the intent is refused; and that nothing of it is left."""
    before = (Order.objects.count(), OrderChange.objects.count(), Event.objects.count())
    with pytest.raises(NoRoomLeft) as caught:
        write()
    assert (Order.objects.count(), OrderChange.objects.count(), Event.objects.count()) == before
    return caught.value.reason


def test_an_entry_is_a_whole_bracket(db: None) -> None:
    legs = bracket()
    entry, stop, target = legs
    assert [leg.role for leg in legs] == ["entry", "stop", "target"]
    assert [leg.side for leg in legs] == ["BUY", "SELL", "SELL"]
    assert [(leg.order_type, leg.tif) for leg in legs] == [("LMT", "DAY"), ("STP", "GTC"), ("LMT", "GTC")]
    assert (entry.limit_price, stop.stop_price, target.limit_price) == (D(101), D(95), D(110))
    assert [leg.expires_at for leg in legs] == [CLOSE, None, None]
    assert {leg.parent for leg in (stop, target)} == {entry}
    assert {leg.state for leg in legs} == {"SENDING"}
    assert len({leg.order_ref for leg in legs}) == 3
    assert all(len(leg.order_ref) <= 20 and leg.order_ref.startswith(entry.group) for leg in legs)
    assert all(leg.sending_at and leg.intent_hash and leg.epoch == 1 for leg in legs)
    assert orders_of(entry.decision) == legs  # type: ignore[arg-type]
    assert Event.objects.filter(type="ORDER_SENDING").count() == 3
    assert verify_chain().ok


def test_a_short_entry_is_the_mirror(db: None) -> None:
    execution, decision = ready(strategy(allow_short=True), "sell")
    legs = entry_write(execution, intent(decision))
    assert [leg.side for leg in legs] == ["SELL", "BUY", "BUY"]


def test_a_simulated_order_is_at_its_end(db: None) -> None:
    execution, decision = ready(strategy())
    legs = entry_write(execution, intent(decision), state=OrderState.SIMULATED)
    assert {leg.state for leg in legs} == {"SIMULATED"}
    assert live_entry(legs[0].account, execution.strategy, legs[0].instrument) is None
    with pytest.raises(Conflict), audit.recording():
        order_move(legs[0], OrderState.SENDING, cause="no", market_at=NOW)


def test_an_order_moves_only_along_the_graph(db: None) -> None:
    entry = bracket()[0]
    stale = Order.objects.get(pk=entry.pk)
    deliver(sent(entry))
    with pytest.raises(Conflict), audit.recording():
        order_move(stale, OrderState.ACCEPTED, cause="stale", market_at=NOW)
    with pytest.raises(Conflict), audit.recording():
        order_move(entry, OrderState.DRAFT, cause="backwards", market_at=NOW)


# One intent


def test_one_live_entry_of_a_strategy_in_an_instrument(db: None) -> None:
    row = strategy()
    bracket(row)
    execution, decision = ready(row)
    assert refusal(lambda: entry_write(execution, intent(decision))) == "NO_ROOM_LEFT"


@pytest.mark.parametrize("state", ["SENDING", "ACCEPTED", "UNKNOWN"])
def test_the_table_itself_holds_one_live_entry(db: None, state: str) -> None:
    entry = bracket()[0]
    entry.pk, entry.decision, entry.order_ref, entry.state = None, None, "second", state
    with pytest.raises(IntegrityError, match=r"one_live_entry|UNIQUE"), transaction.atomic():
        entry.save(force_insert=True)


def test_one_order_of_each_role_for_a_decision(db: None) -> None:
    entry = bracket()[0]
    entry.pk, entry.order_ref, entry.state = None, "second", "CANCELLED"
    with pytest.raises(IntegrityError, match=r"one_order_per_decision|UNIQUE"), transaction.atomic():
        entry.save(force_insert=True)


def test_the_same_decision_again_writes_nothing(db: None) -> None:
    row = strategy(limits={"duplicate_window_seconds": 0})
    entry = bracket(row)[0]
    deliver(report(entry, "Cancelled"))
    execution, decision = entry.decision.execution, entry.decision  # type: ignore[union-attr]
    execution.refresh_from_db()
    with pytest.raises(IntegrityError):
        entry_write(execution, intent(decision))  # type: ignore[arg-type]
    assert Order.objects.count() == 3


# Within the limits of this moment


@pytest.mark.parametrize(
    ("limits", "change", "code"),
    [
        ({"max_open_orders": 0}, {}, "TOO_MANY_OPEN_ORDERS"),
        ({"max_orders_per_day": 0}, {}, "TOO_MANY_ORDERS_TODAY"),
        ({"max_exposure_fraction": D("0.01")}, {}, "EXPOSURE_TOO_LARGE"),
        ({"max_position_fraction": D("0.01")}, {}, "POSITION_TOO_LARGE"),
        ({}, {"equity": None}, "EQUITY_UNKNOWN"),
        ({}, {"equity": D(-5)}, "EQUITY_UNKNOWN"),
        ({}, {"equity": D("NaN")}, "EQUITY_UNKNOWN"),
        ({}, {"equity": D("Infinity")}, "EQUITY_UNKNOWN"),
    ],
)
def test_what_no_longer_fits_is_refused_by_its_control(db: None, limits: Any, change: Any, code: str) -> None:
    execution, decision = ready(strategy(limits=limits))
    judged = replace(intent(decision).proposal, **change)
    assert refusal(lambda: entry_write(execution, intent(decision, proposal=judged))) == code


@pytest.mark.parametrize(
    "change", [{"market_now": NOW + timedelta(minutes=5, seconds=1)}, {"expires_at": NOW}], ids=["late", "closed"]
)
def test_what_came_too_late_is_refused(db: None, change: Any) -> None:
    execution, decision = ready(strategy())
    assert refusal(lambda: entry_write(execution, intent(decision, **change))) == "STALE_DECISION"


def test_the_boundary_of_the_room(db: None) -> None:
    execution, decision = ready(strategy(limits={"max_position_fraction": D("0.0101")}))
    assert entry_write(execution, intent(decision, market_now=NOW + timedelta(minutes=5)))


def test_the_room_that_another_entry_took(db: None) -> None:
    row = strategy(symbols=("AAPL", "IBM"), limits={"max_open_orders": 1})
    execution, decision = ready(row, symbol="IBM")
    entry = bracket(row)[0]
    assert refusal(lambda: entry_write(execution, intent(decision))) == "TOO_MANY_OPEN_ORDERS"
    deliver(sent(entry), missing(entry, proven=False))
    assert refusal(lambda: entry_write(execution, intent(decision))) == "TOO_MANY_OPEN_ORDERS", "UNKNOWN still counts"
    deliver(missing(entry, proven=True))
    assert entry_write(execution, intent(decision))


def test_a_position_that_was_not_there_when_it_was_decided(db: None) -> None:
    row = strategy(limits={"duplicate_window_seconds": 0})
    execution, decision = ready(row)
    bought(row)
    snapshot_take(summary(), (), cause="watch", market_at=NOW)
    assert refusal(lambda: entry_write(execution, intent(decision))) == "POSITION_CHANGED"


def test_entries_of_the_day(db: None) -> None:
    row = strategy(symbols=("AAPL", "IBM"), limits={"max_orders_per_day": 1})
    execution, decision = ready(row, symbol="IBM")
    entry = bracket(row)[0]
    deliver(report(entry, "Cancelled"))
    assert refusal(lambda: entry_write(execution, intent(decision))) == "TOO_MANY_ORDERS_TODAY", "sent is sent"


def test_only_what_the_rules_allowed(db: None) -> None:
    from trading.services.decisions import decision_refuse

    execution, decision = ready(strategy())
    with audit.recording():
        decision_refuse(decision, "HALTED", "halted")
    assert refusal(lambda: entry_write(execution, intent(decision))) == "NOT_ALLOWED"


def test_a_worker_that_lost_its_epoch_writes_nothing(db: None) -> None:
    row = strategy()
    target = bought(row)[2]
    execution, decision = ready(row, "sell", position="10")
    WorkflowExecution.objects.filter(pk=execution.pk).update(epoch=execution.epoch + 1)
    before = Order.objects.count(), Event.objects.count()
    for write in (
        partial(entry_write, execution, intent(decision)),
        partial(exit_write, execution, intent(decision)),
        partial(changes_write, execution, intent(decision), [target]),
    ):
        with pytest.raises(EpochLost):
            write()
    assert (Order.objects.count(), Event.objects.count()) == before
    assert not OrderChange.objects.exists()


@pytest.mark.postgres
def test_two_workers_cannot_both_take_the_last_room(transactional_db: None) -> None:
    row = strategy(symbols=("AAPL", "IBM", "SPY"), limits={"max_open_orders": 1})
    pairs = [ready(row, symbol=symbol) for symbol in ("AAPL", "IBM", "SPY")]

    def attempt(execution: WorkflowExecution, decision: Decision) -> str:
        try:
            entry_write(execution, intent(decision))
        except NoRoomLeft as error:
            return error.reason
        return "written"

    answers = in_threads([partial(attempt, *pair) for pair in pairs], threads=3)
    assert sorted(answers) == ["TOO_MANY_OPEN_ORDERS", "TOO_MANY_OPEN_ORDERS", "written"]
    assert Order.objects.filter(role="entry").count() == 1
    assert verify_chain().ok


@pytest.mark.postgres
def test_two_cycles_of_one_strategy_write_one_entry(transactional_db: None) -> None:
    row = strategy()
    pairs = [ready(row) for _ in range(4)]

    def attempt(execution: WorkflowExecution, decision: Decision) -> bool:
        try:
            return bool(entry_write(execution, intent(decision)))
        except NoRoomLeft:
            return False

    assert sum(in_threads([partial(attempt, *pair) for pair in pairs], threads=4)) == 1


# Exits


def test_an_exit_closes_what_is_held(db: None) -> None:
    row = strategy()
    stop = bought(row)[1]
    execution, decision = ready(row, "sell", position="10")
    order = exit_write(execution, intent(decision))
    assert (order.role, order.side, order.quantity, order.state, order.tif) == ("exit", "SELL", D(10), "SENDING", "DAY")
    assert working_legs(stop.account, row, stop.instrument, stop.role) == [stop]  # type: ignore[arg-type]


def test_a_second_exit_waits_for_the_first(db: None) -> None:
    row = strategy()
    target = bought(row)[2]
    for first in (True, False):
        execution, decision = ready(row, "sell", position="10")
        if first:
            exit_write(execution, intent(decision))
            continue
        assert refusal(lambda: exit_write(execution, intent(decision))) == "EXIT_AT_WORK"  # noqa: B023
        assert refusal(lambda: changes_write(execution, intent(decision), [target])) == "EXIT_AT_WORK"  # noqa: B023


def test_an_exit_of_what_a_person_sold_in_tws_would_be_a_short(db: None) -> None:
    row = strategy()
    entry, _, target = bought(row)
    execution, decision = ready(row, "sell", position="10")
    by_hand = fill(entry, "10", "99", number=7, side="SELL", order_ref="", perm_id=424242, exec_id="aa.01")
    deliver(by_hand)
    assert refusal(lambda: exit_write(execution, intent(decision))) == "WOULD_INCREASE"
    assert refusal(lambda: changes_write(execution, intent(decision), [target])) == "WOULD_INCREASE"
    back = fill(entry, "10", "98", number=8, order_ref="", perm_id=424243, exec_id="ab.01")
    deliver(back)
    assert exit_write(execution, intent(decision)).state == "SENDING"


def test_an_exit_after_the_stop_has_sold_would_be_a_short(db: None) -> None:
    row = strategy()
    _, stop, target = bought(row)
    execution, decision = ready(row, "sell", position="10")
    deliver(fill(stop, "10", "95", number=2), report(stop, "Filled", "10"), report(target, "Cancelled"))
    assert refusal(lambda: exit_write(execution, intent(decision))) == "POSITION_CHANGED"
    assert refusal(lambda: changes_write(execution, intent(decision), [target])) == "POSITION_CHANGED"


def test_an_exit_larger_than_the_position(db: None) -> None:
    row = strategy()
    bought(row)
    execution, decision = ready(row, "sell", position="10", quantity="11")
    assert refusal(lambda: exit_write(execution, intent(decision))) == "POSITION_CHANGED"


def test_a_buy_closes_a_short_and_nothing_else(db: None) -> None:
    row = strategy(allow_short=True)
    bought(row)
    execution, decision = ready(row, "buy", position="-10")
    assert refusal(lambda: exit_write(execution, intent(decision))) == "POSITION_CHANGED"


def test_an_exit_beside_legs_of_unknown_state_could_fill_twice(db: None) -> None:
    row = strategy()
    _, stop, target = bought(row)
    deliver(missing(stop, proven=False), missing(target, proven=False))
    execution, decision = ready(row, "sell", position="10")
    assert refusal(lambda: exit_write(execution, intent(decision))) == "PROTECTION_UNCERTAIN"
    deliver(report(stop, "PreSubmitted"))
    assert exit_write(execution, intent(decision))


def test_an_exit_joins_one_group_and_cannot_close_two_brackets(db: None) -> None:
    row = strategy(limits={"duplicate_window_seconds": 0})
    bought(row)
    bought_more(row)
    execution, decision = ready(row, "sell", position="20", quantity="20")
    assert refusal(lambda: exit_write(execution, intent(decision))) == "PROTECTION_UNCERTAIN"


def bought_more(row: Strategy) -> Order:
    """A second bracket beside the first; its target."""
    snapshot_take(summary(), (), cause="watch", market_at=NOW)
    execution = claimed(row)
    decision = decided(execution, position="10", allow_add=True)
    entry, stop, target = entry_write(execution, intent(decision))
    deliver(fill(entry, "10"), report(entry, "Filled", "10"), *(report(leg, "PreSubmitted") for leg in (stop, target)))
    return target


def test_an_exit_of_two_brackets_is_committed_as_one(db: None) -> None:
    row = strategy(limits={"duplicate_window_seconds": 0})
    targets = [bought(row)[2], bought_more(row)]
    execution, decision = ready(row, "sell", position="20", quantity="20")
    changes = changes_write(execution, intent(decision), targets)
    assert [(change.order, change.limit_price, change.state) for change in changes] == [
        (target, D(99), "SENDING") for target in targets
    ]


def test_an_exit_of_two_brackets_moves_no_target_where_one_works_no_more(db: None) -> None:
    row = strategy(limits={"duplicate_window_seconds": 0})
    targets = [bought(row)[2], bought_more(row)]
    deliver(report(targets[1], "Cancelled"))
    execution, decision = ready(row, "sell", position="20", quantity="20")
    assert refusal(lambda: changes_write(execution, intent(decision), targets)) == "POSITION_CHANGED"
    assert not OrderChange.objects.exists()


def test_an_unprotected_position_may_be_closed(db: None) -> None:
    row = strategy()
    _, stop, target = bought(row)
    deliver(said(stop, 201), report(stop, "Inactive"), report(target, "Cancelled"))
    execution, decision = ready(row, "sell", position="10")
    assert exit_write(execution, intent(decision)).state == "SENDING"


def test_an_old_exit_is_not_sent(db: None) -> None:
    row = strategy()
    target = bought(row)[2]
    execution, decision = ready(row, "sell", position="10")
    late = intent(decision, market_now=NOW + timedelta(hours=1))
    assert refusal(lambda: exit_write(execution, late)) == "STALE_DECISION"
    assert refusal(lambda: changes_write(execution, late, [target])) == "STALE_DECISION"


def test_the_target_is_moved_once_a_decision(db: None) -> None:
    row = strategy()
    target = bought(row)[2]
    execution, decision = ready(row, "sell", position="10")
    change = changes_write(execution, intent(decision), [target])[0]
    assert (change.revision, change.limit_price, change.state) == (1, D(99), "SENDING")
    with pytest.raises(IntegrityError):
        changes_write(execution, intent(decision), [target])
    assert verify_chain().ok


def test_reconcile_is_told_of_every_order_that_may_be_at_the_broker(db: None) -> None:
    row = strategy()
    entry, stop, target = bracket(row)
    assert [unsettled.order_ref for unsettled in unresolved(NOW)] == [leg.order_ref for leg in (entry, stop, target)]
    assert {unsettled.account for unsettled in unresolved(NOW)} == {ACCOUNT}
    deliver(sent(entry), report(entry, "Cancelled"), sent(stop, "VOID"), missing(target, proven=False))
    assert [(unsettled.order_ref, unsettled.state) for unsettled in unresolved(NOW)] == [(target.order_ref, "UNKNOWN")]
