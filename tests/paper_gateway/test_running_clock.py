"""A running clock over the seeded market: orders meet bid and ask at once, resting ones the path since."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from broker.paper_gateway import economics
from broker.paper_gateway.types import AccountChanged

from .conftest import Desk, RunningTime

TICK = Decimal("0.01")
Running = tuple[Desk, RunningTime]


def test_market_orders_trade_at_once_at_the_far_side(running: Running) -> None:
    desk, _ = running
    quote = desk.exchange.quote(desk.con_id)
    desk.order(1, "BUY", 100, "MKT")
    desk.order(2, "SELL", 40, "MKT")
    assert [(fill.side, fill.price) for fill in desk.fills()] == [("BOT", quote.ask), ("SLD", quote.bid)]
    assert quote.bid is not None
    assert quote.ask is not None
    assert quote.last == (quote.bid + quote.ask) / 2


def test_no_order_takes_more_than_the_shown_size_a_beat(running: Running) -> None:
    desk, time = running
    size = desk.exchange.quote(desk.con_id).ask_size
    desk.order(1, "BUY", size * 2 + 50, "MKT", tif="GTC")
    desk.exchange.tick()
    assert [fill.shares for fill in desk.fills()] == [size]
    for _ in range(2):
        time.at += timedelta(seconds=1)
        desk.exchange.tick()
    assert sum(fill.shares for fill in desk.fills()) == size * 2 + 50
    assert desk.view(1).status == "Filled"
    fees = [c.commission for _, c in desk.exchange.executions()]
    shares, value = Decimal(size * 2 + 50), sum(f.shares * f.price for f in desk.fills())
    assert sum(fees) == economics.commission(shares, Decimal(value))


def test_resting_limit_and_stop_meet_the_path_of_the_minutes(running: Running) -> None:
    desk, time = running
    start = time.at
    bars = _hour_after(desk, time)
    time.at = start
    desk_low = Decimal(str(bars[0])) + TICK
    last = desk.exchange.quote(desk.con_id).last
    assert last is not None
    assert desk_low < last
    desk.order(1, "BUY", 100, "LMT", limit_price=str(desk_low), tif="GTC")
    desk.order(2, "SELL", 100, "STP", aux_price=str(desk_low), tif="GTC")
    assert desk.fills() == []
    time.at = start + timedelta(hours=1)
    desk.exchange.tick()
    assert [fill.price for fill in desk.fills(1)] == [desk_low]
    assert [fill.price for fill in desk.fills(2)] == [desk_low - economics.half_spread(desk_low, TICK)]
    assert all(start < fill.time <= time.at for fill in desk.fills())


def test_day_orders_end_at_midnight_in_new_york(running: Running) -> None:
    desk, time = running
    desk.order(1, "BUY", 100, "LMT", limit_price="1.00")
    time.at += timedelta(hours=13, minutes=59)
    desk.exchange.tick()
    assert desk.view(1).status == "Submitted"
    time.at += timedelta(minutes=1)
    desk.exchange.tick()
    assert (desk.view(1).status, desk.refusals(1)) == ("Cancelled", [202])


def test_a_bracket_opens_at_once_and_its_children_work(running: Running) -> None:
    desk, _ = running
    desk.bracket(1, target="900.00", stop="1.00")
    assert desk.view(1).status == "Filled"
    assert (desk.view(2).status, desk.view(3).why_held) == ("Submitted", "trigger")
    desk.order(2, "SELL", 100, "LMT", limit_price="1.00", parent_id=1, tif="GTC")
    assert [fill.side for fill in desk.fills()] == ["BOT", "SLD"]
    assert desk.view(3).status == "Cancelled"
    assert desk.exchange.positions() == []


def test_the_two_kinds_of_clock_are_not_mixed_up(running: Running) -> None:
    desk, time = running
    with pytest.raises(ValueError, match="running"):
        desk.exchange.advance(time.at)
    assert desk.value("PaperClock", "") == "running"


def test_the_new_day_keeps_the_equity_it_began_with(running: Running) -> None:
    desk, time = running
    desk.order(1, "BUY", 100, "MKT")
    time.at = time.at.replace(day=5, hour=5, minute=0, second=0)  # midnight in New York
    at_midnight = desk.value("NetLiquidation")
    time.at += timedelta(hours=3)
    assert desk.value("PreviousDayEquityWithLoanValue") == at_midnight
    assert desk.exchange.executions() == []
    assert any(isinstance(event, AccountChanged) for event in desk.events)


def _hour_after(desk: Desk, time: RunningTime) -> tuple[float, float]:
    """The lowest and highest price of the hour from now on."""
    start = time.at
    time.at = start + timedelta(hours=1)
    bars = desk.exchange.bars(desk.con_id, bar_size="1 min", duration="3540 S", end=None, use_rth=False)
    inside = [bar for bar in bars if bar.start > start]
    return min(bar.low for bar in inside), max(bar.high for bar in inside)


def test_a_halted_contract_does_not_trade_and_its_quote_stands(running: Running) -> None:
    desk, time = running
    quote = desk.exchange.quote(desk.con_id)
    desk.exchange.set_halted(desk.con_id, halted=True)
    time.at += timedelta(minutes=5)
    desk.order(1, "BUY", 10, "MKT")
    desk.order(2, "BUY", 10, "LMT", limit_price="9000.00")
    time.at += timedelta(minutes=5)
    desk.exchange.tick()
    assert desk.fills() == []
    assert desk.exchange.quote(desk.con_id).last == quote.last
    desk.exchange.set_halted(desk.con_id, halted=False)
    time.at += timedelta(seconds=30)
    desk.exchange.tick()
    assert {fill.order_id for fill in desk.fills()} == {1, 2}
