"""The shadow ledger: the same order against live quotes, in an account of its own, ended by the same events."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from broker.paper_gateway.economics import commission as paper_commission
from tests.trading.builders import CLOSE, NOW, D, claimed, decided, intent, quote, strategy
from trading.models import Fill, Order, Strategy, Trade, WorkflowExecution
from trading.selectors.orders import live_entry, unresolved
from trading.selectors.positions import position_quantity
from trading.services.accounts import shadow_account
from trading.services.executions import EpochLost
from trading.services.orders import entry_write, exit_write
from trading.services.shadow import fill_price, shadow_commission, shadow_exit, shadow_place, shadow_settle

LATER = NOW + timedelta(hours=1)


def shadowed(row: Strategy) -> WorkflowExecution:
    account = shadow_account(row, "USD")
    return claimed(row, account=account.pk)


def entered(row: Strategy, ask: str = "100.00") -> list[Order]:
    """A bracket that met its first quote."""
    execution = shadowed(row)
    decision = decided(execution)
    legs = entry_write(execution, intent(decision))
    shadow_place(execution, legs, quote("99.98", ask))
    return legs


def settled(row: Strategy, bid: str, ask: str, **more: object) -> None:
    """A later cycle looks at a quote."""
    shadow_settle(shadowed(row), quote(bid, ask, **({"at": LATER} | more)))  # type: ignore[arg-type]


def states(legs: list[Order]) -> list[str]:
    return [Order.objects.get(pk=leg.pk).state for leg in legs]


@pytest.fixture
def row(db: None) -> Strategy:
    return strategy(mode="shadow")


def test_an_entry_fills_at_the_ask(row: Strategy) -> None:
    legs = entered(row)
    assert states(legs) == ["FILLED", "ACCEPTED", "ACCEPTED"]
    fill = Fill.objects.get()
    assert (fill.price, fill.quantity, fill.commission, fill.account_id) == (D(100), D(10), D(1), f"SHADOW:{row.pk}")
    assert position_quantity(legs[0].account, row, legs[0].instrument) == 10
    assert unresolved(NOW) == [], "the broker is never asked for it"
    assert verify_chain().ok


def test_an_entry_beyond_its_limit_waits(row: Strategy) -> None:
    legs = entered(row, ask="101.01")
    assert states(legs) == ["ACCEPTED"] * 3
    settled(row, "94.00", "101.01")
    assert states(legs) == ["ACCEPTED"] * 3, "the legs wait for their entry"
    settled(row, "100.90", "101.00")
    assert states(legs) == ["FILLED", "ACCEPTED", "ACCEPTED"]


@pytest.mark.parametrize(
    ("bid", "ask", "ended", "pnl"),
    [
        ("95.01", "95.05", ["FILLED", "ACCEPTED", "ACCEPTED"], None),
        ("95.00", "95.05", ["FILLED", "FILLED", "CANCELLED"], "-52"),
        ("90.00", "90.05", ["FILLED", "FILLED", "CANCELLED"], "-102"),
        ("109.99", "110.05", ["FILLED", "ACCEPTED", "ACCEPTED"], None),
        ("110.00", "110.05", ["FILLED", "CANCELLED", "FILLED"], "98"),
        ("112.50", "112.55", ["FILLED", "CANCELLED", "FILLED"], "123"),
    ],
)
def test_a_later_quote_meets_stop_and_target(
    row: Strategy, bid: str, ask: str, ended: list[str], pnl: str | None
) -> None:
    legs = entered(row)
    settled(row, bid, ask)
    assert states(legs) == ended
    trade = Trade.objects.get()
    assert trade.pnl == (None if pnl is None else D(pnl))
    settled(row, bid, ask)
    assert states(legs) == ended
    assert verify_chain().ok


def test_an_exit_ends_the_legs(row: Strategy) -> None:
    legs = entered(row)
    execution = shadowed(row)
    decision = decided(execution, "sell", position="10")
    leaving = exit_write(execution, intent(decision))
    shadow_exit(execution, leaving, quote("99.50", "99.52"))
    assert states([*legs, leaving]) == ["FILLED", "CANCELLED", "CANCELLED", "FILLED"]
    assert position_quantity(legs[0].account, row, legs[0].instrument) == 0
    assert Trade.objects.get().pnl == D("-7")


def test_an_exit_that_waits_and_a_stop_never_both_fill(row: Strategy) -> None:
    legs = entered(row)
    execution = shadowed(row)
    decision = decided(execution, "sell", position="10")
    leaving = exit_write(execution, intent(decision))
    shadow_exit(execution, leaving, quote("98.00", "98.02"))
    assert states([*legs, leaving]) == ["FILLED", "ACCEPTED", "ACCEPTED", "ACCEPTED"]
    settled(row, "94.00", "94.02")
    assert states([*legs, leaving]) == ["FILLED", "FILLED", "CANCELLED", "CANCELLED"]
    assert position_quantity(legs[0].account, row, legs[0].instrument) == 0


def test_an_exit_that_waited_ends_the_legs_when_it_fills(row: Strategy) -> None:
    legs = entered(row)
    execution = shadowed(row)
    decision = decided(execution, "sell", position="10")
    leaving = exit_write(execution, intent(decision))
    shadow_exit(execution, leaving, quote("98.00", "98.02"))
    settled(row, "99.00", "99.02")
    assert states([*legs, leaving]) == ["FILLED", "CANCELLED", "CANCELLED", "FILLED"]


def test_a_day_entry_ends_at_its_close(row: Strategy) -> None:
    legs = entered(row, ask="102.00")
    settled(row, "101.90", "102.00", at=CLOSE - timedelta(seconds=1))
    assert states(legs) == ["ACCEPTED"] * 3
    settled(row, "100.90", "101.00", at=CLOSE + timedelta(days=1))
    assert states(legs) == ["EXPIRED", "CANCELLED", "CANCELLED"]
    assert not Fill.objects.exists()
    assert live_entry(legs[0].account, row, legs[0].instrument) is None
    assert verify_chain().ok


def test_the_close_itself_may_still_fill(row: Strategy) -> None:
    legs = entered(row, ask="102.00")
    settled(row, "100.90", "101.00", at=CLOSE)
    assert states(legs) == ["FILLED", "ACCEPTED", "ACCEPTED"]


def test_orders_of_a_worker_that_died_before_it_placed_them(row: Strategy) -> None:
    execution = shadowed(row)
    decision = decided(execution)
    legs = entry_write(execution, intent(decision))
    settled(row, "99.98", "100.00")
    assert states(legs) == ["SENDING"] * 3, "it may be about to place them"
    Order.objects.update(sending_at=system_now() - timedelta(minutes=2))
    settled(row, "99.98", "100.00")
    assert states(legs) == ["ABSENT"] * 3
    assert live_entry(legs[0].account, row, legs[0].instrument) is None


def test_a_worker_that_lost_its_epoch_fills_nothing(row: Strategy) -> None:
    execution = shadowed(row)
    decision = decided(execution)
    legs = entry_write(execution, intent(decision))
    WorkflowExecution.objects.filter(pk=execution.pk).update(epoch=9)
    with pytest.raises(EpochLost):
        shadow_place(execution, legs, quote())
    assert states(legs) == ["SENDING"] * 3
    assert not Event.objects.filter(type="FILL_BOOKED").exists()


@pytest.mark.parametrize(
    ("side", "limit", "stop", "price"),
    [
        ("BUY", "100.00", None, "100.00"),
        ("BUY", "99.99", None, None),
        ("SELL", "99.98", None, "99.98"),
        ("SELL", "99.99", None, None),
        ("BUY", None, "100.00", "100.00"),
        ("BUY", None, "100.01", None),
        ("SELL", None, "99.98", "99.98"),
        ("SELL", None, "99.97", None),
        ("SELL", None, None, "99.98"),
    ],
)
def test_what_a_quote_pays(side: str, limit: str | None, stop: str | None, price: str | None) -> None:
    order = Order(side=side, limit_price=limit and D(limit), stop_price=stop and D(stop))
    assert fill_price(order, quote("99.98", "100.00")) == (None if price is None else D(price))


def test_without_a_quote_nothing_fills() -> None:
    from dataclasses import replace

    empty = replace(quote(), bid=None, ask=None)
    assert fill_price(Order(side="BUY", limit_price=D(100)), empty) is None
    assert fill_price(Order(side="SELL", stop_price=D(100)), empty) is None


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [("10", "100", "1.00"), ("200", "100", "1.00"), ("201", "100", "1.01"), ("1000", "50", "5.00"), ("1", "5", "0.05")],
)
def test_the_commission_is_that_of_the_paper_account(quantity: str, price: str, expected: str) -> None:
    assert shadow_commission(D(quantity), D(price)) == D(expected)
    assert shadow_commission(D(quantity), D(price)) == paper_commission(D(quantity), D(quantity) * D(price))


def test_half_cents_round_as_in_the_paper_account() -> None:
    for quantity in range(1, 1200):
        size = Decimal(quantity)
        assert shadow_commission(size, D("0.5")) == paper_commission(size, size * D("0.5"))
