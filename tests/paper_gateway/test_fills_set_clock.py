"""Fill rules under a set clock: what trades, at which price, in which order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from broker.paper_gateway.exchange import PaperExchange

from .conftest import Desk

Make = Callable[..., Desk]
FLAT = (100, 101, 99, 100, 1_000_000)


def prices(desk: Desk, order_id: int) -> list[Decimal]:
    return [fill.price for fill in desk.fills(order_id)]


def test_market_order_pays_half_the_spread_at_the_next_open(replay: Make) -> None:
    desk = replay([FLAT, (102, 103, 101, 102.5, 1_000_000)])
    desk.order(1, "BUY", 100, "MKT")
    desk.order(2, "SELL", 50, "MKT")
    assert desk.fills() == []
    desk.day(1)
    assert prices(desk, 1) == [Decimal("102.01")]
    assert prices(desk, 2) == [Decimal("101.99")]


def test_limit_fills_at_its_price_inside_the_bar_and_at_the_open_on_a_gap(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 97, 100, 1_000_000), (95, 96, 94, 95, 1_000_000)])
    desk.order(1, "BUY", 10, "LMT", limit_price="98.00", tif="GTC")
    desk.order(2, "BUY", 10, "LMT", limit_price="96.50", tif="GTC")
    desk.day(1)
    assert prices(desk, 1) == [Decimal("98.00")]
    assert prices(desk, 2) == []
    desk.day(2)
    assert prices(desk, 2) == [Decimal("95.00")]


def test_stop_pays_half_the_spread_at_its_price_and_at_the_open_on_a_gap(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 97, 100, 1_000_000), (90, 96, 89, 95, 1_000_000)])
    desk.order(1, "SELL", 10, "STP", aux_price="98.00", tif="GTC")
    desk.order(2, "SELL", 10, "STP", aux_price="96.00", tif="GTC")
    desk.day(1)
    assert prices(desk, 1) == [Decimal("97.99")]
    assert desk.view(2).why_held == "trigger"
    desk.day(2)
    assert prices(desk, 2) == [Decimal("89.99")]


def test_stop_comes_before_target_where_one_bar_holds_both(replay: Make) -> None:
    desk = replay([FLAT, FLAT, (100, 120, 80, 110, 1_000_000)])
    desk.bracket(1, target="115.00", stop="90.00")
    desk.day(2)
    assert prices(desk, 1) == [Decimal("100.01")]
    assert prices(desk, 3) == [Decimal("89.99")]
    assert desk.view(2).status == "Cancelled"
    assert desk.refusals(2) == [202]


def test_short_holding_meets_the_high_first(replay: Make) -> None:
    desk = replay([FLAT, FLAT, (100, 120, 80, 110, 1_000_000)])
    desk.order(1, "SELL", 100, "MKT")
    desk.day(1)
    desk.order(2, "BUY", 100, "STP", aux_price="115.00", oca_group="exit", tif="GTC")
    desk.order(3, "BUY", 100, "LMT", limit_price="85.00", oca_group="exit", tif="GTC")
    desk.day(2)
    assert prices(desk, 2) == [Decimal("115.01")]
    assert desk.view(3).status == "Cancelled"


def test_entry_and_its_stop_can_both_be_met_in_one_bar(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 88, 95, 1_000_000)])
    desk.bracket(1, target="115.00", stop="90.00", order_type="LMT", limit_price="98.00")
    desk.day(1)
    assert prices(desk, 1) == [Decimal("98.00")]
    assert prices(desk, 3) == [Decimal("89.99")]
    assert desk.exchange.positions() == []


def test_breakout_entry_meets_its_trigger_first_and_then_its_stop(replay: Make) -> None:
    desk = replay([FLAT, (100, 106, 90, 100, 1_000_000)])
    desk.bracket(1, target="120.00", stop="95.00", order_type="STP", aux_price="105.00")
    desk.day(1)
    assert prices(desk, 1) == [Decimal("105.01")]
    assert prices(desk, 3) == [Decimal("94.99")]


def test_an_order_takes_a_tenth_of_a_bars_volume(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 99, 100, 405), (100, 101, 99, 100, 405), (100, 101, 99, 100, 405)])
    desk.order(1, "BUY", 100, "LMT", limit_price="100.50", tif="GTC")
    desk.day(1)
    assert [fill.shares for fill in desk.fills(1)] == [40]
    assert (desk.view(1).status, desk.view(1).filled, desk.view(1).remaining) == ("Submitted", 40, 60)
    desk.day(3)
    assert [fill.shares for fill in desk.fills(1)] == [40, 40, 20]
    assert desk.view(1).status == "Filled"


def test_children_work_for_what_the_parent_has_filled(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 99, 100, 400), (100, 112, 99, 111, 1_000_000)])
    desk.bracket(1, target="110.00", stop="90.00", tif="DAY")
    desk.day(1)
    assert desk.view(1).status == "Cancelled"  # the DAY parent ended with 40 shares
    assert (desk.view(2).terms.quantity, desk.view(3).terms.quantity) == (40, 40)
    desk.day(2)
    assert [(fill.shares, fill.price) for fill in desk.fills(2)] == [(40, Decimal("110.00"))]
    assert desk.view(3).status == "Cancelled"
    assert desk.exchange.positions() == []


def test_bars_that_are_not_sound_trade_nothing(replay: Make) -> None:
    bad = [("NaN", 101, 99, 100, 1000), (-1, 101, 99, 100, 1000), (100, 99, 101, 100, 1000), (100, 101, 99, 100, -5)]
    desk = replay([FLAT, *bad, (100, 101, 99, 100, "NaN"), FLAT])
    desk.order(1, "BUY", 10, "MKT", tif="GTC")
    desk.day(5)
    assert desk.fills() == []
    desk.day(6)
    assert prices(desk, 1) == [Decimal("100.01")]


def test_one_long_advance_equals_many_short_ones(replay: Make) -> None:
    rows = [(100 + n, 104 + n, 96 + n, 101 + n, 900) for n in range(8)]
    told = []
    for stops in ([7], list(range(1, 8))):
        desk = replay(rows)
        desk.bracket(1, target="106.00", stop="97.00", quantity=300, tif="GTC")
        for stop in stops:
            desk.day(stop)
        told.append([(f.order_id, f.shares, f.price, f.time) for f in desk.fills()])
    assert told[0] == told[1]
    assert len(told[0]) > 3


def test_an_order_placed_inside_a_bar_meets_only_its_close(replay: Make) -> None:
    desk = replay([FLAT, (100, 110, 90, 105, 1_000_000), FLAT])
    noon = desk.exchange.now().replace(day=4, hour=16)
    desk.exchange.advance(noon)
    desk.order(1, "BUY", 10, "LMT", limit_price="95.00", tif="GTC")
    desk.order(2, "BUY", 10, "MKT")
    desk.day(1)
    assert prices(desk, 1) == []
    assert prices(desk, 2) == [Decimal("105.01")]


def test_orders_already_working_go_on_when_the_clock_stops_inside_a_bar(replay: Make) -> None:
    desk = replay([FLAT, (100, 110, 90, 105, 1_000_000)])
    desk.bracket(1, target="108.00", stop="80.00")
    desk.exchange.advance(desk.exchange.now().replace(day=4, hour=14))
    assert prices(desk, 1) == [Decimal("100.01")]
    desk.day(1)
    assert prices(desk, 2) == [Decimal("108.00")]


def test_a_set_clock_over_the_seeded_market_plays_its_hours() -> None:
    start = datetime(2026, 3, 4, 15, tzinfo=UTC)
    exchange = PaperExchange(data_folder=None, store_path=None, set_clock=start, system_clock=lambda: start)
    desk = Desk(exchange, "AAPL", 265598)
    desk.order(1, "BUY", 10, "MKT")
    desk.order(2, "BUY", 10, "LMT", limit_price="1.00")
    assert desk.fills() == []
    exchange.advance(start.replace(hour=16))
    hour = exchange.bars(265598, bar_size="1 hour", duration="1 D", end=None, use_rth=True)[-1]
    assert (hour.start, hour.end) == (start, start.replace(hour=16))
    assert prices(desk, 1) == [Decimal(str(hour.open)) + Decimal("0.01")]
    exchange.advance(datetime(2026, 3, 5, 5, tzinfo=UTC))
    assert desk.refusals(2) == [202]
