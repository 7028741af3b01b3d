"""A cycle from bars to a protected order, and back to flat, through the real socket."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from tests.desk.bars_folder import SEEDS, walk, write_symbol
from tests.desk.conftest import Desk, build_strategy
from tests.research.openai_server import LoopbackModelServer, agreeable
from trading.models import AccountSnapshot, Fill, Order, OrderChange, RiskProfile, Trade
from trading.services.demo import TWO_INDICATORS


def test_the_rules_buy_sell_and_hold(desk: Desk) -> None:
    cycle = desk.run(build_strategy("s", ["RISE", "FALL", "CALM"]))

    outcomes = {row.instrument.symbol: (row.outcome, row.reason) for row in cycle.executions.all()}
    assert cycle.state == "DONE"
    assert outcomes["RISE"][0] == "ordered"
    assert outcomes["FALL"] == ("hold", "nothing_to_sell")
    assert outcomes["CALM"][0] == "hold"
    assert AccountSnapshot.objects.get(cycle=cycle).net_liquidation == Decimal("1000000")


def test_an_allowed_entry_is_placed_filled_and_protected(desk: Desk) -> None:
    cycle = desk.run(build_strategy("s", ["RISE"]))
    orders = desk.orders(cycle)
    assert {role: order.state for role, order in orders.items()} == {
        "entry": "ACCEPTED",
        "stop": "ACCEPTED",
        "target": "ACCEPTED",
    }
    assert desk.frames("placeOrder") == 3

    desk.next_day()

    orders = desk.orders(cycle)
    entry = orders["entry"]
    assert (entry.state, entry.filled_quantity) == ("FILLED", entry.quantity)
    assert orders["stop"].state == orders["target"].state == "ACCEPTED"
    working = {row.order_ref: row for row in desk.market.broker.open_orders()}
    assert set(working) == {orders["stop"].order_ref, orders["target"].order_ref}
    trade = Trade.objects.get()
    assert (trade.state, trade.open_quantity, trade.decision_id) == ("OPEN", entry.quantity, entry.decision_id)
    snapshot = AccountSnapshot.objects.filter(cause="fill").first()
    assert snapshot is not None
    assert [(row["symbol"], Decimal(row["quantity"])) for row in snapshot.positions] == [("RISE", entry.quantity)]
    assert verify_chain().ok


def test_every_step_of_the_way_has_its_event(desk: Desk) -> None:
    cycle = desk.run(build_strategy("s", ["RISE"]))
    desk.next_day()

    execution = cycle.executions.get()
    seen = list(
        Event.objects.filter(correlation_id=execution.correlation_id).order_by("seq").values_list("type", flat=True)
    )
    fill = Fill.objects.get(order__role="entry")
    told = Event.objects.filter(subject__startswith="order:", type__in=["ORDER_ACCEPTED", "ORDER_FILLED"])
    assert {event.market_at.year for event in told if event.market_at} == {2019}
    assert Event.objects.filter(type="ORDER_FILLED").latest("seq").market_at == fill.time
    for earlier, later in [
        ("EXECUTION_QUEUED", "EXECUTION_CLAIMED"),
        ("STEP_DONE", "DECISION_MADE"),
        ("DECISION_MADE", "DECISION_ALLOWED"),
        ("DECISION_ALLOWED", "ORDER_SENDING"),
        ("ORDER_SENDING", "ORDER_PLACED"),
        ("ORDER_PLACED", "ORDER_ACCEPTED"),
        ("ORDER_ACCEPTED", "FILL_BOOKED"),
        ("FILL_BOOKED", "ORDER_FILLED"),
    ]:
        assert seen.index(earlier) < seen.index(later)


def test_the_intent_keeps_what_was_in_force(desk: Desk) -> None:
    entry = desk.orders(desk.run(build_strategy("s", ["RISE"])))["entry"]

    kept = entry.configuration
    assert kept["gates"]["mode"] == "paper"
    assert kept["gates"]["orders_enabled"] is True
    assert kept["risk_profile"] == {"name": "test", "version": 1}
    assert kept["verdicts"]["decision_freshness"]["least_r"] == "1.000000"
    assert entry.epoch == 1


def test_a_sell_closes_the_position_without_ever_being_naked(desk: Desk, model: LoopbackModelServer) -> None:
    strategy = build_strategy("s", ["CALM"])
    entry_cycle = desk.run(strategy)
    desk.next_day()
    assert Trade.objects.get().state == "OPEN"

    model.otherwise = agreeable("sell", target=0.92, stop=1.04)
    exit_cycle = desk.run(strategy)
    desk.next_day()

    legs = desk.orders(entry_cycle)
    assert legs["target"].state == "FILLED"
    assert legs["stop"].state == "CANCELLED"
    assert desk.orders(exit_cycle) == {}
    assert OrderChange.objects.get().state == "ACKED"
    assert desk.market.broker.open_orders() == ()
    assert [row for row in desk.market.broker.positions() if row.quantity] == []
    trade = Trade.objects.get()
    assert trade.state == "CLOSED"
    assert trade.pnl == sum(fill.realized_pnl for fill in Fill.objects.exclude(realized_pnl=None))
    assert trade.pnl == desk.market.broker.account().net_liquidation - Decimal(1_000_000)
    assert verify_chain().ok


def test_a_sell_while_flat_is_a_hold(desk: Desk, model: LoopbackModelServer) -> None:
    model.otherwise = agreeable("sell", target=0.92, stop=1.04)

    cycle = desk.run(build_strategy("s", ["CALM"]))

    assert cycle.executions.get().reason == "nothing_to_sell"
    assert not Order.objects.exists()


def test_a_filled_target_ends_the_stop_and_closes_the_trade(desk: Desk, model: LoopbackModelServer) -> None:
    cycle = desk.run(build_strategy("s", ["JUMP"]))

    desk.next_day(2)

    legs = desk.orders(cycle)
    assert {legs["target"].state, legs["stop"].state} == {"FILLED", "CANCELLED"}
    trade = Trade.objects.get()
    assert trade.state == "CLOSED"
    assert trade.pnl == desk.market.broker.account().net_liquidation - Decimal(1_000_000)


def test_an_entry_that_never_fills_expires_with_its_children(desk: Desk, model: LoopbackModelServer) -> None:
    strategy = build_strategy("s", ["GAPS"])
    cycle = desk.run(strategy)

    desk.next_day()

    states = {role: order.state for role, order in desk.orders(cycle).items()}
    assert states == {"entry": "EXPIRED", "stop": "CANCELLED", "target": "CANCELLED"}
    expired = Event.objects.get(type="ORDER_EXPIRED")
    assert expired.market_at == desk.orders(cycle)["entry"].expires_at
    assert not Fill.objects.exists()


def test_an_exit_of_two_brackets_moves_both_targets(desk: Desk, model: LoopbackModelServer) -> None:
    steps = [dict(step) for step in TWO_INDICATORS]
    steps[5] = {"name": "decide", "parameters": {"allow_add": True}}
    strategy = build_strategy("s", ["CALM"], steps)
    RiskProfile.objects.update(max_position_fraction=Decimal("0.5"), risk_per_trade=Decimal("0.005"))
    desk.run(strategy)
    desk.next_day()
    desk.run(strategy)
    desk.next_day()
    outcomes = [(cycle.executions.get().outcome, cycle.executions.get().reason) for cycle in desk.cycles]
    assert Order.objects.filter(role="entry", state="FILLED").count() == 2, outcomes

    model.otherwise = agreeable("sell", target=0.92, stop=1.04)
    desk.run(strategy)
    desk.next_day()

    assert set(Order.objects.filter(role="target").values_list("state", flat=True)) == {"FILLED"}
    assert set(Order.objects.filter(role="stop").values_list("state", flat=True)) == {"CANCELLED"}
    assert [row for row in desk.market.broker.positions() if row.quantity] == []
    trade = Trade.objects.get()
    assert trade.pnl == desk.market.broker.account().net_liquidation - Decimal(1_000_000)


def test_an_exit_ends_the_entry_that_still_fills_before_it_sells(
    open_desk: Callable[..., Desk], bars_folder: Path, tmp_path: Path, model: LoopbackModelServer
) -> None:
    folder = Path(shutil.copytree(bars_folder, tmp_path / "bars"))
    thin = [[*row[:4], 8_000] for row in walk(SEEDS["CALM"])]
    write_symbol(folder, "THIN", thin)
    desk = open_desk(folder=folder)
    strategy = build_strategy("s", ["THIN"])
    # Between its prints a replayed day has no newer quote than the last one.
    RiskProfile.objects.update(max_quote_age_seconds=86_400)
    cycle = desk.run(strategy)
    entry = desk.orders(cycle)["entry"]
    close = desk.market.broker.status().market_now
    desk.market.advance(close + timedelta(hours=17, minutes=45))
    entry.refresh_from_db()
    assert entry.state == "PARTIALLY_FILLED"

    model.otherwise = agreeable("sell", target=0.92, stop=1.04)
    first = desk.run(strategy)
    desk.next_day()
    second = desk.run(strategy)
    desk.next_day(4)

    assert desk.decision(first).reasons == ["ENTRY_WORKING"]
    entry.refresh_from_db()
    assert entry.state == "CANCELLED"
    assert (second.executions.get().outcome, second.executions.get().reason[:5]) == ("ordered", "exit:")
    held = {row.symbol: row.quantity for row in desk.market.broker.positions()}
    assert held.get("THIN", Decimal(0)) == 0
    assert Trade.objects.get().state == "CLOSED"
