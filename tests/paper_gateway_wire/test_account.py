"""Account values, portfolio, positions and results: complete at first, and pushed again on each change."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ib_insync import Forex, MarketOrder

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import ACCOUNT, NEXT_CLOSE, Client, RawClient, advance


def value(client: Client, tag: str) -> float:
    """One account value in base currency."""
    (found,) = [row for row in client.ib.accountValues(ACCOUNT) if row.tag == tag and row.currency == "USD"]
    return float(found.value)


async def test_account_values_follow_a_fill(gateway: EmbeddedGateway, client: Client) -> None:
    assert value(client, "NetLiquidation") == 1_000_000
    trade = client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 100))
    await advance(gateway, NEXT_CLOSE, client)
    (item,) = client.ib.portfolio()
    assert item.position == 100
    assert item.account == ACCOUNT
    cost = trade.fills[0].execution.price * 100 + 1
    assert value(client, "TotalCashValue") == pytest.approx(1_000_000 - cost, abs=0.01)
    assert value(client, "NetLiquidation") == pytest.approx(1_000_000 - cost + item.marketValue, abs=0.01)
    assert item.unrealizedPNL == pytest.approx(item.marketValue - cost, abs=0.01)


async def test_values_follow_the_set_clock_without_a_fill(gateway: EmbeddedGateway, client: Client) -> None:
    client.ib.placeOrder(await client.contract("SPY"), MarketOrder("BUY", 100))
    await advance(gateway, NEXT_CLOSE, client)
    before = client.ib.portfolio()[0].marketPrice
    await advance(gateway, NEXT_CLOSE + timedelta(days=3), client)
    assert client.ib.portfolio()[0].marketPrice != before


async def test_account_summary_answers_the_tags_asked_for(client: Client) -> None:
    rows = await client.ib.accountSummaryAsync()
    assert {"NetLiquidation", "BuyingPower"} <= {row.tag for row in rows}
    assert {row.account for row in rows} == {ACCOUNT}


@pytest.mark.parametrize(
    ("tag", "currencies"), [("$LEDGER", {"BASE"}), ("$LEDGER:ALL", {"BASE", "USD", "EUR"}), ("$LEDGER:EUR", {"EUR"})]
)
async def test_a_ledger_comes_by_currency(
    gateway: EmbeddedGateway, client: Client, tag: str, currencies: set[str]
) -> None:
    await client.ib.qualifyContractsAsync(pair := Forex("EURUSD"))
    client.ib.placeOrder(pair, MarketOrder("BUY", 20_000))
    await advance(gateway, NEXT_CLOSE, client)
    with RawClient(gateway.port) as raw:
        raw.start(client_id=5)
        raw.message(62, 1, 1, "All", tag)
        rows = []
        while (fields := raw.until("63", "64"))[0] == "63":
            rows.append(fields)
        assert {row[6] for row in rows} == currencies
        assert {"CashBalance", "ExchangeRate", "NetLiquidationByCurrency"} <= {row[4] for row in rows}


def test_a_third_summary_is_322(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start()
        for request_id in (1, 2, 3):
            raw.message(62, 1, request_id, "All", "NetLiquidation")
        assert [raw.until("63")[5] for _ in range(2)] == ["1000000.00", "1000000.00"]
        assert raw.until("4")[2:4] == ["3", "322"]
        raw.message(63, 1, 1)
        raw.message(62, 1, 4, "All", "NetLiquidation")
        assert raw.until("64")[2] == "4"


async def test_profit_and_loss(gateway: EmbeddedGateway, client: Client) -> None:
    spy = await client.contract("SPY")
    profit = client.ib.reqPnL(ACCOUNT)
    single = client.ib.reqPnLSingle(ACCOUNT, "", spy.conId)
    await client.fence()
    assert (profit.dailyPnL, profit.unrealizedPnL, profit.realizedPnL) == (0, 0, 0)
    client.ib.placeOrder(spy, MarketOrder("BUY", 100))
    await advance(gateway, NEXT_CLOSE, client)
    item = client.ib.portfolio()[0]
    assert profit.dailyPnL == pytest.approx(item.unrealizedPNL, abs=0.02)
    assert profit.unrealizedPnL == pytest.approx(item.unrealizedPNL, abs=0.02)
    assert (single.position, single.value) == (100, pytest.approx(item.marketValue, abs=0.01))
    await advance(gateway, NEXT_CLOSE + timedelta(days=1), client)
    (ticker,) = await client.ib.reqTickersAsync(spy)
    overnight = (client.ib.portfolio()[0].marketPrice - ticker.close) * 100
    assert profit.dailyPnL == pytest.approx(overnight, abs=0.02)


async def test_unknown_accounts_are_refused(client: Client) -> None:
    client.ib.client.reqAccountUpdates(subscribe=True, acctCode="DU1")
    client.ib.client.reqPnL(800, "DU1", "")
    client.ib.client.reqAccountUpdatesMulti(801, "DU1", "", ledgerAndNLV=False)
    client.ib.client.reqPositionsMulti(802, "DU1", "")
    await client.fence()
    for request_id in (800, 801, 802, -1):
        assert 321 in client.codes(request_id)


def test_one_change_comes_as_values_portfolio_positions_time(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start()
        for message in ((6, 2, 1, ACCOUNT), (61, 1), (74, 1, 7, ACCOUNT, ""), (49, 1)):
            raw.message(*message)
        raw.until("49")
        gateway.advance(NEXT_CLOSE)
        raw.message(49, 1)
        kinds = []
        while (fields := raw.receive()) is not None and fields[0] != "49":
            kinds.append(fields[0])
        assert list(dict.fromkeys(kinds)) == ["6", "8"]


def test_cancelled_subscriptions_stay_silent(gateway: EmbeddedGateway) -> None:
    with RawClient(gateway.port) as raw:
        raw.start()
        asked = [(6, 2, 1, ACCOUNT), (61, 1), (62, 1, 1, "All", "NetLiquidation"), (74, 1, 2, ACCOUNT, "")]
        asked += [(76, 1, 3, ACCOUNT, "", 0), (92, 4, ACCOUNT, ""), (94, 5, ACCOUNT, "", 756733)]
        ended = [(6, 2, 0, ACCOUNT), (64, 1), (63, 1, 1), (75, 1, 2), (77, 1, 3), (93, 4), (95, 5), (49, 1)]
        for message in [*asked, *ended]:
            raw.message(*message)
        raw.until("49")
        gateway.advance(NEXT_CLOSE)
        raw.message(49, 1)
        assert (raw.receive() or [""])[0] == "49"
