"""Contracts of every type as ib_insync receives them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from ib_insync import Contract, ContractDetails, Crypto, Forex, Future, Index, Option, Stock

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import START, Client, connected

EASTERN = ZoneInfo("US/Eastern")


async def details_of(client: Client, contract: Contract) -> list[ContractDetails]:
    return await client.ib.reqContractDetailsAsync(contract)


@pytest.mark.parametrize("version", [157, 163, 164, 176])
async def test_a_future_with_all_its_parts(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        (details,) = await details_of(client, Future("ES", "202606", "CME"))
        contract = details.contract
        assert contract is not None
        assert (contract.secType, contract.symbol, contract.localSymbol) == ("FUT", "ES", "ESM6")
        assert (contract.lastTradeDateOrContractMonth, contract.multiplier) == ("20260618", "50")
        assert (contract.exchange, contract.primaryExchange, contract.currency) == ("CME", "CME", "USD")
        assert (details.contractMonth, details.realExpirationDate) == ("202606", "20260618")
        assert (details.underSymbol, details.underSecType, details.underConId) == ("SPX", "IND", 416904)
        assert (details.minTick, details.timeZoneId, details.stockType) == (0.25, "US/Central", "")
        (rule,) = await client.ib.reqMarketRuleAsync(int(details.marketRuleIds)) or []
        assert rule.increment == 0.25


@pytest.mark.parametrize("version", [157, 176])
async def test_a_pair_an_index_a_coin_and_a_stock_abroad(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        (pair,) = await details_of(client, Forex("EURUSD"))
        assert pair.contract is not None
        assert (pair.contract.conId, pair.contract.localSymbol, pair.contract.exchange) == (
            12087792,
            "EUR.USD",
            "IDEALPRO",
        )
        assert (pair.minTick, pair.contract.multiplier) == (0.00005, "")
        (index,) = await details_of(client, Index("SPX", "CBOE", "USD"))
        assert index.longName == "S&P 500 Stock Index"
        assert index.orderTypes == ""
        (coin,) = await details_of(client, Crypto("BTC", "PAXOS", "USD"))
        assert coin.contract is not None
        assert coin.contract.localSymbol == "BTC.USD"
        (toyota,) = await details_of(client, Stock("7203", "SMART", "JPY"))
        assert (toyota.timeZoneId, toyota.minTick) == ("Asia/Tokyo", 1.0)
        assert toyota.validExchanges == "SMART,TSEJ"


async def test_a_stock_tells_what_can_be_done_with_it(client: Client) -> None:
    (details,) = await details_of(client, Stock("AAPL", "SMART", "USD"))
    assert {"MKT", "LMT", "STP", "STPLMT", "TRAIL", "MOC", "LOC"} <= set(details.orderTypes.split(","))
    assert details.validExchanges == "SMART,NASDAQ"
    assert details.marketRuleIds == "26,26"
    assert (details.industry, details.category, details.stockType) == ("Technology", "Computers", "COMMON")
    (fund,) = await details_of(client, Stock("SPY", "SMART", "USD"))
    assert fund.stockType == "ETF"


async def test_several_expiries_come_in_order_and_expired_ones_on_request(client: Client) -> None:
    listed = await details_of(client, Future("CL", exchange="NYMEX"))
    expiries = [details.realExpirationDate for details in listed]
    assert len(expiries) >= 12
    assert expiries == sorted(expiries)
    assert expiries[0] >= f"{START:%Y%m%d}"
    old = Contract(secType="FUT", symbol="CL", exchange="NYMEX", includeExpired=True)
    assert len(await details_of(client, old)) > len(listed)


async def test_an_option_is_found_by_its_chain(client: Client) -> None:
    chains = await client.ib.reqSecDefOptParamsAsync("SPY", "", "STK", 756733)
    assert {chain.exchange for chain in chains} == {"SMART", "CBOE"}
    chain = next(chain for chain in chains if chain.exchange == "SMART")
    assert chain.multiplier == "100"
    expiry, strike = chain.expirations[0], chain.strikes[len(chain.strikes) // 2]
    (details,) = await details_of(client, Option("SPY", expiry, strike, "P", "SMART"))
    assert details.contract is not None
    assert (details.contract.right, details.contract.strike, details.underConId) == ("P", strike, 756733)
    assert details.contract.localSymbol.startswith("SPY   ")
    (again,) = await details_of(client, Contract(conId=details.contract.conId))
    assert again.contract == details.contract


async def test_chains_of_what_has_no_options(client: Client) -> None:
    assert await client.ib.reqSecDefOptParamsAsync("GS", "", "STK", (await client.contract("GS")).conId) == []
    assert client.errors[-1:] == [] or client.errors[-1][1] in {2104, 2106, 2158}
    assert await client.ib.reqSecDefOptParamsAsync("SPY", "", "STK", 999) == []
    assert client.errors[-1][1] == 200


async def test_samples_name_their_derivatives(client: Client) -> None:
    samples = await client.ib.reqMatchingSymbolsAsync("spx") or []
    assert [sample.contract.symbol for sample in samples if sample.contract] == ["SPX"]
    assert samples[0].derivativeSecTypes == ["FUT", "OPT"]
    names = await client.ib.reqMatchingSymbolsAsync("semiconductor") or []
    assert {"SMH", "SOXX"} <= {sample.contract.symbol for sample in names if sample.contract}


async def test_every_listed_contract_is_decoded(client: Client) -> None:
    for contract in (Contract(secType="OPT", symbol="IBM", exchange="SMART"), Contract(secType="FUT", symbol="ZN")):
        found = await details_of(client, contract)
        ids = {details.contract.conId for details in found if details.contract}
        assert len(ids) == len(found) > 5


async def test_hours_of_exchanges(tmp_path: object) -> None:
    with EmbeddedGateway(set_clock=START, account="DU1", seed=7, hours="exchange") as gateway:
        async with connected(gateway.port) as client:
            (stock,) = await details_of(client, Stock("AAPL", "SMART", "USD"))
            assert stock.liquidHours.startswith("20260302:0930-20260302:1600;")
            assert stock.tradingHours.startswith("20260302:0400-20260302:2000;")
            assert "20260307:CLOSED" in stock.tradingHours
            (future,) = await details_of(client, Future("ES", "202606", "CME"))
            assert future.tradingHours.startswith("20260301:1700-20260302:1600;")
            assert future.liquidHours.startswith("20260302:0830-20260302:1600;")


async def test_the_front_future_rolls_with_the_clock() -> None:
    names = []
    for at in (datetime(2026, 3, 20, 12, tzinfo=EASTERN), datetime(2026, 3, 21, 12, tzinfo=EASTERN)):
        with EmbeddedGateway(set_clock=at, account="DU1") as gateway:
            async with connected(gateway.port) as client:
                first = (await details_of(client, Future("ES", exchange="CME")))[0]
                names.append(first.contract.localSymbol if first.contract else "")
    assert names == ["ESH6", "ESM6"]
