"""The three ways not to send, each over three cycles: simulated, shadow, dry run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from autotrader.core.audit.verify import verify_chain
from tests.desk.conftest import Desk, build_strategy
from tests.research.openai_server import LoopbackModelServer, agreeable
from trading.models import Cycle, Fill, Order, Strategy, Trade

pytestmark = pytest.mark.once


def three_cycles(desk: Desk, strategy: Strategy, model: LoopbackModelServer, **options: Any) -> list[Cycle]:
    """Buy, look again, sell."""
    cycles = [desk.run(strategy, **options)]
    desk.next_day()
    cycles.append(desk.run(strategy, **options))
    desk.next_day()
    model.otherwise = agreeable("sell", target=0.92, stop=1.04)
    return [*cycles, desk.run(strategy, **options)]


def test_simulated_orders_end_there_and_hold_nothing(desk: Desk, model: LoopbackModelServer, settings: Any) -> None:
    settings.ORDERS_ENABLED = False

    cycles = three_cycles(desk, build_strategy("s", ["CALM"]), model)

    assert [cycle.executions.get().outcome for cycle in cycles] == ["simulated", "simulated", "hold"]
    assert set(Order.objects.values_list("state", flat=True)) == {"SIMULATED"}
    assert Order.objects.count() == 6
    assert not Fill.objects.exists()
    assert not Trade.objects.exists()
    assert desk.frames("placeOrder") == 0


def test_shadow_orders_fill_in_a_ledger_of_their_own(desk: Desk, model: LoopbackModelServer) -> None:
    strategy = build_strategy("s", ["CALM"], mode="shadow")

    cycles = three_cycles(desk, strategy, model)

    assert [cycle.executions.get().outcome for cycle in cycles] == ["shadow", "hold", "shadow"]
    assert cycles[1].executions.get().reason == "already_held"
    assert set(Order.objects.values_list("account_id", flat=True)) == {f"SHADOW:{strategy.pk}"}
    trade = Trade.objects.get()
    assert trade.state == "CLOSED"
    bought, sold = Fill.objects.order_by("id")
    assert trade.pnl == bought.quantity * (sold.price - bought.price) - bought.commission - sold.commission
    assert set(desk.orders(cycles[0])) == {"entry", "stop", "target"}
    assert {row.state for row in desk.orders(cycles[0]).values()} == {"FILLED", "CANCELLED"}
    assert desk.frames("placeOrder") == 0
    assert desk.market.broker.account().net_liquidation == Decimal(1_000_000)
    assert verify_chain().ok


def test_a_shadow_target_fills_on_a_later_cycles_quote(desk: Desk, model: LoopbackModelServer) -> None:
    strategy = build_strategy("s", ["JUMP"], mode="shadow")
    first = desk.run(strategy)
    desk.next_day(2)
    model.otherwise = agreeable("hold")

    desk.run(strategy)

    legs = desk.orders(first)
    assert (legs["target"].state, legs["stop"].state) == ("FILLED", "CANCELLED")
    assert Trade.objects.get().state == "CLOSED"


def test_a_dry_run_stops_before_the_order_row(desk: Desk, model: LoopbackModelServer) -> None:
    cycles = three_cycles(desk, build_strategy("s", ["CALM"]), model, dry_run=True)

    assert [cycle.executions.get().outcome for cycle in cycles] == ["dry_run", "dry_run", "hold"]
    assert desk.decision(cycles[0]).state == "ALLOWED"
    assert not Order.objects.exists()
    assert desk.frames("placeOrder") == 0
