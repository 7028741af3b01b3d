"""The account through the socket: its values, cash by currency, holdings of every kind, fills and their costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from broker import types
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, DAY, HOUR, TIMEOUT, Desk, frames
from tests.broker_ib.proxy import Proxy

BUY = types.OrderLeg("A1-X", "exit", "BUY", Decimal(1), "MKT", "DAY")
NOTHING = types.Nothing()


def resolve(desk: Desk, **query: str) -> types.Contract:
    """The one contract of a query, or the first of several expiries."""
    found: tuple[types.Contract, ...] = desk.client.read("all_contracts", types.ContractQuery(**query), TIMEOUT)  # type: ignore[arg-type]
    first = min(found, key=lambda contract: contract.expiry)
    desk.contracts[first.con_id] = first
    return first


def summary(desk: Desk) -> types.AccountSummary:
    """The account as it stands."""
    found: types.AccountSummary = desk.client.read("account", NOTHING, TIMEOUT)
    return found


def test_the_account_tells_its_margins_and_cash_by_currency(desk: Desk, gateway: EmbeddedGateway) -> None:
    found = summary(desk)
    assert (found.currency, found.cash) == ("USD", 1_000_000)
    assert found.excess_liquidity == found.equity_with_loan == found.net_liquidation == 1_000_000
    assert types.CurrencyCash("USD", Decimal(1_000_000), Decimal(1)) in found.cash_by_currency
    assert "BASE" not in {row.currency for row in found.cash_by_currency}
    assert "reqAccountSummary" not in frames(gateway)


@pytest.mark.parametrize(
    ("query", "quantity"),
    [
        ({"symbol": "ES", "sec_type": "FUT"}, 1),
        ({"symbol": "EUR", "sec_type": "CASH"}, 25_000),
        ({"symbol": "SPY", "sec_type": "ETF"}, 3),
    ],
)
def test_what_is_traded_here_can_be_previewed_bought_and_held(
    desk: Desk, gateway: EmbeddedGateway, query: dict[str, str], quantity: int
) -> None:
    contract = resolve(desk, **query)
    leg = replace(BUY, quantity=Decimal(quantity))
    request = types.PreviewOrder(gateway.account, contract.con_id, leg)
    expected: types.Preview = desk.client.read("preview", request, TIMEOUT, [contract])
    assert expected.commission
    desk.place(contract, [leg])
    gateway.advance(CLOSE + DAY)
    desk.client.fence(TIMEOUT)
    assert [message.message for message in desk.all(types.OrderMessage)] == []
    (execution,) = desk.all(types.ExecutionReport)
    assert (execution.con_id, execution.quantity) == (contract.con_id, quantity)
    held = {row.con_id: row for row in desk.client.read("positions", NOTHING, TIMEOUT)}
    if contract.sec_type != "CASH":
        row = held[contract.con_id]
        assert (row.quantity, row.sec_type, row.currency) == (quantity, contract.sec_type, "USD")
        return
    euros = next(row for row in summary(desk).cash_by_currency if row.currency == "EUR")
    assert euros.cash == quantity
    assert euros.rate == pytest.approx(execution.price, rel=Decimal("0.05"))


def test_a_cost_that_is_missing_is_asked_for_once_more(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        proxy.dropped = frozenset({"59"})
        desk.place(desk.contract(), [BUY])
        gateway.advance(CLOSE + HOUR)
        asked = frames(gateway)["reqExecutions"]
        (execution,) = desk.client.read("executions", NOTHING, TIMEOUT)
        assert (execution.quantity, execution.commission) == (1, None)
        assert frames(gateway)["reqExecutions"] == asked + 2
        proxy.dropped = frozenset()
        (execution,) = desk.client.read("executions", NOTHING, TIMEOUT)
        assert execution.commission == 1
        (execution,) = desk.client.read("executions", NOTHING, TIMEOUT)
        assert frames(gateway)["reqExecutions"] == asked + 4
