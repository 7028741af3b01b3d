"""Which account a connection may name, and how long a contract counts as known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import Settings

from broker import types
from broker.errors import AccountError
from broker.models import Contract
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service.contract_cache import ContractCache
from broker.service.owner import Owner, Place, account_rule

CLOSE = datetime(2019, 6, 3, 20, tzinfo=UTC)  # of the gateway's clock
NOW = datetime(2024, 1, 2, 15, tzinfo=UTC)
DAY = timedelta(days=1)
HOURS = tuple(
    types.SessionHours(date(2024, 1, day), NOW.replace(day=day), NOW.replace(day=day, hour=21)) for day in (2, 3, 4)
)
SPY = types.Contract(
    con_id=7,
    symbol="SPY",
    sec_type="STK",
    exchange="SMART",
    primary_exchange="ARCA",
    currency="USD",
    long_name="",
    min_tick=Decimal("0.01"),
    lot_size=Decimal(1),
    time_zone="US/Eastern",
    liquid_hours=HOURS,
    fetched_at=NOW,
)
QUERY = types.ContractQuery("SPY")


def test_a_paper_connection_must_name_what_our_own_gateway_holds(gateway: EmbeddedGateway) -> None:
    accept = account_rule(Place(paper=True))
    assert accept((gateway.account,)) == gateway.account
    with pytest.raises(AccountError):
        accept(("DU1234567",))


def test_without_a_file_of_ours_no_paper_connection_is_taken() -> None:
    with pytest.raises(AccountError):
        account_rule(Place(paper=True))(("DU1234567",))


def test_a_real_connection_uses_the_listed_account_or_its_only_one(settings: Settings) -> None:
    accept = account_rule(Place(paper=False))
    assert accept(("U1",)) == "U1"
    with pytest.raises(AccountError):
        accept(("U1", "U2"))
    settings.AUTOTRADER_ALLOWED_ACCOUNTS = ("U2", "U3")
    assert accept(("U1", "U2", "U3")) == "U2"
    with pytest.raises(AccountError):
        accept(("U1",))


def test_a_known_contract_is_found_by_another_process_too() -> None:
    ContractCache("paper").keep([SPY])
    cache = ContractCache("paper")
    assert cache.find(QUERY, NOW, NOW) == (SPY,)
    assert cache.get(7) == SPY
    assert cache.get(8) is None


def test_contracts_of_another_kind_of_gateway_are_not_ours() -> None:
    ContractCache("paper").keep([SPY])
    assert ContractCache("tws").find(QUERY, NOW, NOW) == ()
    assert ContractCache("tws").get(7) is None


@pytest.mark.parametrize(
    ("query", "now", "market_now"),
    [
        (replace(QUERY, currency="EUR"), NOW, NOW),
        (QUERY, NOW + DAY / 2, NOW),
        (QUERY, NOW - DAY, NOW),
        (QUERY, NOW, NOW + 3 * DAY),
        (QUERY, NOW, NOW - DAY),
    ],
)
def test_another_question_an_old_answer_or_another_week_asks_the_broker(
    query: types.ContractQuery, now: datetime, market_now: datetime
) -> None:
    cache = ContractCache("paper")
    cache.keep([SPY])
    assert cache.find(query, now, market_now) == ()


FUTURE = replace(
    SPY,
    con_id=8,
    symbol="ES",
    sec_type="FUT",
    exchange="CME",
    primary_exchange="CME",
    expiry="20240315",
    local_symbol="ESH4",
    multiplier=Decimal(50),
)
FUTURE_QUERY = types.ContractQuery("ES", "FUT", expiry="202403")


def test_an_answer_is_known_by_its_question() -> None:
    cache = ContractCache("paper")
    cache.keep([FUTURE], FUTURE_QUERY)
    assert cache.find(FUTURE_QUERY, NOW, NOW) == (FUTURE,)
    assert cache.find(types.ContractQuery("ES", "FUT"), NOW, NOW) == ()  # any expiry: the broker may know several


@pytest.mark.parametrize(
    "query",
    [
        replace(FUTURE_QUERY, expiry="20240315"),
        replace(FUTURE_QUERY, expiry="20240315", exchange="CME"),
        types.ContractQuery("ES", "FUT", local_symbol="ESH4"),
        types.ContractQuery("", con_id=8),
        types.ContractQuery("ES", con_id=8),
    ],
)
def test_a_question_that_leaves_nothing_open_is_answered_from_the_database(query: types.ContractQuery) -> None:
    ContractCache("paper").keep([FUTURE])
    assert ContractCache("paper").find(query, NOW, NOW) == (FUTURE,)


@pytest.mark.parametrize(
    "query",
    [
        FUTURE_QUERY,
        replace(FUTURE_QUERY, expiry="20240621"),
        replace(FUTURE_QUERY, expiry="20240315", exchange="NYMEX"),
        replace(FUTURE_QUERY, expiry="20240315", include_expired=True),
        types.ContractQuery("ES"),
        types.ContractQuery("NQ", con_id=8),
        types.ContractQuery("", con_id=9),
    ],
)
def test_any_other_question_asks_the_broker(query: types.ContractQuery) -> None:
    ContractCache("paper").keep([FUTURE])
    assert ContractCache("paper").find(query, NOW, NOW) == ()


def test_an_etf_is_found_as_a_stock_and_as_an_etf() -> None:
    ContractCache("paper").keep([replace(SPY, stock_type="ETF")])
    cache = ContractCache("paper")
    assert cache.find(QUERY, NOW, NOW)
    assert cache.find(replace(QUERY, sec_type="ETF"), NOW, NOW)
    cache.keep([SPY])
    assert ContractCache("paper").find(replace(QUERY, sec_type="ETF"), NOW, NOW) == ()


def test_two_contracts_of_one_description_are_the_broker_s_to_tell_apart() -> None:
    ContractCache("paper").keep([SPY, replace(SPY, con_id=9, primary_exchange="MEXI")])
    assert ContractCache("paper").find(QUERY, NOW, NOW) == ()


def test_closed_days_are_days_of_which_the_hours_speak() -> None:
    weekend = replace(SPY, hours_from=date(2023, 12, 30), hours_until=date(2024, 1, 4))
    cache = ContractCache("paper")
    cache.keep([weekend])
    saturday = datetime(2023, 12, 30, 15, tzinfo=UTC)
    assert cache.find(QUERY, NOW, saturday) == (weekend,)
    assert cache.find(QUERY, NOW, saturday - DAY) == ()


def test_documents_of_before_still_load_and_of_later_ask_the_broker() -> None:
    ContractCache("paper").keep([SPY])
    row = Contract.objects.get()
    document = json.loads(row.document)
    first_fields = (
        "con_id symbol sec_type exchange primary_exchange currency long_name min_tick lot_size time_zone liquid_hours"
    )
    old = {name: document[name] for name in (*first_fields.split(), "fetched_at")}
    Contract.objects.update(document=json.dumps(old))
    assert ContractCache("paper").get(7) == SPY
    Contract.objects.update(document=json.dumps(document | {"of_a_later_version": 1}))
    assert ContractCache("paper").get(7) is None
    assert ContractCache("paper").find(QUERY, NOW, NOW) == ()


def test_the_owner_asks_the_broker_once_for_a_contract(owner: Owner, gateway: EmbeddedGateway) -> None:
    before = gateway.status()["frames"].get("reqContractDetails", 0)
    queries = (types.ContractQuery("AAPL"), types.ContractQuery("EUR", "CASH"), types.ContractQuery("SPY", "ETF"))
    for query in queries:
        (found,) = owner.broker.contracts(query)
        assert owner.broker.contracts(query) == (found,)
        assert owner.broker.contracts(types.ContractQuery("", con_id=found.con_id)) == (found,)
    assert gateway.status()["frames"]["reqContractDetails"] - before == len(queries)


def test_what_a_list_of_contracts_names_is_known_from_then_on(owner: Owner) -> None:
    found = owner.broker.all_contracts(types.ContractQuery("ES", "FUT"))
    assert owner.broker.quote(types.ConId(found[0].con_id)).con_id == found[0].con_id


def test_the_calendar_is_asked_for_once_a_week_of_the_market(owner: Owner, gateway: EmbeddedGateway) -> None:
    (found,) = owner.broker.contracts(types.ContractQuery("AAPL"))
    contract = types.ConId(found.con_id)

    def asked() -> int:
        return int(gateway.status()["frames"]["reqContractDetails"])

    before = asked()
    assert owner.broker.trading_hours(contract).at == CLOSE
    assert asked() == before
    gateway.advance(CLOSE + 20 * DAY)
    for _ in range(3):
        calendar = owner.broker.trading_hours(contract)
        assert calendar.at == CLOSE + 20 * DAY
        assert calendar.next_open is not None
    assert asked() == before + 1


def test_a_contract_that_changed_replaces_the_old_one() -> None:
    cache = ContractCache("paper")
    cache.keep([SPY])
    cache.keep([replace(SPY, long_name="new")])
    assert Contract.objects.count() == 1
    stored = ContractCache("paper").get(7)
    assert stored is not None
    assert stored.long_name == "new"
