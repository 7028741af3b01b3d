"""Every order type and time in force through the socket: taken, described, changed and ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker import types
from broker.errors import OrderInvalid
from broker.ib.client import NotSent
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, DAY, HOUR, TIMEOUT, Desk, bracket, open_gate, soon
from tests.broker_ib.proxy import Proxy
from tests.support import eventually

OPEN = CLOSE + timedelta(hours=17, minutes=30)  # Tuesday, 09:30 in New York
LEG = types.OrderLeg("X1-X", "exit", "BUY", Decimal(10), "MKT", "DAY")


def leg(desk: Desk, contract: types.Contract, order_type: str, tif: str = "DAY", **factors: str) -> types.OrderLeg:
    """A leg whose prices are parts of the last one."""
    prices = {name: desk.price(contract, factor) for name, factor in factors.items()}
    return replace(LEG, order_type=order_type, tif=tif, **prices)  # type: ignore[arg-type]


CASES: list[tuple[str, str, dict[str, str]]] = [
    ("MKT", "DAY", {}),
    ("MKT", "OPG", {}),
    ("MOC", "DAY", {}),
    ("LMT", "GTC", {"limit_price": "0.5"}),
    ("LMT", "OPG", {"limit_price": "0.5"}),
    ("LOC", "DAY", {"limit_price": "0.5"}),
    ("STP", "GTC", {"stop_price": "1.5"}),
    ("STP LMT", "GTC", {"stop_price": "1.5", "limit_price": "1.6"}),
    ("TRAIL", "GTC", {"trail_amount": "0.5"}),
    ("TRAIL", "DAY", {"trail_amount": "0.4", "stop_price": "1.5"}),
]


@pytest.mark.parametrize(("order_type", "tif", "factors"), CASES)
def test_a_type_is_taken_and_described_as_it_was_sent(
    desk: Desk, order_type: str, tif: str, factors: dict[str, str]
) -> None:
    contract = desk.contract()
    sent = leg(desk, contract, order_type, tif, **factors)
    desk.place(contract, [sent])
    report = desk.last("X1-X")
    assert (report.order_type, report.tif, report.origin) == (order_type, tif, "ours")
    assert report.status in ("PreSubmitted", "Submitted")
    assert (report.limit_price, report.trail_amount, report.trail_percent) == (
        sent.limit_price,
        sent.trail_amount,
        sent.trail_percent,
    )
    if order_type != "TRAIL" or sent.stop_price:
        assert report.stop_price == sent.stop_price
    assert desk.all(types.OrderMessage) == []
    desk.cancel("X1-X")
    assert desk.last("X1-X").status == "Cancelled"
    (done,) = desk.client.book(TIMEOUT).completed_orders
    assert (done.order_type, done.limit_price, done.trail_amount) == (order_type, sent.limit_price, sent.trail_amount)


def test_a_trailing_percentage_is_described_as_one(desk: Desk) -> None:
    contract = desk.contract()
    desk.place(contract, [replace(LEG, order_type="TRAIL", tif="GTC", trail_percent=Decimal("2.5"))])
    report = desk.last("X1-X")
    assert (report.trail_percent, report.trail_amount) == (Decimal("2.5"), None)


def test_an_order_lives_until_the_time_it_names(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    until = CLOSE + 2 * DAY
    sent = replace(leg(desk, contract, "LMT", "GTD", limit_price="0.5"), good_till=until)
    desk.place(contract, [sent])
    assert desk.last("X1-X").good_till == f"{until:%Y%m%d-%H:%M:%S}"
    gateway.advance(until - HOUR)
    desk.client.fence(TIMEOUT)
    assert desk.last("X1-X").status in ("PreSubmitted", "Submitted")
    gateway.advance(until + HOUR)
    desk.client.fence(TIMEOUT)
    assert desk.last("X1-X").status == "Cancelled"


def test_what_does_not_trade_at_once_ends_at_once(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    gateway.advance(OPEN + HOUR)
    desk.place(contract, [leg(desk, contract, "LMT", "IOC", limit_price="0.5")])
    gateway.advance(OPEN + 2 * HOUR)
    desk.client.fence(TIMEOUT)
    assert desk.last("X1-X").status == "Cancelled"
    assert desk.last("X1-X").filled == 0


def test_trading_outside_regular_hours_is_asked_for(desk: Desk) -> None:
    contract = desk.contract()
    desk.place(contract, [replace(leg(desk, contract, "LMT", "GTC", limit_price="0.5"), outside_rth=True)])
    assert desk.last("X1-X").outside_rth


@pytest.mark.parametrize(
    "changes",
    [
        {"order_type": "STP LMT", "limit": "0.79"},
        {"order_type": "TRAIL", "trail_amount": Decimal(5)},
        {"order_type": "TRAIL", "trail_percent": Decimal(5)},
    ],
)
def test_a_bracket_is_protected_by_a_stop_of_any_kind(
    desk: Desk, gateway: EmbeddedGateway, changes: dict[str, Any]
) -> None:
    contract = desk.contract()
    entry, stop, target = bracket(desk, contract)
    if "limit" in changes:
        stop = replace(stop, order_type="STP LMT", limit_price=desk.price(contract, changes["limit"]))
    else:
        stop = replace(stop, stop_price=None, **changes)
    desk.place(contract, (entry, stop, target))
    gateway.advance(CLOSE + HOUR)
    desk.client.fence(TIMEOUT)
    assert desk.last("G1-E").status == "Filled"
    report = desk.last("G1-S")
    assert (report.order_type, report.status) == (stop.order_type, "PreSubmitted")
    assert report.oca_group == desk.last("G1-T").oca_group != ""
    assert (report.trail_amount, report.trail_percent) == (stop.trail_amount, stop.trail_percent)


def test_a_stop_and_a_target_of_one_group_end_each_other(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    desk.place(contract, [LEG])
    gateway.advance(CLOSE + DAY)
    stop = replace(leg(desk, contract, "STP", "GTC", stop_price="0.5"), order_ref="P1-S", role="stop", side="SELL")
    target = replace(
        leg(desk, contract, "LMT", "GTC", limit_price="0.95"), order_ref="P1-T", role="target", side="SELL"
    )
    desk.place(contract, [replace(one, oca_group="P1") for one in (stop, target)], reduces=True)
    assert desk.last("P1-S").oca_group == desk.last("P1-T").oca_group == "P1"
    gateway.advance(CLOSE + 2 * DAY)
    desk.client.fence(TIMEOUT)
    assert (desk.last("P1-T").status, desk.last("P1-S").status) == ("Filled", "Cancelled")
    assert desk.client.read("positions", types.Nothing(), TIMEOUT) == ()


# Changes


@pytest.mark.parametrize(
    ("order_type", "factors", "field"),
    [
        ("LMT", {"limit_price": "0.5"}, "limit_price"),
        ("LOC", {"limit_price": "0.5"}, "limit_price"),
        ("STP", {"stop_price": "1.5"}, "stop_price"),
        ("STP LMT", {"stop_price": "1.5", "limit_price": "1.6"}, "limit_price"),
        ("STP LMT", {"stop_price": "1.5", "limit_price": "1.6"}, "stop_price"),
        ("TRAIL", {"trail_amount": "0.5"}, "trail_amount"),
    ],
)
def test_a_change_leaves_everything_else_as_it_was(
    desk: Desk, order_type: str, factors: dict[str, str], field: str
) -> None:
    contract = desk.contract()
    desk.place(contract, [leg(desk, contract, order_type, **factors)])
    before = desk.last("X1-X")
    value = getattr(before, field) + Decimal("0.25")
    desk.modify("X1-X", **{field: value}, quantity=Decimal(12))
    after = desk.last("X1-X")
    assert (getattr(after, field), after.quantity) == (value, 12)
    changed = {"time": before.time, "quantity": before.quantity, "remaining": before.remaining}
    if order_type == "TRAIL":  # the stop keeps its new distance
        changed["stop_price"] = before.stop_price
    assert replace(after, **{field: getattr(before, field)}, **changed) == before  # type: ignore[arg-type]
    assert len(desk.client.book(TIMEOUT).open_orders) == 1
    assert desk.all(types.OrderMessage) == []


def test_a_second_change_keeps_the_first_that_is_not_described_yet(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        desk.place(contract, [leg(desk, contract, "LMT", "GTC", limit_price="0.5")])
        proxy.dropped = frozenset({"3", "5"})  # orderStatus and openOrder
        price = desk.price(contract, "0.6")
        desk.modify("X1-X", limit_price=price)
        desk.modify("X1-X", quantity=Decimal(7))
        with ControlClient(gateway.host, gateway.control_port) as control:
            last = control.frames("placeOrder")[-1]
        assert (Decimal(last[19]), Decimal(last[17])) == (price, 7)
        proxy.dropped = frozenset()
        (report,) = desk.client.book(TIMEOUT).open_orders
        assert (report.limit_price, report.quantity) == (price, 7)


def test_a_refused_change_is_forgotten(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    desk.place(contract, [leg(desk, contract, "LMT", "GTC", limit_price="0.5")])
    before = desk.last("X1-X").limit_price
    desk.modify("X1-X", limit_price=Decimal("10.001"))
    assert [message.code for message in desk.all(types.OrderMessage)] == [110]
    desk.modify("X1-X", quantity=Decimal(7))
    assert (desk.last("X1-X").limit_price, desk.last("X1-X").quantity) == (before, 7)


def test_a_quantity_below_what_has_filled_does_not_leave(tmp_path: Path, make_desk: Callable[..., Desk]) -> None:
    thin = [f"2019-06-0{day},100.00,100.00,100.00,100.00,400" for day in (3, 4, 5)]
    (tmp_path / "AAPL_1d.csv").write_text("\n".join(["date,open,high,low,close,volume", *thin]) + "\n")
    with EmbeddedGateway(set_clock=CLOSE, data_folder=tmp_path) as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        many = replace(leg(desk, contract, "LMT", "GTC", limit_price="1.1"), quantity=Decimal(100))
        desk.place(contract, [many])
        gateway.advance(CLOSE + DAY)
        desk.client.fence(TIMEOUT)
        filled = desk.last("X1-X").filled
        assert 0 < filled < 100
        written = desk.client.frames_written
        with pytest.raises(OrderInvalid) as refused:
            desk.modify("X1-X", quantity=filled - 1)
        assert refused.value.details["field"] == "quantity"
        assert desk.client.frames_written == written
        desk.modify("X1-X", quantity=filled + 1)
        assert (desk.last("X1-X").quantity, desk.last("X1-X").filled) == (filled + 1, filled)


def test_no_change_leaves_while_tws_is_cut_off(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        desk.place(contract, [leg(desk, contract, "LMT", "GTC", limit_price="0.5")])
        written = desk.client.frames_written
        proxy.inject(4, 2, -1, 1100, "Connectivity between IB and TWS has been lost.", "")
        eventually(lambda: not desk.client.state().synced)
        change = types.ModifyOrder(gateway.account, "X1-X", 1, Decimal(50), None, reduces=False, deadline=soon())
        with pytest.raises(NotSent, match="1100"):
            desk.client.modify(change, open_gate)
        assert desk.client.frames_written == written


# One order by its reference


def test_an_order_is_found_working_and_finished(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    legs = bracket(desk, contract)
    desk.place(contract, legs)
    wanted = types.OrderRef(gateway.account, "G1-E")
    assert desk.client.read("order", wanted, TIMEOUT).status == "Submitted"
    gateway.advance(CLOSE + HOUR)
    found = desk.client.read("order", wanted, TIMEOUT)
    assert (found.status, found.filled, found.completed) == ("Filled", 10, True)
    for nobody in (replace(wanted, order_ref="NOBODY"), replace(wanted, account="DU999")):
        with pytest.raises(OrderInvalid, match="never seen"):
            desk.client.read("order", nobody, TIMEOUT)
