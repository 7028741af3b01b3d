"""The pages about decisions: the list, the story, and the charts as data."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from autotrader.core.users.models import User
from broker import types
from research.models import ModelCall
from tests.trading.asking import asked
from tests.trading_admin.story import MARKET, Told, tell
from trading.models import Analysis, Decision, Fill, Instrument, StepRun, Trade
from trading.selectors.pages.decisions import chart_facts
from trading.services.bars import bars_load, bars_store
from trading.web.charts import chart_data, marks, unit_of

pytestmark = [pytest.mark.django_db, pytest.mark.once]
VIEW = "view_decision"
CHARTS, VERDICTS, CALLS = (VIEW, "view_analysis"), "view_riskverdict", "view_modelcall"
OUTCOME = ("view_order", "view_fill", "view_trade")
LIST = "/decisions/"
People = Callable[..., Client]


@pytest.fixture
def people(db: None) -> People:
    """A client of somebody who is no staff, with these permissions."""

    def make(*names: str) -> Client:
        user = User.objects.create_user(f"user{User.objects.count()}", password="x")
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        return client

    return make


def page_of(told: Told) -> str:
    return reverse("decision", args=[told.decision.pk])


def bars_of(told: Told, timeframe: int = 1) -> str:
    analysis = Analysis.objects.get(execution=told.execution, timeframe=timeframe)
    return reverse("decision_bars", args=[told.decision.pk, analysis.pk])


def test_the_list_without_a_decision_says_what_to_do(people: People) -> None:
    page = people(VIEW).get(LIST).content.decode()
    assert "Nothing has been decided yet" in page


def test_the_list_shows_and_narrows(people: People) -> None:
    bought, held = tell("buy"), tell("hold", "IBM")
    client = people(VIEW)
    whole = client.get(LIST).content.decode()
    assert whole.index(page_of(held)) < whole.index(page_of(bought))
    assert "timeframes point in opposite directions" in whole
    for query in ("symbol=aapl", "type=buy", "state=ALLOWED", f"strategy={bought.decision.strategy.name}&type=buy"):
        page = client.get(f"{LIST}?{query}").content.decode()
        assert page_of(bought) in page, query
        assert page_of(held) not in page, query
    assert "No decision is like that" in client.get(f"{LIST}?symbol=NONE").content.decode()
    assert client.get(f"{LIST}?before=x").status_code == 404


def test_the_list_goes_on_to_older_ones(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading.selectors.pages.decisions.SHOWN", 1)
    bought, held = tell("buy"), tell("hold", "IBM")
    client = people(VIEW)
    first = client.get(LIST).content.decode()
    assert page_of(held) in first
    assert page_of(bought) not in first
    older = f"{LIST}?before={held.decision.pk}"
    assert f'href="{older}"' in first
    second = client.get(older).content.decode()
    assert page_of(bought) in second
    assert 'data-panel="decisions"' not in second


def test_the_list_takes_as_many_queries_for_three_as_for_one(people: People) -> None:
    client = people(VIEW)
    counts = []
    for symbol in ("AAPL", "IBM", "SPY"):
        tell("refused", symbol)
        with CaptureQueriesContext(connection) as made:
            client.get(LIST)
        counts.append(len(made))
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.parametrize("kind", ["buy", "refused", "hold"])
def test_the_page_tells_the_story(people: People, kind: str) -> None:
    told = tell(kind)
    page = people(*CHARTS, VERDICTS, CALLS, "view_steprun", *OUTCOME).get(page_of(told)).content.decode()
    for part in (
        "headline",
        "charts",
        "numbers",
        "verdicts",
        "result",
        "orders",
        "analyses",
        "model-calls",
        "again",
        "steps",
    ):
        assert f'id="{part}"' in page, part
    assert bars_of(told) in page
    assert "No model was asked: rules-v1 decided." in page
    if kind == "buy":
        assert all(order.order_ref in page for order in told.orders)
        assert f'data-about="{told.execution.correlation_id}"' in page
        assert "/admin/" not in page
    else:
        assert "No order: the decision was" in page


def test_events_are_for_who_may_see_them(people: People) -> None:
    told = tell("buy")
    assert 'id="events"' not in people(VIEW).get(page_of(told)).content.decode()
    assert 'id="events"' in people(VIEW, "view_event").get(page_of(told)).content.decode()


@pytest.mark.parametrize("part", ["outcome", "course"])
def test_the_parts_renew_themselves(people: People, part: str) -> None:
    told = tell("buy")
    client = people(VIEW, "view_event")
    inner = client.get(reverse("decision_part", args=[told.decision.pk, part])).content.decode()
    whole = client.get(page_of(told)).content.decode()
    assert "<html" not in inner
    assert inner.strip() in whole


def test_who_may_not_see_decisions(people: People) -> None:
    told = tell("buy")
    nobody, stranger = Client(), people("view_order")
    for path in (LIST, page_of(told), bars_of(told), bars_of(told).replace("bars", "chart").replace("json", "png")):
        assert nobody.get(path).status_code == 302, path
        assert stranger.get(path).status_code == 403, path
        assert stranger.post(path).status_code == 405, path


def test_what_is_not_there_is_not_found(people: People) -> None:
    bought, held = tell("buy"), tell("hold", "IBM")
    client = people(*CHARTS)
    other = bars_of(held).replace(f"/{held.decision.pk}/", f"/{bought.decision.pk}/", 1)
    whole = reverse(
        "decision_bars", args=[bought.decision.pk, Analysis.objects.get(execution=bought.execution, timeframe=0).pk]
    )
    for path in ("/decisions/999/", other, whole, f"{page_of(bought)}else/"):
        assert client.get(path).status_code == 404, path


def test_words_from_outside_are_escaped(people: People) -> None:
    evil = "<script>alert(1)</script>"
    told = tell("hold", rationale=evil, summary=evil)
    client = people(VIEW)
    for path in (LIST, page_of(told)):
        page = client.get(path).content.decode()
        assert evil not in page
        assert "&lt;script&gt;alert(1)" in page


def test_a_model_call_is_shown_folded_with_what_it_cost(people: People) -> None:
    told = tell("hold")
    request = json.dumps([{"role": "user", "content": "<img src=x onerror=alert(1)>"}])
    call = ModelCall.objects.create(
        purpose="decide", prompt_name="desk", prompt_version="7", prompt_hash="h", model="a-model", request=request,
        answer="<b>hold</b>", tokens_in=1200, tokens_out=34, cost=Decimal("0.0123"), latency_ms=850, state="DONE",
        cache_key="k", created_at=MARKET,
    )  # fmt: skip
    Decision.objects.update(model_calls=[call.pk])
    page = people(VIEW, CALLS).get(page_of(told)).content.decode()
    for words in ("a-model", "1,200 / 34", "0.0123 USD", "850 ms", "&lt;b&gt;hold&lt;/b&gt;", "&lt;img src=x onerror"):
        assert words in page, words
    assert "<details open" not in page
    assert "<img src=x" not in page
    outcome = reverse("decision_part", args=[told.decision.pk, "outcome"])
    for path in (page_of(told), outcome):
        assert "<dt>Model calls</dt><dd>0.0123 USD" in people(VIEW, CALLS).get(path).content.decode()
        page = people(VIEW, "view_analysis", VERDICTS, *OUTCOME).get(path).content.decode()
        assert not [words for words in ("Model calls", "model-calls", "a-model", "0.0123") if words in page], path


def test_verdicts_are_for_who_may_see_them(people: People) -> None:
    told = tell("refused")
    assert 'id="verdicts"' not in people(*CHARTS).get(page_of(told)).content.decode()
    assert 'id="verdicts"' in people(VIEW, VERDICTS).get(page_of(told)).content.decode()


def test_an_approval_is_part_of_the_story(people: People) -> None:
    approval = asked()
    assert approval.decision_id is not None
    path = reverse("decision", args=[approval.decision_id])
    link = reverse("approval", args=[approval.pk])
    for may in ("view_approval", "approve_order"):
        page = people(VIEW, may).get(path).content.decode()
        assert 'id="approval"' in page
        assert link in page
    page = people(VIEW).get(path).content.decode()
    assert 'id="approval"' not in page
    assert link not in page


def test_each_part_of_the_outcome_is_for_who_may_see_it(people: People) -> None:
    told = tell("buy")
    parts = {
        "view_order": ('id="orders"', "<dt>Orders</dt>", told.orders[0].order_ref),
        "view_trade": ('id="trades"', "<dt>Realised P&amp;L</dt>"),
        "view_fill": ("<dt>Commissions</dt>",),
    }
    for path in (page_of(told), reverse("decision_part", args=[told.decision.pk, "outcome"])):
        alone = people(VIEW).get(path).content.decode()
        assert 'id="result"' in alone
        assert not [words for some in parts.values() for words in (*some, 'id="fills"') if words in alone]
        for name, words in parts.items():
            page = people(VIEW, name).get(path).content.decode()
            assert [word in page for some in parts.values() for word in some] == [
                word in words for some in parts.values() for word in some
            ], name
        assert 'id="fills"' in people(VIEW, *OUTCOME).get(path).content.decode()
    outcome = reverse("decision_part", args=[told.decision.pk, "outcome"])
    person = User.objects.create_user("viewer", password="x")
    person.groups.add(Group.objects.get(name="viewer"))
    client = Client()
    client.force_login(person)
    page = client.get(outcome).content.decode()
    assert all(word in page for some in parts.values() for word in (*some, 'id="fills"'))


def test_a_result_is_told_once_every_commission_is_known(people: People) -> None:
    told = tell("buy")
    client = people(VIEW, *OUTCOME)

    def shown() -> str:
        return client.get(page_of(told)).content.decode()

    assert "nothing has been closed yet" in shown()
    Trade.objects.update(state="CLOSED", pnl=Decimal("12.5"), closed_at=MARKET)
    page = shown()
    assert page.count(">+12.50</span> USD") == 2
    assert "closed trades, after all commissions" in page
    Fill.objects.update(commission=None)
    page = shown()
    assert page.count("commission awaited") == 2
    assert page.count("+12.50") == 1, "as what is known before the commission"
    assert "before 1 commission<" in page
    assert "of its own fills; 1 more awaited" in page
    assert "after all commissions" not in page
    Instrument.objects.update(sec_type="FUT")
    page = shown()
    assert "not reckoned: no share" in page
    assert "+12.50" not in page


def test_a_decision_without_bars_says_so(people: People) -> None:
    told = tell("hold")
    Analysis.objects.update(bars=None)
    page = people(*CHARTS).get(page_of(told)).content.decode()
    assert "No bars were kept for this decision" in page
    assert "data-chart=" not in page


def test_the_page_takes_a_fixed_number_of_queries(people: People) -> None:
    told = tell("buy")
    client = people(VIEW, "view_event")
    with CaptureQueriesContext(connection) as few:
        client.get(page_of(told))
    StepRun.objects.bulk_create(
        StepRun(execution=told.execution, index=100 + at, name="more", state="DONE", epoch=1, worker="w", ms=1,
                started_at=told.decision.at, finished_at=told.decision.at) for at in range(20)
    )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        client.get(page_of(told))
    assert len(few) == len(many)


def test_the_chart_holds_the_bars_the_indicators_the_prices_and_the_fills(people: People) -> None:
    told = tell("buy")
    answer = people(*CHARTS, *OUTCOME).get(bars_of(told))
    chart = answer.json()
    analysis = Analysis.objects.get(execution=told.execution, timeframe=1)
    assert analysis.bars is not None
    bars = bars_load(analysis.bars)
    assert chart["close"] == bars.close.tolist()
    assert chart["time"] == bars.time.astype("datetime64[s]").astype(int).tolist()
    assert {len(values) for values in chart["lines"].values()} == {504}
    assert chart["lines"]["sma_slow"][198] is None
    assert chart["lines"]["sma_slow"][199] == pytest.approx(bars.close[:200].mean(), abs=1e-5)
    assert chart["labels"]["sma_slow"] == "SMA 200"
    assert [level["kind"] for level in chart["levels"]] == ["entry", "stop", "target"]
    fill = Fill.objects.get()
    assert [(mark["price"], mark["side"], mark["quantity"]) for mark in chart["fills"]] == [
        (float(fill.price), "BUY", 410)
    ]
    assert chart["levels"][0] == {"kind": "entry", "price": float(fill.price), "words": "filled entry"}


def test_an_unchanged_chart_is_not_sent_again(people: People) -> None:
    told = tell("buy")
    client = people(*CHARTS, *OUTCOME)
    etag = client.get(bars_of(told))["ETag"]
    assert client.get(bars_of(told), headers={"If-None-Match": etag}).status_code == 304
    Fill.objects.update(price=Decimal("400"))
    assert client.get(bars_of(told), headers={"If-None-Match": etag}).status_code == 200


def test_the_picture_is_there_for_who_has_no_script(people: People) -> None:
    told = tell("hold")
    client = people(*CHARTS)
    picture = bars_of(told).replace("/bars/", "/chart/").replace(".json", ".png")
    assert f'<noscript><img class="desk-chart" src="{picture}"' in client.get(page_of(told)).content.decode()
    assert client.get(picture)["Content-Type"] == "image/png"


def test_a_fill_stands_at_the_bar_it_fell_into() -> None:
    told = tell("buy")
    fill = Fill.objects.get()  # Tuesday 2020-07-21 13:30:01 UTC, 09:30:01 in New York
    day = np.array(["2020-07-20", "2020-07-21"], dtype="datetime64[s]").astype(np.int64)
    week = np.array(["2020-07-13", "2020-07-24"], dtype="datetime64[s]").astype(np.int64)
    quarter = np.array(["2020-07-21T09:15", "2020-07-21T09:30", "2020-07-21T09:45"], "datetime64[s]").astype(np.int64)
    for time, unit, slot in (
        (day, "D", day[1]),
        (week, "W", week[1]),
        (quarter, "s", quarter[1]),
        (day[:1], "D", day[1]),
    ):
        (mark,) = marks([fill], time, unit, "America/New_York")
        assert mark["time"] == slot, unit
        assert mark["at"] == "2020-07-21 09:30:01 EDT"
    assert told.orders


def minutes(told: Told, first: str) -> dict[str, Any]:
    """The chart of four bars of a quarter of an hour, from this time (UTC) on, of a share that trades in New York."""
    time = np.datetime64(first, "s") + np.arange(4) * 900
    price = np.array([390.0, 391.0, np.nan, 392.0])
    bars = types.Bars(1, "AAPL", "15 mins", "1 D", time, price, price, price, price, np.full(4, 10.0), MARKET, "test")
    Instrument.objects.update(time_zone="America/New_York")
    Analysis.objects.filter(execution=told.execution, timeframe=1).update(bars=bars_store(bars), bar_size="15 mins")
    facts = chart_facts(told.decision.pk, Analysis.objects.get(execution=told.execution, timeframe=1).pk)
    assert facts is not None
    chart: dict[str, Any] = json.loads(chart_data(facts))
    return chart


def test_bars_of_minutes_show_the_exchange_s_clock() -> None:
    chart = minutes(tell("buy"), "2020-07-21T13:15")
    assert (chart["zone"], chart["intraday"]) == ("America/New_York", True)
    opens = datetime(2020, 7, 21, 9, 15, tzinfo=UTC).timestamp()
    assert chart["time"] == [opens + 900 * at for at in range(4)]
    assert chart["close"] == [390.0, 391.0, None, 392.0]
    assert [mark["time"] for mark in chart["fills"]] == [opens + 900]


def test_bars_over_the_hour_that_comes_twice_keep_utc() -> None:
    chart = minutes(tell("buy"), "2020-11-01T05:30")
    assert chart["zone"] == "UTC"
    assert chart["time"][0] == datetime(2020, 11, 1, 5, 30, tzinfo=UTC).timestamp()


def test_the_length_of_a_bar_is_known_by_its_words() -> None:
    assert [unit_of(size) for size in ("1 month", "1 week", "1 day", "5 mins", "1 hour")] == ["M", "W", "D", "s", "s"]
