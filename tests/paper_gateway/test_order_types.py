"""Every order type and time in force under a set clock: when it acts, at which price, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from .conftest import Desk

Make = Callable[..., Desk]
FLAT = (100, 101, 99, 100, 1_000_000)
QUIET = [FLAT] * 6


def prices(desk: Desk, order_id: int) -> list[str]:
    return [str(fill.price) for fill in desk.fills(order_id)]


def test_a_stop_limit_is_touched_and_then_keeps_its_limit(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 97, 98, 1_000_000), (90, 96, 89, 95.9, 1_000_000), (98, 99, 97, 98, 1_000_000)])
    desk.order(1, "SELL", 10, "STP LMT", aux_price="98.00", limit_price="97.90", tif="GTC")
    desk.order(2, "SELL", 10, "STP LMT", aux_price="96.00", limit_price="95.95", tif="GTC")
    assert desk.view(1).why_held == "trigger"
    desk.day(1)
    assert prices(desk, 1) == ["97.99"]
    desk.day(2)
    assert prices(desk, 2) == ["95.95"]  # opened far below: it waits for its limit to come back
    assert desk.view(2).why_held == ""


def test_a_stop_limit_that_the_market_leaves_behind_rests_as_a_limit(replay: Make) -> None:
    desk = replay([FLAT, (90, 91, 89, 90, 1_000_000), (90, 97, 89, 95, 1_000_000)])
    desk.order(1, "SELL", 10, "STP LMT", aux_price="96.00", limit_price="95.00", tif="GTC")
    desk.day(1)
    assert (prices(desk, 1), desk.view(1).status, desk.view(1).why_held) == ([], "Submitted", "")
    desk.day(2)
    assert prices(desk, 1) == ["95.00"]


@pytest.mark.parametrize(
    ("terms", "begins", "follows", "sold"),
    [
        ({"aux_price": "3.00"}, "97.00", "107.00", "106.99"),
        ({"trail_percent": Decimal(5)}, "95.00", "104.50", "104.49"),
        ({"aux_price": "3.00", "trail_stop_price": Decimal("98.50")}, "98.50", "107.00", "106.99"),
    ],
)
def test_a_trailing_stop_follows_the_market_and_never_goes_back(
    replay: Make, terms: dict[str, Any], begins: str, follows: str, sold: str
) -> None:
    desk = replay([FLAT, (100, 110, 99.5, 109, 1_000_000), (108, 109, 100, 102, 1_000_000)])
    desk.order(1, "SELL", 10, "TRAIL", tif="GTC", **terms)
    assert (str(desk.view(1).terms.trail_stop_price), desk.view(1).why_held) == (begins, "trigger")
    desk.day(1)
    (shown,) = desk.exchange.open_orders(1)
    assert str(shown.terms.trail_stop_price) == follows
    desk.day(2)
    assert prices(desk, 1) == [sold]


def test_a_trailing_buy_follows_a_falling_market(replay: Make) -> None:
    desk = replay([FLAT, (100, 100, 90, 91, 1_000_000), (91, 99, 91, 98, 1_000_000)])
    desk.order(1, "BUY", 10, "TRAIL", aux_price="4.00", tif="GTC")
    desk.day(1)
    assert str(desk.exchange.open_orders(1)[0].terms.trail_stop_price) == "94.00"
    desk.day(2)
    assert prices(desk, 1) == ["94.01"]


def test_a_trailing_stop_limit_keeps_the_distance_of_its_limit(replay: Make) -> None:
    desk = replay([FLAT, (100, 110, 99.5, 109, 1_000_000), (108, 109, 100, 102, 1_000_000)])
    desk.order(1, "SELL", 10, "TRAIL LIMIT", aux_price="3.00", limit_offset=Decimal("0.50"), tif="GTC")
    start = {"trail_stop_price": Decimal("97.00"), "limit_price": "97.20"}
    desk.order(2, "SELL", 10, "TRAIL LIMIT", aux_price="3.00", tif="GTC", **start)
    desk.day(1)
    one, two = desk.exchange.open_orders(1)
    assert (str(one.terms.trail_stop_price), str(one.terms.limit_price)) == ("107.00", "106.50")
    assert (str(two.terms.trail_stop_price), str(two.terms.limit_price)) == ("107.00", "107.20")
    desk.day(2)
    assert (prices(desk, 1), prices(desk, 2)) == (["106.99"], ["107.20"])


def test_a_trailing_child_begins_where_its_parent_was_filled(replay: Make) -> None:
    desk = replay([FLAT, (120, 121, 119, 120, 1_000_000)])
    desk.order(1, "BUY", 10, "MKT", transmit=False)
    desk.order(2, "SELL", 10, "TRAIL", aux_price="5.00", parent_id=1, tif="GTC")
    assert str(desk.view(2).terms.trail_stop_price) == "95.00"
    desk.day(1)
    assert str(desk.exchange.open_orders(1)[0].terms.trail_stop_price) == "116.00"


def test_changing_a_trailing_stop_moves_it_only_with_its_distance_or_tighter(replay: Make) -> None:
    desk = replay([FLAT, (100, 110, 99.5, 109, 1_000_000), FLAT])
    desk.order(1, "SELL", 10, "TRAIL", aux_price="3.00", tif="GTC")
    desk.day(1)
    change = {"action": "SELL", "order_type": "TRAIL", "tif": "GTC"}
    for terms, stop in [
        ({"quantity": 20, "aux_price": "3.00", "trail_stop_price": Decimal("97.00")}, "107.00"),
        ({"quantity": 20, "aux_price": "3.00", "trail_stop_price": Decimal("108.00")}, "108.00"),
        ({"quantity": 20, "aux_price": "9.00"}, "100.00"),
    ]:
        desk.order(1, **{**change, **terms})
        assert str(desk.view(1).terms.trail_stop_price) == stop
    assert desk.view(1).remaining == 20


def test_orders_if_touched_act_on_the_better_side(replay: Make) -> None:
    desk = replay([FLAT, (100, 104, 99, 103, 1_000_000)])
    desk.order(1, "SELL", 10, "MIT", aux_price="102.00", tif="GTC")
    desk.order(2, "SELL", 10, "LIT", aux_price="102.00", limit_price="103.50", tif="GTC")
    assert desk.view(1).why_held == "trigger"
    desk.day(1)
    assert (prices(desk, 1), prices(desk, 2)) == (["101.99"], ["103.50"])


def test_closing_orders_trade_in_the_closing_auction_only(replay: Make) -> None:
    desk = replay([FLAT, (100, 104, 96, 103, 1_000_000), FLAT])
    desk.exchange.advance(datetime(2019, 6, 4, 13, tzinfo=UTC))  # half an hour before the session
    desk.order(1, "BUY", 10, "MOC")
    desk.order(2, "BUY", 10, "LOC", limit_price="103.50")
    desk.order(3, "BUY", 10, "LOC", limit_price="99.00")
    desk.exchange.advance(datetime(2019, 6, 4, 19, 59, tzinfo=UTC))
    assert desk.fills() == []
    desk.day(1)
    assert (prices(desk, 1), prices(desk, 2), prices(desk, 3)) == (["103.00"], ["103.00"], [])
    assert (desk.view(3).status, desk.refusals(3)) == ("Cancelled", [202])


def test_opening_orders_trade_at_the_next_open_or_never(replay: Make) -> None:
    desk = replay([FLAT, (98, 104, 90, 103, 1_000_000), (101, 102, 100, 101, 1_000_000)])
    desk.order(1, "BUY", 10, "MKT", tif="OPG")
    desk.order(2, "BUY", 10, "LMT", limit_price="95.00", tif="OPG")
    assert desk.view(1).status == "PreSubmitted"
    desk.exchange.advance(datetime(2019, 6, 4, 15, tzinfo=UTC))
    assert prices(desk, 1) == ["98.00"]
    assert desk.view(2).status == "Cancelled"
    desk.order(3, "BUY", 10, "MKT", tif="OPG")  # after the open: it waits for the next
    desk.day(1)
    assert desk.fills(3) == []
    desk.day(2)
    assert prices(desk, 3) == ["101.00"]


def test_what_cannot_be_filled_at_once_is_cancelled(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 99, 100, 405), FLAT])
    desk.order(1, "BUY", 100, "LMT", limit_price="100.50", tif="IOC")
    desk.order(2, "BUY", 41, "MKT", tif="FOK")
    desk.order(3, "BUY", 40, "MKT", tif="FOK")
    desk.order(4, "BUY", 10, "LMT", limit_price="99.50", tif="IOC")
    desk.day(1)
    assert (desk.view(1).status, desk.view(1).filled, desk.refusals(1)) == ("Cancelled", 40, [202])
    assert (desk.view(2).status, desk.view(2).filled) == ("Cancelled", 0)
    assert desk.view(3).status == "Filled"
    assert (desk.view(4).status, desk.view(4).filled) == ("Cancelled", 0)  # the open is its only chance


def test_a_good_till_order_ends_at_its_time(replay: Make) -> None:
    desk = replay(QUIET)
    noon = datetime(2019, 6, 5, 16, tzinfo=UTC)
    desk.order(1, "BUY", 10, "LMT", limit_price="90.00", tif="GTD", good_till=noon)
    desk.day(1)
    assert desk.view(1).status == "Submitted"
    desk.day(2)
    assert (desk.view(1).status, desk.view(1).completed_at) == ("Cancelled", noon)


def test_a_good_after_order_wakes_at_its_time_and_meets_what_comes_then(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 99, 100, 1_000_000), (95, 96, 94, 95, 1_000_000)])
    later = datetime(2019, 6, 5, 12, tzinfo=UTC)
    desk.order(1, "BUY", 10, "LMT", limit_price="100.00", tif="GTC", good_after=later)
    assert desk.view(1).status == "PreSubmitted"
    desk.day(1)
    assert desk.fills() == []
    desk.exchange.advance(later)
    assert desk.view(1).status == "Submitted"
    desk.day(2)
    assert prices(desk, 1) == ["95.00"]


def test_every_price_and_time_of_an_order_can_be_changed(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(1, "SELL", 10, "STP LMT", aux_price="90.00", limit_price="89.00", tif="DAY")
    desk.order(1, "SELL", 15, "STP LMT", aux_price="91.00", limit_price="90.50", tif="GTC")
    shown = desk.view(1)
    assert (shown.terms.aux_price, shown.terms.limit_price) == (Decimal("91.00"), Decimal("90.50"))
    assert (shown.terms.tif, shown.remaining) == ("GTC", 15)
    desk.day(2)
    assert desk.view(1).status == "PreSubmitted"
    desk.exchange.cancel(1, 1)
    desk.order(1, "SELL", 15, "STP LMT", aux_price="91.00", limit_price="90.50", tif="GTC")
    assert desk.refusals(1) == [202, 10148]


def test_a_short_sale_waits_for_shares_to_borrow(replay: Make) -> None:
    desk = replay(QUIET)
    desk.exchange.set_shortable(desk.con_id, 30)
    assert desk.exchange.shortable(desk.con_id) == 30
    desk.order(1, "SELL", 50, "MKT", tif="GTC")
    desk.order(2, "SSHORT", 20, "MKT", tif="GTC")
    assert (desk.view(1).status, desk.view(1).why_held, desk.refusals(1)) == ("PreSubmitted", "locate", [404])
    desk.day(1)
    assert [fill.order_id for fill in desk.fills()] == [2]
    assert desk.exchange.positions()[0].quantity == -20
    desk.exchange.set_shortable(desk.con_id, 1000)
    assert desk.view(1).why_held == ""
    desk.day(2)
    assert desk.exchange.positions()[0].quantity == -70


def test_selling_what_is_held_borrows_nothing(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(1, "BUY", 50, "MKT")
    desk.day(1)
    desk.exchange.set_shortable(desk.con_id, 0)
    desk.order(2, "SELL", 50, "MKT")
    assert desk.refusals(2) == []
