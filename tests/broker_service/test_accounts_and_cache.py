"""Which account a connection may name, and how long a contract counts as known."""

from __future__ import annotations

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
from broker.service.owner import Place, account_rule

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


def test_a_contract_that_changed_replaces_the_old_one() -> None:
    cache = ContractCache("paper")
    cache.keep([SPY])
    cache.keep([replace(SPY, long_name="new")])
    assert Contract.objects.count() == 1
    stored = ContractCache("paper").get(7)
    assert stored is not None
    assert stored.long_name == "new"
