"""The portfolio: the broker's numbers beside ours, differences marked, and never a number of ours for one of its."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from autotrader.core.clock import system_now
from broker import types
from tests.trading.builders import ACCOUNT, CON_IDS, NOW, D, bought, status, strategy, summary
from tests.web.test_orders import EVIL, body, person
from trading.models import Instrument, Strategy
from trading.web import numbers
from trading.web.numbers import Numbers, Told

pytestmark = pytest.mark.django_db
AWAY = "The broker does not answer <b>at all</b>."


def held(symbol: str = "AAPL", quantity: str = "10", name: str = "", **changes: Any) -> types.Position:
    amount = D(quantity)
    row = types.Position(
        ACCOUNT, CON_IDS[symbol], name or symbol, amount, D("100.1"), D(105), amount * D(105), amount * D("4.9"), D(0)
    )
    return replace(row, **changes)


def broker_says(patch: pytest.MonkeyPatch, told: Told) -> None:
    patch.setattr(numbers, "_ask", lambda: told)
    patch.setattr("trading.web.portfolio.NUMBERS", Numbers())


def live(*positions: types.Position, **changes: Any) -> Told:
    account = replace(summary("200000"), **changes)
    pnl = types.ProfitAndLoss(ACCOUNT, D("-12.5"), D(49), None, (), NOW)
    return Told(status(), account, positions, (), pnl)


def trader() -> Client:
    return person("trading.view_account", "trading.view_decision", "trading.view_trade")


def test_only_who_may_see_accounts_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broker_says(monkeypatch, live())
    for path in ("/portfolio/", "/panels/portfolio/"):
        assert Client().get(path).status_code == 302
        assert person("trading.view_order").get(path).status_code == 403
        assert trader().get(path).status_code == 200


def test_who_may_see_accounts_alone_sees_no_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    bought(strategy("slow-trend"))
    broker_says(monkeypatch, live(held()))
    for path in ("/portfolio/", "/panels/portfolio/"):
        shown = body(person("trading.view_account").get(path))
        assert 'id="positions"' in shown
        assert 'id="holdings"' not in shown
        assert "slow-trend" not in shown
        assert 'id="holdings"' in body(trader().get(path))


def test_live_numbers_are_the_brokers_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bought(strategy())
    came = system_now() - timedelta(seconds=90)
    cash = (types.CurrencyCash("EUR", D("12.34"), D("1.1")),)
    row = held(received_at=system_now(), priced_at=came)
    broker_says(monkeypatch, live(row, cash_by_currency=cash, received_at=came, account_time="14:05"))
    shown = body(trader().get("/portfolio/"))
    for part in ("200,000.00", "1,050.00", "105.00", "+49.00", "-12.50", "not told", "12.34", "EUR", "data-age"):
        assert part in shown, part
    assert 'data-panel="positions account trades" data-every="2"' in shown
    assert shown.count(f'datetime="{came.isoformat()}"') == 2, "the values, and the prices of the holdings"
    assert "14:05 by the account’s clock" in shown
    assert "differs" not in shown
    assert ">unavailable<" not in shown
    part = body(trader().get("/panels/portfolio/"))
    assert "<html" not in part
    assert "1,050.00" in part


def test_what_differs_from_our_records_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    bought(strategy())
    broker_says(monkeypatch, live(held(quantity="7"), held("IBM", "-3")))
    answer = trader().get("/portfolio/")
    assert [(line.symbol, line.differs) for line in answer.context["found"].lines] == [("AAPL", True), ("IBM", True)]
    assert "2 differ" in body(answer)
    broker_says(monkeypatch, live())
    (line,) = trader().get("/portfolio/").context["found"].lines
    assert (line.symbol, line.position, line.ours, line.differs) == ("AAPL", None, D(10), True)


def test_a_broker_that_is_away_is_said_and_no_number_of_ours_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    bought(strategy())
    broker_says(monkeypatch, Told(problem=AWAY))
    shown = body(trader().get("/portfolio/"))
    assert "Live numbers: unavailable" in shown
    assert "The broker does not answer &lt;b&gt;at all" in shown
    assert "by our records" in shown
    assert "history" in shown
    assert "differs" not in shown
    assert "Net liquidation" not in shown
    assert 'class="web-live"' not in shown


def test_without_any_account_the_page_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    broker_says(monkeypatch, Told(problem="No broker."))
    assert "No account of a broker is known yet" in body(trader().get("/portfolio/"))
    broker_says(monkeypatch, live())
    shown = body(trader().get("/portfolio/"))
    assert "Nothing is held" in shown
    assert "No trade is open" in shown
    assert "does not tell cash by currency" in shown


def test_exposure_is_of_equity_in_its_own_currency_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told = live(
        held(quantity="-10"), held("IBM", market_value=D(2100)), held("SPY", currency="EUR"),
        held(con_id=1, name="NOPRICE", market_value=None, market_price=None),
        held(account="DU999", con_id=2, name="OTHERS"),
    )  # fmt: skip
    broker_says(monkeypatch, told)
    answer = trader().get("/portfolio/")
    bars = answer.context["found"].bars
    assert [(bar.symbol, bar.width, bar.part) for bar in bars] == [
        ("SPY", 100.0, None), ("IBM", 100.0, Decimal("0.0105")), ("AAPL", 50.0, Decimal("-0.00525")),
    ]  # fmt: skip
    shown = body(answer)
    assert "tells no value of NOPRICE" in shown
    assert "other currency" in shown
    assert "OTHERS" not in shown
    assert 'width="50.0"' in shown


def test_strategies_results_are_at_the_brokers_price_and_only_of_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    bought(strategy("one"))
    broker_says(monkeypatch, live(held()))
    (row,) = trader().get("/portfolio/").context["found"].holdings
    assert (row.strategy, row.quantity, row.open_result) == ("one", D(10), D(50))
    broker_says(monkeypatch, live(held(sec_type="FUT")))
    answer = trader().get("/portfolio/")
    assert answer.context["found"].holdings[0].open_result is None
    assert "no price" in body(answer)


def test_words_from_outside_are_shown_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    bought(strategy())
    Strategy.objects.update(name=EVIL)
    broker_says(monkeypatch, live(held()))
    shown = body(trader().get("/portfolio/"))
    assert EVIL not in shown
    assert "&lt;script&gt;" in shown


def test_the_page_costs_the_same_for_one_holding_and_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    client = trader()
    bought(strategy())
    broker_says(monkeypatch, live(held()))

    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert client.get("/portfolio/").status_code == 200
        return len(counted)

    few = queries()
    for number, symbol in enumerate(("IBM", "SPY", "AAPL", "AAPL")):
        bought(strategy(f"s{number}", symbols=(symbol,)), symbol, quantity=str(number + 2))
    broker_says(monkeypatch, live(held(), held("IBM", "2"), held("SPY", "3")))
    assert Instrument.objects.count() == 3
    assert queries() == few
