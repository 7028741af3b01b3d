"""Buying and holding beside an account's equity: from stored quotes alone, and no line where they do not suffice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from autotrader.core import audit
from tests.trading.builders import ACCOUNT, D, claimed, facts, opinion, quote, strategy
from tests.trading.test_performance import account, snap
from tests.web.test_orders import body, person
from trading.models import Account, Decision, Instrument, Strategy
from trading.selectors.buy_and_hold import NO_CURVE, NO_PRICES, BuyAndHold, buy_and_hold
from trading.selectors.equity_curve import EquityPoint
from trading.services.decisions import decision_make

__all__ = ["account"]
pytestmark = pytest.mark.django_db
BEGIN = datetime(2020, 7, 20, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CURVE = (EquityPoint(BEGIN, D(1000), D(1)), EquityPoint(BEGIN + 3 * DAY, D(1100), D("1.1")))


@pytest.fixture
def row(account: Account) -> Strategy:
    return strategy(symbols=("AAPL", "IBM"))


def held(row: Strategy, symbol: str, price: str, at: datetime, account: str = ACCOUNT) -> Decision:
    """A decision to hold with a quote of one cent on each side of the price."""
    seen = quote(str(D(price) - D("0.01")), str(D(price) + D("0.01")), at=at, symbol=symbol)
    with audit.recording():
        return decision_make(claimed(row, symbol, account), opinion("hold"), facts(quote=seen, market_now=at))


def line(account: Account, name: str = "") -> BuyAndHold:
    return buy_and_hold(account, name, CURVE)


def test_equal_parts_each_at_its_first_price(account: Account, row: Strategy) -> None:
    held(row, "AAPL", "100", BEGIN - timedelta(hours=1))
    held(row, "AAPL", "110", BEGIN + DAY)
    held(row, "IBM", "50", BEGIN + DAY)
    held(row, "IBM", "45", BEGIN + 2 * DAY)
    held(row, "AAPL", "120", BEGIN + 2 * DAY)
    held(row, "AAPL", "130", BEGIN + 4 * DAY)
    found = line(account)
    assert (found.symbols, found.why) == (("AAPL", "IBM"), "")
    # AAPL bought at 100 by what was known at the beginning; IBM is cash until its first price, 50.
    assert found.points == (
        (BEGIN, D(1000)),
        (BEGIN + DAY, D(1050)),
        (BEGIN + 2 * DAY, D(1050)),
    )


def test_only_the_decisions_of_the_account_and_strategy_count(account: Account, row: Strategy) -> None:
    other = strategy("other", symbols=("SPY",))
    held(row, "AAPL", "100", BEGIN)
    held(row, "AAPL", "120", BEGIN + DAY)
    held(other, "SPY", "300", BEGIN + DAY)
    held(row, "IBM", "50", BEGIN + DAY, "DU7654321")
    assert line(account, "s").symbols == ("AAPL",)
    assert line(account, "s").points[-1] == (BEGIN + DAY, D(1200))
    assert line(account).symbols == ("AAPL", "SPY")


def test_a_later_decision_is_seen_at_once(account: Account, row: Strategy) -> None:
    held(row, "AAPL", "100", BEGIN)
    held(row, "AAPL", "120", BEGIN + DAY)
    assert line(account).points[-1][1] == 1200
    held(row, "AAPL", "90", BEGIN + 2 * DAY)
    assert line(account).points[-1] == (BEGIN + 2 * DAY, D(900))


def test_no_line_where_there_is_too_little(account: Account, row: Strategy) -> None:
    assert buy_and_hold(account, "", CURVE[:1]).why == NO_CURVE
    assert line(account).why == NO_PRICES
    held(row, "AAPL", "100", BEGIN)
    assert line(account).why == "prices of one moment alone are no line"
    Decision.objects.update(bid=None, ask=None, price=None, version=2)
    assert line(account).why == NO_PRICES


def test_no_line_over_another_currency_or_a_split(account: Account, row: Strategy) -> None:
    held(row, "AAPL", "400", BEGIN)
    held(row, "AAPL", "100", BEGIN + DAY)
    assert "AAPL goes from 400.00 to 100.00" in line(account).why
    Instrument.objects.filter(symbol="AAPL").update(currency="EUR")
    held(row, "AAPL", "100", BEGIN + DAY)
    assert line(account).why == "AAPL is not priced in USD"


def test_too_many_decisions_are_not_read(account: Account, row: Strategy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading.selectors.buy_and_hold.MOST", 2)
    for day in range(3):
        held(row, "AAPL", "100", BEGIN + day * DAY)
    assert line(account).why == "more than 2 decisions lie in this time"


def test_the_page_draws_it_and_says_what_it_is(account: Account, row: Strategy) -> None:
    client: Client = person("trading.view_accountsnapshot")
    snap("10000", BEGIN)
    snap("10098", BEGIN + 3 * DAY)
    shown: Any = body(client.get("/performance/"))
    assert "No line for buying and holding: no decision of this time stored a price" in shown
    assert shown.count("<polyline") == 2
    held(row, "AAPL", "100", BEGIN)
    held(row, "AAPL", "115", BEGIN + DAY)
    shown = body(client.get("/performance/"))
    assert shown.count("<polyline") == 3
    assert "Dashed: the first equity bought once and held, in equal parts AAPL" in shown
    assert "Bought once and held: ends at 11,500.00" in shown
    assert Decimal(client.get("/performance/").context["found"].held.points[-1][1]) == 11500
