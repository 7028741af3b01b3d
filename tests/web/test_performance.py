"""Performance on a page: figures with the reasons of missing ones, curves with axes, trades by who decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.trading.builders import ACCOUNT, D, deliver, fill, strategy
from tests.trading.test_performance import TUESDAY, account, opened, round_trip, snap, week
from tests.web.test_orders import EVIL, body, person
from trading.models import Account, Decision, Strategy
from trading.selectors.pages.performance import chart
from trading.services.accounts import account_ensure

__all__ = ["account", "week"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]
BEGIN = datetime(2020, 7, 20, 20, 0, tzinfo=UTC)


def watcher() -> Client:
    return person("trading.view_accountsnapshot")


def figure(answer: Any, name: str) -> Any:
    return next(tile for tile in answer.context["found"].tiles if tile.name == name)


def test_only_who_may_see_snapshots_sees_it() -> None:
    assert Client().get("/performance/").status_code == 302
    assert person("trading.view_order").get("/performance/").status_code == 403
    assert "No account of a broker is known yet" in body(watcher().get("/performance/"))


def test_an_account_without_history_says_why_nothing_is_known(account: Account) -> None:
    shown = body(watcher().get("/performance/"))
    assert "no snapshot of the account&#x27;s equity lies in this time" in shown
    assert "no trade was closed" in shown
    assert "There is no curve" in shown
    assert "No trade was closed in this time" in shown


def test_the_figures_are_those_of_the_worked_example(week: Strategy) -> None:
    answer = watcher().get("/performance/")
    shown = body(answer)
    assert answer.context["account"].pk == ACCOUNT
    assert figure(answer, "Closed trades").value == D("34")
    assert figure(answer, "Win rate").value == D("0.666667")
    assert figure(answer, "Greatest drawdown").value > 0
    assert shown.count("<polyline") == 2
    assert "Equity of DU1234567 in USD: begins at 10,000.00" in shown
    assert "2020-07-2" in shown
    groups = {group.name: group.figures.count for group in answer.context["found"].by_decider}
    assert groups == {"rules (rules-v1)": 2, "a person or a program": 1}
    assert {group.name for group in answer.context["found"].by_strategy} == {"s", "no strategy"}


def test_figures_without_all_commissions_are_not_told_as_final(week: Strategy) -> None:
    assert "Not final" not in body(watcher().get("/performance/"))
    for number in (1, 2):
        quantity = str(10 + number)
        target = opened(strategy(f"later{number}"), "AAPL", quantity, TUESDAY)[2]
        deliver(fill(target, quantity, "110", time=TUESDAY + timedelta(hours=number)))
        words = ("1 commission of this time is", "2 commissions of this time are")[number - 1]
        assert f"Not final: {words} still to come, and count" in body(watcher().get("/performance/"))


def test_a_strategy_alone_has_trades_and_no_equity(week: Strategy) -> None:
    answer = watcher().get("/performance/?strategy=s")
    assert figure(answer, "Closed trades").note == "net of 2 trades"
    assert figure(answer, "Time-weighted return").value is None
    assert "a strategy has none of its own" in body(answer)
    assert [group.name for group in answer.context["found"].by_strategy] == ["s"]


def test_a_timeframe_begins_on_its_first_day(week: Strategy) -> None:
    snap("16000", datetime(2020, 8, 3, 20, 0, tzinfo=UTC))
    for timeframe, count in (("week", 0), ("month", 0), ("year", 3), ("all", 3)):
        found = watcher().get(f"/performance/?timeframe={timeframe}").context["found"]
        assert found.figures.trades.count == count, timeframe
        assert sum(group.figures.count for group in found.by_strategy) == count


@pytest.mark.parametrize("query", ["account=DU0", "timeframe=decade", "strategy=none"])
def test_a_wrong_choice_is_said_and_shows_nothing(week: Strategy, query: str) -> None:
    shown = body(watcher().get(f"/performance/?{query}"))
    assert "Correct what is chosen" in shown
    assert "<polyline" not in shown


def test_another_account_has_its_own_figures(week: Strategy) -> None:
    account_ensure("DU7654321")
    answer = watcher().get("/performance/?account=DU7654321")
    assert answer.context["found"].figures.account == "DU7654321"
    assert figure(answer, "Closed trades").value is None


def test_words_from_outside_are_shown_as_words(week: Strategy) -> None:
    Decision.objects.update(decided_by=EVIL)
    Strategy.objects.update(name="<b>odd")
    # What was reckoned before is kept until a trade changes.
    round_trip(strategy("later"), "AAPL", "11", "110", TUESDAY, timedelta(hours=1))
    shown = body(watcher().get("/performance/"))
    assert EVIL not in shown
    assert "<b>odd" not in shown
    assert "&lt;script&gt;" in shown


def test_the_page_costs_the_same_for_few_trades_and_for_more(week: Strategy) -> None:
    client = watcher()

    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert client.get("/performance/").status_code == 200
        return len(counted)

    round_trip(strategy("s1"), "AAPL", "11", "110", TUESDAY, timedelta(hours=1))
    queries()  # the walk over the snapshots has begun
    round_trip(strategy("s2"), "AAPL", "12", "110", TUESDAY, timedelta(hours=1))
    few = queries()
    for number in range(3, 6):
        round_trip(strategy(f"s{number}"), "AAPL", str(10 + number), "110", TUESDAY, timedelta(hours=1))
    assert queries() == few


def test_a_chart_has_round_numbers_and_stays_in_its_picture() -> None:
    told = [(BEGIN + timedelta(hours=hour), D(value)) for hour, value in enumerate(("9987", "10112", "10034"))]
    drawn = chart(told, D(9987), D(10112), "words", "")
    assert drawn is not None
    assert [mark.label for mark in drawn.up] == ["10,000", "10,050", "10,100"]
    assert drawn.line == "0.0,100.0 50.0,0.0 100.0,62.4"
    assert drawn.along[0].label == "07-20 20:00"
    assert drawn.along[-1].at == 100.0


def test_a_flat_curve_is_drawn_and_one_moment_is_not() -> None:
    flat = chart([(BEGIN, D(100)), (BEGIN + timedelta(days=30), D(100))], D(100), D(100), "", " %")
    assert flat is not None
    assert flat.line == "0.0,50.0 100.0,50.0"
    assert flat.along[-1].label == "2020-08-19"
    back = chart([(BEGIN, D(1)), (BEGIN - timedelta(days=9), D(2))], D(1), D(2), "", "")
    assert back is not None
    assert back.line == "100.0,100.0 0.0,0.0"
    assert chart([(BEGIN, D(0)), (BEGIN, D(0))], D(0), D(0), "", "") is None
    zero = chart([(BEGIN, D(0)), (BEGIN + timedelta(days=1), D(0))], D(0), D(0), "", "")
    assert zero is not None
    assert len(zero.up) >= 2
