"""Contracts of every type through a real socket: exactly one, or why not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from broker import types
from broker.errors import BrokerError, ContractNotFound
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import TIMEOUT, Desk, frames

Query = types.ContractQuery


def one(desk: Desk, query: Query) -> types.Contract:
    (found,) = desk.client.read("contracts", query, TIMEOUT)
    contract: types.Contract = found
    return contract


def refused(desk: Desk, query: Query) -> ContractNotFound:
    with pytest.raises(ContractNotFound) as caught:
        one(desk, query)
    return caught.value


@pytest.mark.parametrize(
    ("query", "exchange", "local_symbol"),
    [
        (Query("EUR", "CASH"), "IDEALPRO", "EUR.USD"),
        (Query("SPX", "IND"), "CBOE", "SPX"),
        (Query("BTC", "CRYPTO"), "PAXOS", "BTC.USD"),
        (Query("ES", "FUT", expiry="201906"), "CME", "ESM9"),
        (Query("ES", "FUT", exchange="CME", expiry="20190621"), "CME", "ESM9"),
        (Query("", "FUT", local_symbol="ESU9"), "CME", "ESU9"),
    ],
)
def test_types_without_smart_routing_go_to_their_own_venue(
    desk: Desk, query: Query, exchange: str, local_symbol: str
) -> None:
    contract = one(desk, query)
    assert contract.sec_type == query.sec_type
    assert (contract.exchange, contract.local_symbol) == (exchange, local_symbol)


def test_a_stock_s_details(desk: Desk) -> None:
    contract = one(desk, Query("AAPL"))
    assert (contract.stock_type, contract.trading_class, contract.multiplier) == ("COMMON", "NMS", 1)
    assert (contract.expiry, contract.strike, contract.right) == ("", None, "")
    assert {"LMT", "MKT", "STP"} <= set(contract.order_types)
    assert "SMART" in contract.exchanges
    assert contract.increments == (types.PriceIncrement(Decimal(0), Decimal("0.01")),)
    assert contract.trading_hours
    assert contract.hours_from is not None
    assert contract.hours_until is not None
    assert contract.hours_from < contract.hours_until


def test_a_future_s_details(desk: Desk) -> None:
    contract = one(desk, Query("ES", "FUT", expiry="201906"))
    assert (contract.expiry, contract.multiplier, contract.min_tick) == ("20190621", 50, Decimal("0.25"))
    assert contract.time_zone == "US/Central"


def test_an_option_s_details(desk: Desk) -> None:
    stock = one(desk, Query("AAPL"))
    contract = one(desk, Query("AAPL", "OPT", expiry="20190621", strike=Decimal(200), right="C"))
    assert (contract.expiry, contract.strike, contract.right) == ("20190621", Decimal(200), "C")
    assert (contract.multiplier, contract.under_con_id, contract.exchange) == (100, stock.con_id, "SMART")


def test_a_stock_in_another_currency(desk: Desk) -> None:
    contract = one(desk, Query("SAP", currency="EUR"))
    assert (contract.currency, contract.exchange, contract.time_zone) == ("EUR", "SMART", "Europe/Berlin")


def test_an_etf_is_a_stock_of_that_kind(desk: Desk) -> None:
    contract = one(desk, Query("SPY", "ETF"))
    assert (contract.sec_type, contract.stock_type) == ("STK", "ETF")
    assert "COMMON" in str(refused(desk, Query("AAPL", "ETF")))


def test_a_contract_by_its_id_alone(desk: Desk) -> None:
    for query in (Query("AAPL"), Query("ES", "FUT", expiry="201906"), Query("EUR", "CASH")):
        known = one(desk, query)
        again = one(desk, Query("", con_id=known.con_id))
        assert replace(again, fetched_at=known.fetched_at) == known


def test_an_id_of_another_symbol_is_refused(desk: Desk) -> None:
    apple = one(desk, Query("AAPL"))
    assert "AAPL, not SPY" in str(refused(desk, Query("SPY", con_id=apple.con_id)))
    assert "999999999" in str(refused(desk, Query("", con_id=999999999)))


def test_more_than_one_is_refused_with_choices_and_the_field_that_decides(desk: Desk) -> None:
    error = refused(desk, Query("ES", "FUT"))
    assert error.reason == "CONTRACT_AMBIGUOUS"
    assert error.details["field"] == "expiry"
    assert len(error.details["choices"]) == 5
    assert error.details["count"] > 5
    assert error.details["choices"][0].startswith("ESM9 FUT CME USD 20190621")
    option = refused(desk, Query("AAPL", "OPT", expiry="20190621"))
    assert option.details["field"] == "strike"
    side = refused(desk, Query("AAPL", "OPT", expiry="20190621", strike=Decimal(200)))
    assert side.details["field"] == "right"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (Query(""), "symbol"),
        (Query("AAPL", "STOCK"), "sec_type"),
        (Query("ES", "FUT", expiry="June"), "expiry"),
        (Query("ES", "FUT", expiry="2026"), "expiry"),
        (Query("AAPL", "OPT", strike=Decimal(0)), "strike"),
        (Query("AAPL", "OPT", strike=Decimal("NaN")), "strike"),
    ],
)
def test_a_query_that_nothing_can_answer_is_refused_at_the_door(
    desk: Desk, gateway: EmbeddedGateway, query: Query, field: str
) -> None:
    error = refused(desk, query)
    assert (error.reason, error.details) == ("BAD_REQUEST", {"field": field})
    assert "reqContractDetails" not in frames(gateway)


def test_all_that_a_query_means_by_expiry(desk: Desk) -> None:
    found: tuple[types.Contract, ...] = desk.client.read("all_contracts", Query("ES", "FUT"), TIMEOUT)
    expiries = [contract.expiry for contract in found]
    assert expiries == sorted(set(expiries))
    assert expiries[0] == "20190621"
    with pytest.raises(ContractNotFound):
        desk.client.read("all_contracts", Query("NOSUCH"), TIMEOUT)


def test_expired_futures_only_where_they_are_asked_for(desk: Desk) -> None:
    gone = Query("ES", "FUT", expiry="201903")
    assert refused(desk, gone).reason == "CONTRACT_NOT_FOUND"
    assert one(desk, replace(gone, include_expired=True)).expiry == "20190315"


def test_a_market_rule_is_asked_for_once(desk: Desk, gateway: EmbeddedGateway) -> None:
    for symbol in ("AAPL", "IBM", "SPY", "MSFT"):
        assert one(desk, Query(symbol)).increments
    assert frames(gateway)["reqMarketRule"] == 1


def test_without_its_rule_a_contract_has_its_tick(
    desk: Desk, gateway: EmbeddedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.ib.market_rules.ANSWER_LIMIT", 0.3)
    gateway.fault("refuse", kinds=("reqMarketRule",), code=321, text="Error validating request.")
    contract = one(desk, Query("AAPL"))
    assert (contract.increments, contract.min_tick) == ((), Decimal("0.01"))


def test_a_refusal_that_is_no_absence_is_told_as_such(desk: Desk, gateway: EmbeddedGateway) -> None:
    gateway.fault("refuse", kinds=("reqContractDetails",), code=321, text="Error validating request.")
    with pytest.raises(BrokerError) as caught:
        one(desk, Query("AAPL"))
    assert not isinstance(caught.value, ContractNotFound)


def test_a_search_by_symbol_and_by_name(desk: Desk) -> None:
    found: tuple[types.ContractMatch, ...] = desk.client.read("search", types.SymbolSearch("aap"), TIMEOUT)
    assert (found[0].symbol, found[0].sec_type, found[0].primary_exchange) == ("AAPL", "STK", "NASDAQ")
    assert "OPT" in found[0].derivatives
    named = desk.client.read("search", types.SymbolSearch("microsoft"), TIMEOUT)
    assert [match.symbol for match in named] == ["MSFT"]
    assert desk.client.read("search", types.SymbolSearch("zzzz"), TIMEOUT) == ()


@pytest.mark.parametrize("pattern", ["", "  ", "x" * 100])
def test_a_search_for_nothing_is_refused(desk: Desk, pattern: str) -> None:
    with pytest.raises(ContractNotFound) as caught:
        desk.client.read("search", types.SymbolSearch(pattern), TIMEOUT)
    assert caught.value.details == {"field": "pattern"}


def test_an_option_chain(desk: Desk) -> None:
    stock = one(desk, Query("AAPL"))
    chains: tuple[types.OptionChain, ...] = desk.client.read(
        "option_chain", types.ConId(stock.con_id), TIMEOUT, [stock]
    )
    chain = chains[0]
    assert (chain.exchange, chain.trading_class, chain.multiplier) == ("SMART", "AAPL", 100)
    assert "20190621" in chain.expiries
    assert list(chain.expiries) == sorted(chain.expiries)
    assert list(chain.strikes) == sorted(chain.strikes)
    assert all(strike > 0 for strike in chain.strikes)


def test_a_contract_without_options_has_no_chain(desk: Desk) -> None:
    amd = one(desk, Query("ORCL"))
    assert desk.client.read("option_chain", types.ConId(amd.con_id), TIMEOUT, [amd]) == ()
