"""A preview asks for margins and commission through the socket and can never become an order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker import types
from broker.errors import BrokerUnavailable, OrderRejected
from broker.ib.library import ib_insync
from broker.ib.preview import write_what_if
from broker.paper_gateway import types as gateway_types
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.wire import orders_out
from tests.broker_ib.desk import CLOSE, DAY, TIMEOUT, Desk, frames
from tests.broker_ib.proxy import Proxy
from tests.support import eventually

UNSET = "1.7976931348623157E308"
BUY = types.OrderLeg("P1-E", "entry", "BUY", Decimal(10), "MKT", "DAY")


def ask(desk: Desk, contract: types.Contract, leg: types.OrderLeg = BUY, timeout: float = TIMEOUT) -> types.Preview:
    """Preview a leg."""
    request = types.PreviewOrder(desk.client.state().account, contract.con_id, leg)
    found: types.Preview = desk.client.read("preview", request, timeout, [contract])
    return found


def summary(desk: Desk) -> types.AccountSummary:
    """The account as it stands."""
    found: types.AccountSummary = desk.client.read("account", types.Nothing(), TIMEOUT)
    return found


def test_a_preview_tells_margins_and_commission_and_places_nothing(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    found = ask(desk, contract)
    assert found.con_id == contract.con_id
    assert found.commission == 1
    assert found.commission_currency == "USD"
    assert found.init_margin_before == 0
    assert found.init_margin_change is not None
    assert found.init_margin_change > 0
    assert found.init_margin_after == found.init_margin_change
    assert found.equity_before == 1_000_000
    with ControlClient(gateway.host, gateway.control_port) as control:
        (frame,) = control.frames("placeOrder")
    assert (frame[27], frame[85]) == ("1", "1")  # transmit, whatIf
    assert desk.client.book(TIMEOUT).open_orders == ()
    assert desk.all(types.OrderReport) == desk.all(types.OrderMessage) == []


def test_a_preview_is_what_the_account_then_changes_by_to_the_cent(
    tmp_path: Path, make_desk: Callable[..., Desk]
) -> None:
    days = [f"2019-06-0{day},100.37,100.37,100.37,100.37,900000000" for day in (3, 4, 5, 6, 7)]
    (tmp_path / "AAPL_1d.csv").write_text("\n".join(["date,open,high,low,close,volume", *days]) + "\n")
    with EmbeddedGateway(set_clock=CLOSE, data_folder=tmp_path) as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        contract = desk.contract()
        for group, side, quantity in (("P1", "BUY", 777), ("P2", "SELL", 300), ("P3", "SELL", 900)):
            leg = replace(BUY, order_ref=f"{group}-E", side=side, quantity=Decimal(quantity))  # type: ignore[arg-type]
            before, expected = summary(desk), ask(desk, contract, leg)
            desk.place(contract, [leg])
            gateway.advance(desk.client.market_now() + DAY)
            desk.client.fence(TIMEOUT)
            after = summary(desk)
            assert desk.all(types.CommissionReport, leg.order_ref)[-1].commission == expected.commission
            for found, values in ((before, "before"), (after, "after")):
                assert found.init_margin == getattr(expected, f"init_margin_{values}")
                assert found.maint_margin == getattr(expected, f"maint_margin_{values}")
                assert found.equity_with_loan == getattr(expected, f"equity_{values}")


def test_a_preview_leaves_out_the_family_it_will_belong_to(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    ask(desk, contract, replace(BUY, parent_ref="NOBODY", oca_ref="NOBODY"))
    with ControlClient(gateway.host, gateway.control_port) as control:
        (frame,) = control.frames("placeOrder")
    assert (frame[22], frame[28]) == ("", "0")  # ocaGroup, parentId


def test_an_order_that_would_be_refused_is_refused_in_the_broker_s_words(desk: Desk) -> None:
    contract = desk.contract()
    leg = replace(BUY, order_type="LMT", limit_price=Decimal("100.001"))
    with pytest.raises(OrderRejected, match="minimum price variation") as refused:
        ask(desk, contract, leg)
    assert refused.value.details["broker_code"] == 110
    assert ask(desk, contract).commission == 1


class Silenced:
    """A client behind a gateway that answers no what-if order; the test answers in its place."""

    def __init__(self, gateway: EmbeddedGateway, proxy: Proxy, desk: Desk) -> None:
        self._gateway, self._proxy, self._desk = gateway, proxy, desk
        self._contract = desk.contract()
        self._thread = ThreadPoolExecutor(1)

    def ask(self, timeout: float = TIMEOUT) -> Future[types.Preview]:
        """Begin to ask; the gateway's own answer is dropped."""
        self._proxy.dropped = frozenset({"3", "5"})
        asked = self._thread.submit(ask, self._desk, self._contract, BUY, timeout)
        eventually(lambda: frames(self._gateway).get("placeOrder"))
        with ControlClient(self._gateway.host, self._gateway.control_port) as control:
            self.request_id = int(control.frames("placeOrder")[0][1])
        return asked

    def end_waiting(self, wait: asyncio.Timeout) -> None:
        """Let its time be up, once everything that was answered has been heard."""
        self._desk.client.fence(TIMEOUT)
        loop = self._desk.client._thread._loop
        loop.call_soon_threadsafe(wait.reschedule, 0.0)

    def error(self, code: int, text: str) -> None:
        """Answer with an error."""
        self._proxy.inject(4, 2, self.request_id, code, text, "")

    def answer(self, margin: str) -> None:
        """Answer with margins; the text may be a number that is none."""
        change = Decimal("4321.25")
        preview = gateway_types.Preview((change,) * 3, (change,) * 3, (change,) * 3, Decimal("1.25"))
        spec = gateway_types.SymbolSpec(self._contract.con_id, "AAPL", "", "NASDAQ")
        terms = gateway_types.OrderTerms(
            1, self.request_id, spec.con_id, "AAPL", "BUY", Decimal(10), "MKT", what_if=True
        )
        frame = orders_out.preview_order(176, terms, spec, preview, "USD")
        fields = frame[4:].decode().split("\0")[:-1]
        self._proxy.inject(*(margin if field == "4321.25" else field for field in fields))


@pytest.fixture
def silenced(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> Iterator[Silenced]:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        yield Silenced(gateway, proxy, desk)


@pytest.mark.parametrize("code", [201, 321, 434, 460])
def test_every_refusal_ends_the_preview(silenced: Silenced, code: int) -> None:
    asked = silenced.ask()
    silenced.error(code, "no room for it")
    with pytest.raises(OrderRejected, match="no room for it") as refused:
        asked.result(TIMEOUT)
    assert refused.value.details["broker_code"] == code


def test_a_warning_without_margins_is_not_the_answer(silenced: Silenced) -> None:
    asked = silenced.ask()
    silenced.error(399, "your order will be held until the open")
    silenced.answer(UNSET)
    silenced.answer("12.5")
    found = asked.result(TIMEOUT)
    assert (found.init_margin_change, found.commission) == (Decimal("12.5"), Decimal("1.25"))


def test_margins_that_never_come_are_none(silenced: Silenced, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[asyncio.Timeout] = []
    wait = asyncio.timeout

    def noting(seconds: float | None) -> asyncio.Timeout:
        waits.append(wait(seconds))
        return waits[-1]

    monkeypatch.setattr(asyncio, "timeout", noting)
    asked = silenced.ask()
    silenced.answer(UNSET)
    silenced.end_waiting(max(waits, key=lambda one: one.when() or 0.0))
    found = asked.result(TIMEOUT)
    assert found.init_margin_change is found.init_margin_after is found.equity_before is None


def test_no_answer_is_no_preview(silenced: Silenced) -> None:
    asked = silenced.ask(timeout=2.0)
    with pytest.raises(BrokerUnavailable):
        asked.result(TIMEOUT)


@pytest.mark.parametrize(("what_if", "transmit"), [(False, True), (True, False), (1, True)])
def test_only_a_what_if_frame_can_be_written(what_if: bool, transmit: bool) -> None:
    written: list[object] = []
    client = SimpleNamespace(placeOrder=lambda *frame: written.append(frame))
    order = ib_insync.Order(whatIf=what_if, transmit=transmit)
    with pytest.raises(RuntimeError):
        write_what_if(SimpleNamespace(client=client), 1, ib_insync.Contract(), order)  # type: ignore[arg-type]
    assert written == []


@pytest.mark.parametrize(
    ("changes", "factors"),
    [
        ({"order_type": "MOC"}, {}),
        ({"order_type": "MKT", "tif": "OPG"}, {}),
        ({"order_type": "LOC"}, {"limit_price": "0.9"}),
        ({"order_type": "STP"}, {"stop_price": "1.1"}),
        ({"order_type": "STP LMT"}, {"stop_price": "1.1", "limit_price": "1.2"}),
        ({"order_type": "TRAIL", "trail_percent": Decimal(5)}, {}),
    ],
)
def test_every_type_can_be_previewed(desk: Desk, changes: dict[str, Any], factors: dict[str, str]) -> None:
    contract = desk.contract()
    prices = {name: desk.price(contract, factor) for name, factor in factors.items()}
    found = ask(desk, contract, replace(BUY, **changes, **prices))
    assert found.commission == 1
    assert found.init_margin_change
    assert desk.client.book(TIMEOUT).open_orders == ()
