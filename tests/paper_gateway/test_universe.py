"""The universe: what exists, under which id, and what a request finds of it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from broker.paper_gateway.prices import hours
from broker.paper_gateway.types import ContractFilter, SymbolSpec
from broker.paper_gateway.universe import LISTED, Universe, derived_con_id, futures, options, seeded_start
from broker.paper_gateway.universe.fixed import FIXED
from broker.paper_gateway.wire.contracts import MARKET_RULES

TODAY = date(2026, 3, 2)
UNIVERSE = Universe()
# Ids and prices that accounts and tests of earlier versions know.
KNOWN = {"SPY": (756733, 520), "QQQ": (320227571, 440), "AAPL": (265598, 190), "IBM": (8314, 175), "BAC": (10098, 39)}


def find(today: date = TODAY, price: int = 500, **parts: object) -> list[SymbolSpec]:
    wanted = ContractFilter(**parts)  # type: ignore[arg-type]
    return list(UNIVERSE.find(wanted, today, lambda con_id: Decimal(price)))


def everything() -> list[SymbolSpec]:
    specs = [*UNIVERSE.all(), *find(sec_type="OPT", symbol="SPY"), *find(sec_type="OPT", symbol="SPX", price=5200)]
    return specs + [spec for product in futures.PRODUCTS for spec in futures.listed(product, TODAY)]


def test_there_are_at_least_250_us_stocks_and_funds() -> None:
    assert len(LISTED) >= 250
    assert len({listing.symbol for listing in LISTED}) == len(LISTED)
    assert sum(listing.stock_type == "ETF" for listing in LISTED) >= 50
    assert all(listing.price > 0 and listing.daily_volume > 0 and listing.market_value > 0 for listing in LISTED)
    assert {symbol: (s.con_id, s.price) for s in LISTED if (symbol := s.symbol) in KNOWN} == KNOWN


def test_no_two_contracts_of_any_year_share_an_id() -> None:
    months = [
        (product, year, month) for product in futures.PRODUCTS for year in range(2005, 2041) for month in product.months
    ]
    contracts = [*UNIVERSE.all(), *[futures.contract(*month) for month in months]]
    for year in range(2006, 2040, 4):
        contracts += find(date(year, 5, 4), symbol="IBM", sec_type="OPT")
        contracts += find(date(year, 5, 4), symbol="SPX", sec_type="OPT", price=6000)
    by_id = {spec.con_id: spec for spec in contracts}
    assert len(by_id) == len(contracts)
    assert all(0 < con_id < 2**31 for con_id in by_id)
    assert all(UNIVERSE.by_con_id(con_id) == spec for con_id, spec in by_id.items())


def test_every_contract_names_a_market_rule_with_its_tick_and_a_calendar() -> None:
    for spec in everything():
        assert MARKET_RULES[spec.market_rule][0] == (0, spec.min_tick), spec.symbol
        assert hours.sessions(spec.hours, TODAY).day == TODAY
        assert spec.local_symbol
        assert spec.exchanges


def test_every_contract_but_options_has_a_seeded_price_of_whole_ticks() -> None:
    for spec in everything():
        start = seeded_start(spec.market)
        assert (start is None) == (spec.sec_type == "OPT"), spec.market
        if start is not None:
            assert start.unit == spec.min_tick
            assert Decimal(start.price) % start.unit == 0
            assert start.hours == spec.hours


def test_stocks_come_first_where_no_type_is_asked_for() -> None:
    assert [spec.sec_type for spec in find(symbol="SPY")] == ["STK"]
    assert [spec.sec_type for spec in find(symbol="SPX")] == ["IND"]
    assert {spec.sec_type for spec in find(symbol="ES")} == {"FUT"}
    assert {spec.sec_type for spec in find(symbol="EUR")} == {"CASH"}


@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ({"symbol": "EUR", "sec_type": "CASH", "currency": "USD", "exchange": "IDEALPRO"}, 1),
        ({"local_symbol": "EUR.USD", "sec_type": "CASH"}, 1),
        ({"symbol": "EUR", "sec_type": "CASH"}, 4),
        ({"symbol": "EUR", "sec_type": "CASH", "currency": "USD", "exchange": "SMART"}, 0),
        ({"symbol": "SPX", "sec_type": "IND", "exchange": "CBOE"}, 1),
        ({"symbol": "SPX", "sec_type": "IND", "exchange": "SMART"}, 0),
        ({"symbol": "BTC", "sec_type": "CRYPTO", "exchange": "PAXOS"}, 1),
        ({"symbol": "ES", "sec_type": "FUT", "exchange": "SMART"}, 0),
        ({"symbol": "ES", "sec_type": "FUT", "exchange": "GLOBEX", "expiry": "202606"}, 1),
        ({"symbol": "SAP", "sec_type": "STK", "currency": "EUR", "exchange": "SMART"}, 1),
        ({"symbol": "SAP", "sec_type": "STK", "currency": "USD"}, 0),
        ({"symbol": "7203", "sec_type": "STK", "exchange": "TSEJ"}, 1),
        ({"symbol": "BRK B", "sec_type": "STK", "exchange": "SMART"}, 1),
    ],
)
def test_which_venue_and_currency_find_what(parts: dict[str, object], count: int) -> None:
    assert len(find(**parts)) == count  # type: ignore[arg-type]


def test_futures_are_found_by_expiry_month_local_symbol_and_multiplier() -> None:
    (june,) = find(symbol="ES", sec_type="FUT", expiry="202606")
    assert (june.expiry, june.local_symbol, june.multiplier) == ("20260618", "ESM6", 50)
    assert find(symbol="ES", sec_type="FUT", expiry=june.expiry) == [june]
    assert find(local_symbol="ESM6", sec_type="FUT") == [june]
    assert find(symbol="ES", sec_type="FUT", expiry="202606", multiplier="50") == [june]
    assert find(symbol="ES", sec_type="FUT", expiry="202606", multiplier="5") == []
    assert find(symbol="6E", sec_type="FUT") == find(symbol="EUR", sec_type="FUT", trading_class="6E")


def test_expired_futures_only_where_they_are_asked_for() -> None:
    listed = find(symbol="ES", sec_type="FUT")
    with_old = find(symbol="ES", sec_type="FUT", include_expired=True)
    assert [spec.expiry for spec in listed] == sorted(spec.expiry for spec in listed)
    assert listed[0].expiry >= "20260302"
    assert with_old[-len(listed) :] == listed
    old = with_old[0]
    assert find(con_id=old.con_id) == []
    assert find(con_id=old.con_id, include_expired=True) == [old]


@pytest.mark.parametrize(
    ("symbol", "month", "last_day"),
    [
        ("ES", "202603", "20260320"),
        ("ES", "202606", "20260618"),  # the third Friday is Juneteenth
        ("CL", "202605", "20260421"),
        ("CL", "202701", "20261221"),
        ("GC", "202604", "20260428"),
        ("ZN", "202606", "20260618"),
        ("6E", "202603", "20260316"),
    ],
)
def test_last_days_of_real_futures(symbol: str, month: str, last_day: str) -> None:
    (spec,) = find(symbol=symbol, sec_type="FUT", expiry=month)
    assert spec.expiry == last_day


def test_options_lie_around_the_price_and_end_on_fridays() -> None:
    listed = find(symbol="SPY", sec_type="OPT")
    strikes = {spec.strike for spec in listed}
    assert (min(strikes), max(strikes)) == (355, 650)  # type: ignore[type-var]
    days = {date.fromisoformat(spec.expiry) for spec in listed}
    assert {day.weekday() for day in days} <= {3, 4}
    (call,) = find(symbol="SPY", sec_type="OPT", expiry="20260320", strike=Decimal(500), right="C")
    assert call.local_symbol == "SPY   260320C00500000"
    assert (call.multiplier, call.under_con_id, call.can_trade) == (100, 756733, False)
    assert find(local_symbol="SPY   260320C00500000", sec_type="OPT") == [call]
    assert find(symbol="SPY", sec_type="OPT", strike=Decimal("501")) == []


def test_an_expiry_before_a_holiday_is_the_session_before() -> None:
    good_friday = date(2026, 4, 3)
    assert options.last_day(good_friday) == good_friday - timedelta(days=1)
    assert find(symbol="SPY", sec_type="OPT", expiry="20260402", strike=Decimal(500))


def test_a_chain_tells_expiries_and_strikes() -> None:
    chains = options.chains(416904, TODAY, Decimal(5200))
    assert {chain.trading_class for chain in chains} == {"SPX", "SPXW"}
    assert options.chains(8315, TODAY, Decimal(100)) == []


def test_search_by_symbol_and_by_name() -> None:
    assert UNIVERSE.search("AAPL")[0].symbol == "AAPL"
    assert UNIVERSE.search("t")[0].symbol == "T"
    assert "IBM" in [spec.symbol for spec in UNIVERSE.search("business")]
    assert len(UNIVERSE.search("A")) == 16
    assert UNIVERSE.search("  ") == ()


def test_a_symbol_of_the_folder_displaces_a_stock_abroad_of_that_name() -> None:
    universe = Universe(["SAP"])
    specs = [spec for spec in universe.all() if spec.symbol == "SAP"]
    assert [(spec.currency, spec.con_id) for spec in specs] == [("USD", derived_con_id("SAP"))]


def test_some_stocks_cannot_be_borrowed() -> None:
    assert any(listing.shortable == 0 for listing in LISTED)
    assert {entry.spec.currency for entry in FIXED} >= {"EUR", "GBP", "CAD", "JPY"}
