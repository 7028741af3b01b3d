"""Results come from one subscription each, are None until told, and end with the holding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from broker.ib import pnl
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, DAY, HOUR, TIMEOUT, Desk, frames
from tests.broker_ib.proxy import Proxy
from tests.support import eventually


def ask(desk: Desk) -> types.ProfitAndLoss:
    """The results as they stand."""
    found: types.ProfitAndLoss = desk.client.read("pnl", types.Nothing(), TIMEOUT)
    return found


def trade(
    desk: Desk, gateway: EmbeddedGateway, symbol: str, order_ref: str, side: Any = "BUY", wait: timedelta = DAY
) -> None:
    """Buy or sell ten at the market."""
    leg = types.OrderLeg(order_ref, "exit", side, Decimal(10), "MKT", "DAY")
    desk.place(desk.contract(symbol), [leg])
    gateway.advance(desk.client.market_now() + wait)
    desk.client.fence(TIMEOUT)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a busy machine tells late is not unknown."""
    monkeypatch.setattr(pnl, "FIRST_ANSWER", 15.0)


def test_without_holdings_there_is_the_account_s_result_alone(desk: Desk) -> None:
    found = ask(desk)
    assert (found.daily, found.unrealized, found.realized, found.positions) == (0, 0, 0, ())
    assert found.time == CLOSE


def test_each_holding_has_its_result_and_together_they_are_the_account_s(desk: Desk, gateway: EmbeddedGateway) -> None:
    trade(desk, gateway, "AAPL", "B1-X")
    trade(desk, gateway, "SPY", "B2-X")
    found = ask(desk)
    assert {row.symbol for row in found.positions} == {"AAPL", "SPY"}
    assert all(row.quantity == 10 for row in found.positions)
    assert sum(row.unrealized or 0 for row in found.positions) == found.unrealized
    assert sum(row.daily or 0 for row in found.positions) == found.daily != 0
    held = {row.con_id: row for row in desk.client.read("positions", types.Nothing(), TIMEOUT)}
    for row in found.positions:
        assert row.market_value == held[row.con_id].market_value
        assert row.unrealized == held[row.con_id].unrealized_pnl


def test_results_follow_a_set_clock(desk: Desk, gateway: EmbeddedGateway) -> None:
    trade(desk, gateway, "AAPL", "B1-X")
    before = ask(desk)
    gateway.advance(desk.client.market_now() + DAY)
    after = ask(desk)
    assert after.time == before.time + DAY
    assert after.unrealized != before.unrealized
    assert after.positions[0].market_value != before.positions[0].market_value


def test_asking_often_subscribes_once_and_what_is_sold_ends(desk: Desk, gateway: EmbeddedGateway) -> None:
    trade(desk, gateway, "AAPL", "B1-X")
    trade(desk, gateway, "SPY", "B2-X")
    first, *_ = (ask(desk) for _ in range(3))
    assert (frames(gateway)["reqPnL"], frames(gateway)["reqPnLSingle"]) == (1, 2)
    trade(desk, gateway, "AAPL", "S1-X", "SELL", HOUR)
    found = ask(desk)
    assert [row.symbol for row in found.positions] == ["SPY"]
    assert found.realized not in (None, 0)
    assert found.daily != first.daily
    assert frames(gateway)["cancelPnLSingle"] == 1
    assert frames(gateway)["reqPnLSingle"] == 2


def test_a_new_connection_makes_the_subscriptions_again(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        trade(desk, gateway, "AAPL", "B1-X")
        before = ask(desk)
        proxy.hang_up_after(0)
        eventually(lambda: proxy.connections == 2 and desk.client.state().synced)
        eventually(lambda: (frames(gateway)["reqPnL"], frames(gateway)["reqPnLSingle"]) == (2, 2))
        (was,), (now,) = before.positions, ask(desk).positions
        assert replace(now, received_at=was.received_at) == was
        assert (now.received_at or CLOSE) > (was.received_at or CLOSE)
        assert (frames(gateway)["reqPnL"], frames(gateway)["reqPnLSingle"]) == (2, 2)


def test_what_the_broker_does_not_tell_is_none(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pnl, "FIRST_ANSWER", 0.3)
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        trade(desk, gateway, "AAPL", "B1-X")
        proxy.dropped = frozenset({"94", "95"})
        found = ask(desk)
        assert (found.daily, found.unrealized, found.realized) == (None, None, None)
        (row,) = found.positions
        assert (row.daily, row.unrealized, row.market_value, row.quantity) == (None, None, None, 10)


def test_unset_values_are_none() -> None:
    line = pnl.ResultLine("DU1", 1)
    line.result(float("nan"), 1.7976931348623157e308, 12.5, float("nan"))
    assert (line.daily, line.unrealized, line.realized, line.value) == (None, None, Decimal("12.5"), None)
    assert line.is_told
    line.restarted()
    assert (line.is_told, line.realized) == (False, None)
