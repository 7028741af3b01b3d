"""The order state machine: brackets, groups, changes, cancels, refusals, ends of sessions, splits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.types import (
    AccountChanged,
    ClockMoved,
    CommissionReported,
    Executed,
    GatewayError,
    OrderChanged,
    OrderRefused,
    OrderTerms,
)
from broker.paper_gateway.universe import derived_con_id

from .conftest import Desk, write_daily

Make = Callable[..., Desk]
FLAT = (100, 101, 99, 100, 1_000_000)
QUIET = [FLAT] * 6


def kinds(desk: Desk) -> list[str]:
    return [type(event).__name__ for event in desk.events]


def test_parked_orders_are_seen_by_nobody_until_the_last_leg_releases_them(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(1, "BUY", 100, "LMT", limit_price="98.00", transmit=False)
    desk.order(2, "SELL", 100, "LMT", limit_price="120.00", parent_id=1, transmit=False)
    assert desk.events == []
    assert desk.exchange.open_orders(None) == []
    desk.order(3, "SELL", 100, "STP", aux_price="90.00", parent_id=1)
    shown = [(e.order.terms.order_id, e.order.status, e.order.why_held) for e in desk.events]  # type: ignore[union-attr]
    assert shown == [(1, "Submitted", ""), (2, "PreSubmitted", "child"), (3, "PreSubmitted", "child,trigger")]
    parent = desk.view(1)
    assert {desk.view(leg).terms.oca_group for leg in (2, 3)} == {str(parent.perm_id)}
    assert (desk.view(3).terms.oca_type, desk.view(3).parent_perm_id) == (3, parent.perm_id)


def test_events_of_a_fill_come_in_the_brokers_order(replay: Make) -> None:
    desk = replay(QUIET)
    desk.bracket(1, target="120.00", stop="90.00")
    desk.events.clear()
    desk.day(1)
    fill = [Executed, OrderChanged, CommissionReported, AccountChanged, OrderChanged, OrderChanged]
    expected = [ClockMoved, *fill, ClockMoved, AccountChanged]
    assert kinds(desk) == [kind.__name__ for kind in expected]
    assert (desk.view(2).status, desk.view(2).why_held) == ("Submitted", "")
    assert (desk.view(3).status, desk.view(3).why_held) == ("PreSubmitted", "trigger")
    executed = desk.events[1]
    assert isinstance(executed, Executed)
    assert executed.order.status == "Filled"


def test_cancelled_parent_takes_its_children_along(replay: Make) -> None:
    desk = replay(QUIET)
    desk.bracket(1, target="120.00", stop="90.00")
    desk.exchange.cancel(1, 1)
    assert [desk.view(leg).status for leg in (1, 2, 3)] == ["Cancelled"] * 3
    assert [desk.refusals(leg) for leg in (1, 2, 3)] == [[202]] * 3
    assert desk.exchange.open_orders(None) == []


def test_moving_the_target_to_the_market_ends_the_stop(replay: Make) -> None:
    desk = replay(QUIET)
    desk.bracket(1, target="120.00", stop="90.00")
    desk.day(1)
    desk.order(2, "SELL", 100, "LMT", limit_price="99.50", parent_id=1, tif="GTC")
    desk.day(2)
    assert [fill.price for fill in desk.fills(2)] == [Decimal("100.00")]
    assert desk.view(3).status == "Cancelled"
    assert desk.exchange.positions() == []


def test_a_change_that_is_not_transmitted_leaves_the_old_terms_working(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(1, "BUY", 100, "LMT", limit_price="90.00", tif="GTC")
    desk.events.clear()
    desk.order(1, "BUY", 100, "LMT", limit_price="105.00", tif="GTC", transmit=False)
    assert desk.events == []
    desk.day(1)
    assert desk.fills() == []
    assert desk.exchange.open_orders(1)[0].terms.limit_price == Decimal("90.00")


def test_changing_a_parked_order_with_transmit_releases_it(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(1, "BUY", 100, "LMT", limit_price="90.00", transmit=False)
    desk.order(1, "BUY", 100, "LMT", limit_price="91.00")
    assert desk.view(1).terms.limit_price == Decimal("91.00")
    assert desk.view(1).status == "Submitted"


@pytest.mark.parametrize(("group_type", "left"), [(1, None), (2, 60), (3, 60), (0, 60)])
def test_a_partial_fill_cancels_or_reduces_the_group(replay: Make, group_type: int, left: int | None) -> None:
    desk = replay([FLAT, (100, 101, 97, 98, 400)])
    group = {"oca_group": "G", "oca_type": group_type, "tif": "GTC"}
    desk.order(1, "BUY", 100, "LMT", limit_price="98.00", **group)
    desk.order(2, "BUY", 100, "LMT", limit_price="50.00", **group)
    desk.day(1)
    assert desk.view(1).filled == 40
    other = desk.view(2)
    assert (other.status, other.remaining) == (("Cancelled", 100) if left is None else ("Submitted", left))


def test_a_group_that_is_filled_takes_no_more_orders(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(1, "BUY", 100, "MKT", oca_group="G")
    desk.day(1)
    desk.order(2, "BUY", 100, "MKT", oca_group="G")
    assert desk.refusals(2) == [201]
    assert desk.view(2).status == "Inactive"


def test_an_exit_may_join_the_group_of_a_bracket(replay: Make) -> None:
    desk = replay(QUIET)
    desk.bracket(1, target="120.00", stop="90.00")
    desk.day(1)
    group = desk.view(3).terms.oca_group
    desk.exchange.cancel(1, 2)
    desk.order(4, "SELL", 100, "MKT", oca_group=group, oca_type=3)
    desk.day(2)
    assert desk.exchange.positions() == []
    assert desk.view(3).status == "Cancelled"


def test_day_orders_end_with_the_session_they_live_in(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(1, "BUY", 100, "LMT", limit_price="50.00", tif="")
    desk.order(2, "BUY", 100, "LMT", limit_price="50.00", tif="GTC")
    desk.day(1)
    assert (desk.view(1).status, desk.view(1).terms.tif, desk.refusals(1)) == ("Cancelled", "DAY", [202])
    assert desk.view(1).completed_at == desk.exchange.now()
    desk.exchange.advance(datetime(2019, 6, 5, 14, tzinfo=UTC))
    desk.order(3, "BUY", 100, "LMT", limit_price="50.00")
    desk.day(2)
    assert desk.view(3).status == "Cancelled"
    assert [view.terms.order_id for view in desk.exchange.open_orders(None)] == [2]


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"con_id": 12345}, 200),
    ({"account": "DU999"}, 321),
    ({"quantity": 0}, 434),
    ({"quantity": -5}, 321),
    ({"quantity": "1.5"}, 10243),
    ({"limit_price": "98.005"}, 110),
    ({"limit_price": "-1"}, 321),
    ({"order_type": "REL"}, 387),
    ({"order_type": "TRAIL"}, 321),
    ({"order_type": "TRAIL", "aux_price": "1.00", "trail_percent": Decimal(2)}, 321),
    ({"order_type": "TRAIL", "trail_percent": Decimal(100)}, 321),
    ({"order_type": "TRAIL", "aux_price": "1.005"}, 110),
    ({"order_type": "TRAIL LIMIT", "aux_price": "1.00"}, 321),
    ({"order_type": "STP"}, 321),
    ({"order_type": "STP LMT"}, 321),
    ({"tif": "AUC"}, 321),
    ({"tif": "GTD"}, 391),
    ({"tif": "GTD", "good_till": datetime(2019, 6, 3, 19, tzinfo=UTC)}, 201),
    ({"tif": "OPG", "order_type": "STP", "aux_price": "98.00"}, 321),
    ({"tif": "IOC", "order_type": "STP", "aux_price": "98.00"}, 321),
    ({"tif": "GTD", "order_type": "MOC", "good_till": datetime(2019, 6, 5, tzinfo=UTC)}, 321),
    ({"order_type": "MOC"}, 201),  # the session of the day is over
    ({"con_id": 416904}, 203),
    ({"action": "HOLD"}, 321),
    ({"parent_id": 77}, 10006),
]


@pytest.mark.parametrize(("wrong", "code"), REFUSED)
def test_wrong_terms_are_refused_and_leave_no_order(replay: Make, wrong: dict[str, Any], code: int) -> None:
    desk = replay(QUIET)
    right = {"action": "BUY", "quantity": 10, "order_type": "LMT", "limit_price": "98.00"}
    desk.order(9, **{**right, **wrong})
    assert desk.refusals(9) == [code]
    assert len(desk.events) == 1
    assert desk.exchange.open_orders(None) == []


def test_what_the_account_cannot_carry_is_rejected(replay: Make) -> None:
    desk = replay(QUIET, cash=Decimal(10_000))
    desk.bracket(1, target="120.00", stop="90.00", quantity=201)
    first, second = desk.events[:2]
    assert isinstance(first, OrderRefused)
    assert (first.code, first.message[:24]) == (201, "Order rejected - reason:")
    assert isinstance(second, OrderChanged)
    assert second.order.status == "Inactive"
    assert [desk.view(leg).status for leg in (2, 3)] == ["Cancelled"] * 2
    desk.bracket(11, target="120.00", stop="90.00", quantity=150)
    assert desk.view(11).status == "PreSubmitted"
    desk.order(20, "BUY", 100, "LMT", limit_price="90.00")
    assert desk.refusals(20) == [201]  # working orders count too
    desk.exchange.cancel(1, 11)
    desk.order(21, "BUY", 100, "LMT", limit_price="90.00")
    assert desk.view(21).status == "Submitted"


def test_order_ids_only_rise(replay: Make) -> None:
    desk = replay(QUIET)
    desk.order(5, "BUY", 10, "LMT", limit_price="98.00")
    desk.order(4, "BUY", 10, "LMT", limit_price="98.00")
    assert desk.refusals(4) == [103]
    assert desk.exchange.next_order_id(1) == 6
    assert desk.exchange.next_order_id(2) == 1
    desk.exchange.note_order_id(2, 30)
    desk.order(30, "BUY", 10, "LMT", limit_price="98.00", client_id=2)
    assert desk.refusals(30) == []
    assert desk.exchange.next_order_id(2) == 31


def test_changes_that_are_not_allowed(replay: Make) -> None:
    desk = replay([FLAT, (100, 101, 97, 98, 400), FLAT])
    desk.order(1, "BUY", 100, "LMT", limit_price="98.00", tif="GTC")
    desk.order(1, "SELL", 100, "LMT", limit_price="98.00", tif="GTC")
    desk.order(1, "BUY", 100, "STP", aux_price="98.00", tif="GTC")
    assert desk.refusals(1) == [105, 105]
    desk.day(1)
    desk.order(1, "BUY", 30, "LMT", limit_price="98.00", tif="GTC")
    assert desk.refusals(1)[2:] == [321]  # 40 are filled
    desk.order(1, "BUY", 40, "LMT", limit_price="98.00", tif="GTC")
    assert desk.view(1).status == "Filled"
    desk.order(1, "BUY", 50, "LMT", limit_price="98.00", tif="GTC")
    assert desk.refusals(1)[3:] == [104]


def test_cancels_that_find_nothing(replay: Make) -> None:
    desk = replay(QUIET)
    desk.exchange.cancel(1, 5)
    desk.order(6, "BUY", 10, "MKT")
    desk.exchange.cancel(2, 6)
    desk.day(1)
    desk.exchange.cancel(1, 6)
    assert desk.refusals(5) == [10147]
    assert desk.refusals(6) == [10147, 10148]


def test_global_cancel_ends_everything(replay: Make) -> None:
    desk = replay(QUIET)
    desk.bracket(1, target="120.00", stop="90.00")
    desk.order(9, "BUY", 10, "LMT", limit_price="90.00", client_id=7)
    desk.exchange.cancel_all()
    assert desk.exchange.open_orders(None) == []
    assert len(desk.exchange.completed_orders()) == 4


def test_preview_shows_margins_and_changes_nothing(replay: Make) -> None:
    desk = replay(QUIET)
    terms = OrderTerms(1, 1, desk.con_id, "XYZ", "BUY", Decimal(1000), "LMT", limit_price=Decimal("99.00"))
    preview = desk.exchange.preview(terms)
    assert preview.init_margin == (Decimal("0.00"), Decimal("49500.00"), Decimal("49500.00"))
    assert preview.maint_margin[2] == Decimal("24750.00")
    assert preview.commission == Decimal("5.00")
    assert preview.equity_with_loan == (Decimal("1000000.00"), Decimal("-5.00"), Decimal("999995.00"))
    assert desk.exchange.open_orders(None) == []
    with pytest.raises(GatewayError) as refused:
        desk.exchange.preview(OrderTerms(1, 2, desk.con_id, "XYZ", "BUY", Decimal(0), "MKT"))
    assert refused.value.code == 434


def test_a_split_multiplies_the_holding_and_cancels_the_orders(tmp_path: Path) -> None:
    write_daily(tmp_path, "XYZ", [FLAT, FLAT, (40, 41, 39, 40.5, 1_000_000)])
    (tmp_path / "splits.csv").write_text("symbol,date,ratio\nXYZ,2019-06-05,2.5\n")
    start = datetime(2019, 6, 3, 20, tzinfo=UTC)
    exchange = PaperExchange(
        data_folder=tmp_path, store_path=None, set_clock=start, system_clock=lambda: start, cash=Decimal(100_000)
    )
    desk = Desk(exchange, "XYZ", derived_con_id("XYZ"))
    desk.bracket(1, target="120.00", stop="90.00", quantity=101)
    desk.day(1)
    desk.day(2)
    held = exchange.positions()[0]
    assert held.quantity == 252  # 252.5, half a share paid at 40.00
    assert [desk.view(leg).status for leg in (2, 3)] == ["Cancelled"] * 2
    paid = Decimal(101) * Decimal("100.01") + Decimal("1.00")
    assert abs(held.avg_cost * Decimal("252.5") - paid) < Decimal("0.001")
    assert desk.value("TotalCashValue") == str(Decimal(100_000) - paid + Decimal("20.00"))
    assert exchange.quote(desk.con_id).prior_close == Decimal("40.00")
