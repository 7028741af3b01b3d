"""The pages of strategies: what is set up, when it is due, what it did, and who may turn it on, off or run it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from autotrader.core import audit
from autotrader.core.users.models import User
from tests.trading.builders import D, bought, cost, deliver, fill, report, strategy
from tests.trading_admin.story import tell
from tests.web.test_cycles import EVIL, person, queries, shown
from trading.models import Cycle, Strategy
from trading.selectors.pages import strategies as selectors
from trading.selectors.pages.strategies import schedule_of, strategies_page, strategy_trades, timeframes
from trading.services.cycles import cycle_queue
from trading.services.demo import demo_seed
from trading.services.strategies import strategy_save
from trading.services.suspensions import strategy_suspend

pytestmark = pytest.mark.django_db
VIEW, CHANGE, RUN, RESUME = (
    "trading.view_strategy",
    "trading.change_strategy",
    "trading.run_cycle",
    "trading.resume_strategy",
)
CYCLE, EXECUTION, TRADE = "trading.view_cycle", "trading.view_workflowexecution", "trading.view_trade"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def suspended() -> Strategy:
    row = demo_seed()
    with audit.recording():
        strategy_suspend(row.pk, f"TOO_MANY_ORDERS_TODAY: {EVIL}", market_at=None)
    return row


# Who may look


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("strategies", VIEW), ("strategies_now", VIEW), ("strategy", VIEW), ("strategy_head", VIEW),
        ("strategy_work", EXECUTION), ("strategy_trades", TRADE),
    ],
)  # fmt: skip
def test_only_who_may_look_sees_it(name: str, wanted: str) -> None:
    pk = demo_seed().pk
    address = reverse(name, args=[] if "strategies" in name else [pk])
    assert Client().get(address)["Location"].startswith(reverse("login"))
    assert person("trading.view_order").get(address).status_code == 403
    assert person(wanted).get(address).status_code == 200
    assert person(wanted).put(address).status_code == 405


@pytest.mark.parametrize("name", ["strategy", "strategy_head", "strategy_work", "strategy_trades"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    assert person(VIEW, EXECUTION, TRADE).get(reverse(name, args=[10**17])).status_code == 404


@pytest.mark.parametrize("name", ["strategy_run", "strategy_switch", "strategy_resume"])
def test_what_is_not_there_is_not_changed(name: str) -> None:
    assert person(VIEW, CHANGE, RUN, RESUME).post(reverse(name, args=[10**17])).status_code == 404


# The list


def test_an_empty_list_says_what_to_do_next() -> None:
    assert "trading.add_strategy sets one up" in shown(person(VIEW), "strategies")
    assert reverse("admin:trading_strategy_add") in shown(
        person(VIEW, "trading.add_strategy", staff=True), "strategies"
    )


def test_the_list_says_what_each_runs_when_and_what_it_did() -> None:
    told = tell("buy")
    strategy("quiet", ("AAPL", "IBM", "SPY", "MSFT", "NVDA", "AMD"), enabled=False, interval_seconds=0, mode="approve")
    page = shown(person(VIEW, CYCLE), "strategies")
    assert "1 day bars over 2 years" in page
    assert "1 week bars over 5 years" in page
    assert "AAPL, IBM, SPY" in page
    assert "and 2 more" in page
    assert "never by schedule" in page
    assert "begins only when somebody runs it" in page
    assert "due now; begins when a worker looks" in page
    assert reverse("cycle", args=[told.execution.cycle_id]) in page
    assert "ordered</span> 1" in page
    assert 'data-panel="strategies cycles"' in page
    assert reverse("cycle", args=[told.execution.cycle_id]) not in shown(person(VIEW), "strategies")


def test_a_strategy_without_instruments_is_told() -> None:
    row = strategy("bare", ())
    assert "add at least one, or no cycle begins" in shown(person(VIEW), "strategies")
    page = shown(person(VIEW, RUN), "strategy", row.pk)
    assert "No cycle can begin. It has no instruments" in page
    assert reverse("strategy_run", args=[row.pk]) not in page


def test_a_suspension_is_told_and_its_reason_escaped() -> None:
    row = suspended()
    for name, args in (("strategies", []), ("strategy", [row.pk])):
        page = shown(person(VIEW), name, *args)
        assert "suspended" in page
        assert "TOO_MANY_ORDERS_TODAY: &lt;script&gt;" in page
        assert EVIL not in page


@pytest.mark.parametrize(
    ("seconds", "enabled", "words", "due"),
    [
        (3600, True, "every hour", NOW),
        (7200, True, "every 2 hours", NOW + timedelta(hours=1)),
        (90, True, "every 90 seconds", NOW - timedelta(seconds=3510)),
        (0, True, "never by schedule", None),
        (3600, False, "every hour", None),
        (None, True, "every 5 minutes, as the desk is set", NOW - timedelta(minutes=55)),
    ],
)
def test_the_next_cycle_is_due_an_interval_after_the_last(
    settings: Any, seconds: int | None, enabled: bool, words: str, due: datetime | None
) -> None:
    settings.AUTOTRADER_CYCLE_INTERVAL_SECONDS = 300
    row = Strategy(name="s", enabled=enabled, interval_seconds=seconds)
    told = schedule_of(row, NOW - timedelta(hours=1), NOW)
    assert (told.words, told.due) == (words, due)
    assert told.is_due == (due is not None and due <= NOW)


def test_only_a_scheduled_cycle_moves_the_schedule(settings: Any) -> None:
    settings.AUTOTRADER_CYCLE_INTERVAL_SECONDS = 300
    row = demo_seed()
    cycle_queue(strategies=[row], trigger="manual", actor="ann", wake=False)
    assert strategies_page(NOW)[0].schedule.last is None
    cycle = cycle_queue(strategies=[row], trigger="schedule", actor="schedule", wake=False)
    line = strategies_page(NOW)[0]
    assert line.schedule.last == cycle.created_at
    assert line.schedule.due == cycle.created_at + timedelta(seconds=300)
    assert line.last is not None
    assert line.last.cycle == cycle


def test_charts_are_told_in_words() -> None:
    assert timeframes({"period_1": "1 Y", "bar_1": "1 day", "bar_2": "1 hour", "period_3": "odd", "x": 1}) == [
        "1 day bars over 1 year",
        "1 hour bars",
        "bars of the workflow's size over odd",
    ]
    assert timeframes(None) == timeframes({"period_x": 1, "bar": 2}) == []


# One strategy


def test_a_page_with_all_that_is_set_up() -> None:
    row = demo_seed()
    row.parameters = {**row.parameters, "min_strength": "0.5"}
    strategy_save(row, actor="test")
    page = shown(person(VIEW, "trading.view_riskprofile"), "strategy", row.pk)
    for words in ("1 day bars over 2 years", "min strength", "Two indicators v1", "check session", "validate risk"):
        assert words in page
    assert "timeframes 1, 2" in page
    assert "min bars 200, 100" in page
    assert "AAPL, IBM, SPY" in page
    assert "risk per trade" in page
    assert "risk per trade" not in shown(person(VIEW), "strategy", row.pk)


def test_a_page_of_a_strategy_that_did_nothing() -> None:
    row = demo_seed()
    page = shown(person(VIEW, CYCLE, TRADE), "strategy", row.pk)
    assert "It has not run yet." in page
    assert "It holds nothing by our records." in page
    assert "It has not traded yet." in page


def test_a_page_shows_what_it_did_and_holds() -> None:
    told = tell("buy")
    row = told.execution.strategy
    page = shown(person(VIEW, CYCLE, EXECUTION, TRADE), "strategy", row.pk)
    assert reverse("execution", args=[told.execution.pk]) in page
    assert told.orders[0].order_ref in page
    assert "410" in page
    assert "by our records" in page
    assert "Results in DU1234567" in page
    assert "no trade was closed" in page
    few = shown(person(VIEW), "strategy", row.pk)
    assert "Results" not in few
    assert told.orders[0].order_ref not in few


def test_a_closed_trade_makes_the_results() -> None:
    entry, _, target = bought()
    sold = fill(target, "10", "110")
    deliver(sold, cost(sold), report(target, "Filled", "10"))
    assert entry.strategy is not None
    told = strategy_trades(entry.strategy.pk)
    assert not told.open
    assert [(result.trades.count, result.trades.net) for result in told.results] == [(1, D(98))]
    page = shown(person(VIEW, TRADE), "strategy", entry.strategy.pk)
    assert "+98.00" in page
    assert "100 %" in page.replace("\N{NO-BREAK SPACE}", " ").replace("100.00", "100")
    assert "because no trade lost" in page


def test_more_ledgers_than_are_shown_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "SHOWN_LEDGERS", 0)
    entry = bought()[0]
    assert entry.strategy is not None
    told = strategy_trades(entry.strategy.pk)
    assert (told.results, told.others, told.uncounted) == ([], ["DU1234567"], 0)
    page = shown(person(VIEW, TRADE, "trading.view_accountsnapshot"), "strategy", entry.strategy.pk)
    assert "It also traded in" in page
    assert f"?account=DU1234567&amp;strategy={entry.strategy.name}" in page
    assert "It has not traded yet" not in page
    assert "?account=" not in shown(person(VIEW, TRADE), "strategy", entry.strategy.pk)
    monkeypatch.setattr(selectors, "NAMED_LEDGERS", 0)
    told = strategy_trades(entry.strategy.pk)
    assert (told.others, told.uncounted) == ([], 1)
    assert "1 more ledger" in shown(person(VIEW, TRADE), "strategy", entry.strategy.pk)


def test_more_strategies_than_a_page_holds_stand_on_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "MOST", 2)
    for name in ("a1", "b2", "c3", "d4", "e5"):
        strategy(name)
    client = person(VIEW)
    first = client.get("/strategies/").content.decode()
    assert "Strategies 1 to 2 of 5, by name." in first
    assert "c3" not in first
    assert 'href="/strategies/?page=2"' in first
    last = client.get("/strategies/?page=3").content.decode()
    assert "Strategies 5 to 5 of 5" in last
    assert 'hx-get="/panels/strategies/?page=3"' in last
    assert "The next ones" not in last
    assert "e5" in client.get("/panels/strategies/?page=99").content.decode()
    for odd in ("0", "-1", "x", "9" * 30):
        assert "Strategies 1 to 2 of 5" in client.get("/strategies/", {"page": odd}).content.decode()
    monkeypatch.setattr(selectors, "MOST", 5)
    assert "by name." not in client.get("/strategies/").content.decode()


def test_names_and_parameters_are_escaped() -> None:
    row = demo_seed()
    row.name, row.parameters = EVIL, {"note": EVIL, "bar_1": EVIL}
    strategy_save(row, actor="test")
    for name, args in (("strategies", []), ("strategy", [row.pk])):
        page = shown(person(VIEW, CYCLE, TRADE, RUN, CHANGE), name, *args)
        assert "&lt;script&gt;" in page
        assert EVIL not in page


# Buttons


def test_who_may_only_look_has_no_button() -> None:
    row = demo_seed()
    client = person(VIEW)
    page = shown(client, "strategy", row.pk)
    for name in ("strategy_run", "strategy_switch", "strategy_resume"):
        address = reverse(name, args=[row.pk])
        assert address not in page
        assert client.post(address, {"enabled": "no"}).status_code == 403
        assert client.get(address).status_code == 405
        assert Client().post(address).status_code == 302
    assert not Cycle.objects.exists()
    assert Strategy.objects.get(pk=row.pk).version == row.version
    guarded = Client(enforce_csrf_checks=True)
    guarded.force_login(User.objects.create_superuser("boss", password="x"))
    assert guarded.post(reverse("strategy_run", args=[row.pk])).status_code == 403


def test_the_form_of_the_admin_is_for_staff_who_may_change_it() -> None:
    row = demo_seed()
    form = reverse("admin:trading_strategy_change", args=[row.pk])
    assert form in shown(person(VIEW, CHANGE, staff=True), "strategy", row.pk)
    assert form not in shown(person(VIEW, CHANGE), "strategy", row.pk)
    assert form not in shown(person(VIEW, RUN, staff=True), "strategy", row.pk)


def test_run_now_leads_to_the_new_cycle() -> None:
    row = demo_seed()
    client = person(VIEW, RUN, CYCLE)
    assert reverse("strategy_run", args=[row.pk]) in shown(client, "strategy", row.pk)
    answer = client.post(reverse("strategy_run", args=[row.pk]), {"version": row.version})
    cycle = Cycle.objects.get()
    assert answer["Location"] == reverse("cycle", args=[cycle.pk])
    assert (cycle.trigger, cycle.dry_run, cycle.executions.count()) == ("manual", False, 3)
    page = client.get(answer["Location"]).content.decode()
    assert "is queued; a worker takes it up" in page
    client.post(reverse("strategy_run", args=[row.pk]), {"dry_run": "yes", "version": row.version})
    assert Cycle.objects.order_by("-id")[0].dry_run


def test_who_may_not_see_cycles_stays_on_the_page() -> None:
    row = demo_seed()
    answer = person(VIEW, RUN).post(reverse("strategy_run", args=[row.pk]), {"version": row.version})
    assert answer["Location"] == reverse("strategy", args=[row.pk])
    assert Cycle.objects.count() == 1


def test_what_cannot_run_says_why() -> None:
    row = strategy("bare", ())
    told = {"version": row.version}
    answer = person(VIEW, RUN, CYCLE).post(reverse("strategy_run", args=[row.pk]), told, follow=True)
    assert "has no instruments; add at least one" in answer.content.decode()
    assert not Cycle.objects.exists()


def test_it_is_turned_off_and_on() -> None:
    row = demo_seed()
    client, address = person(VIEW, CHANGE), reverse("strategy_switch", args=[row.pk])
    off = client.post(address, {"enabled": "no"}, follow=True).content.decode()
    assert "demo is off" in off
    assert "Turn on" in off
    row.refresh_from_db()
    assert (row.enabled, row.version) == (False, 2)
    assert "off: no cycle begins by itself" in shown(person(VIEW), "strategies")
    client.post(address, {"enabled": "yes", "version": row.version})
    row.refresh_from_db()
    assert row.enabled


def test_what_cannot_be_on_says_why() -> None:
    row = strategy("bare", (), enabled=False)
    told = {"enabled": "yes", "version": row.version}
    answer = person(VIEW, CHANGE).post(reverse("strategy_switch", args=[row.pk]), told, follow=True)
    assert "needs at least one instrument" in answer.content.decode()
    row.refresh_from_db()
    assert not row.enabled


def test_who_may_resumes_it_with_a_reason() -> None:
    row = suspended()
    row.refresh_from_db()
    client, address = person(VIEW, RESUME), reverse("strategy_resume", args=[row.pk])
    assert address in shown(client, "strategy", row.pk)
    for reason in ("", "  ", "x" * 501, "a\x00"):
        told = {"reason": reason, "version": row.version}
        assert "Say why" in client.post(address, told, follow=True).content.decode()
    told = {"reason": "looked", "version": row.version}
    assert "may enter again" in client.post(address, told, follow=True).content.decode()
    row.refresh_from_db()
    assert row.suspended_at is None
    told = {"reason": "again", "version": row.version}
    assert "is not suspended" in client.post(address, told, follow=True).content.decode()


def test_a_button_pressed_twice_is_one_cycle() -> None:
    row = demo_seed()
    client, address = person(VIEW, RUN, CYCLE), reverse("strategy_run", args=[row.pk])
    told = {"version": row.version, "key": "6f1c1d9ad3a94d8d9f4f5a0a3f0c5a11"}
    answers = [client.post(address, told)["Location"] for _ in range(2)]
    assert answers == [reverse("cycle", args=[Cycle.objects.get().pk])] * 2
    strategy_save(row, actor="somebody else")
    assert client.post(address, told)["Location"] == answers[0], "it was started already, at the version that was seen"
    dry = told | {"dry_run": "yes", "version": Strategy.objects.get().version}
    assert "has started another cycle" in client.post(address, dry, follow=True).content.decode()
    assert Cycle.objects.count() == 1


def test_each_button_of_a_page_has_a_key_of_its_own() -> None:
    row = demo_seed()
    keys = re.findall(r'name="key" value="(\w+)"', shown(person(VIEW, RUN), "strategy", row.pk))
    assert len(set(keys)) == len(keys) == 2


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("run", {}, "read it again"), ("switch", {"enabled": "yes"}, "was changed meanwhile"),
        ("resume", {"reason": "looked"}, "was changed meanwhile"),
    ],
)  # fmt: skip
def test_a_page_of_another_version_starts_nothing(name: str, told: dict[str, str], words: str) -> None:
    row = demo_seed()
    address = reverse(f"strategy_{name}", args=[row.pk])
    client = person(VIEW, RUN, CHANGE, RESUME)
    for version in ({}, {"version": row.version + 1}, {"version": "9" * 5000}, {"version": "²"}):
        assert words in client.post(address, told | version, follow=True).content.decode()
    assert not Cycle.objects.exists()


# The cost of looking


def test_the_number_of_queries_does_not_grow() -> None:
    row = tell("buy").execution.strategy
    client = person(VIEW, CYCLE, EXECUTION, TRADE, RUN)
    counted = {name: queries(client, name, *args) for name, args in (("strategies", []), ("strategy", [row.pk]))}
    for number in range(20):
        other = strategy(f"s{number}", ("AAPL", "IBM", "SPY"))
        cycle_queue(strategies=[row, other], trigger="schedule", actor="schedule", wake=False)
    assert queries(client, "strategies") <= counted["strategies"]
    assert queries(client, "strategy", row.pk) <= counted["strategy"] + 1  # their versions are read once for all
