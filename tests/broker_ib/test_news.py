"""News, reports and calendars: text that others wrote, cleaned and read with care."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from broker.errors import MarketDataError
from broker.ib.documents import parse_xml
from broker.ib.fundamentals import events_in, events_of
from broker.ib.news import plain_headline
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, TIMEOUT, Desk
from tests.broker_ib.test_hours import SPY
from tests.support import in_threads


@pytest.mark.parametrize(
    ("raw", "plain", "sentiment"),
    [
        ("{A:800015:L:en}Shares rise", "Shares rise", None),
        ("{A:800015:L:en:K:0.97:C:0.99}!Shares rise", "Shares rise", Decimal("0.97")),
        ("{A:800015:L:en:K:n/a:C:0.9665}Shares &amp; bonds", "Shares & bonds", None),
        ("{A:800015:L:en:K:-0.5}", "", Decimal("-0.5")),
        ("Shares {A:1} rise", "Shares {A:1} rise", None),
        ("{no metadata} at all", "{no metadata} at all", None),
        ("two\nlines\x00 &lt;b&gt;", "two lines <b>", None),
    ],
)
def test_a_headline_without_its_metadata(raw: str, plain: str, sentiment: Decimal | None) -> None:
    assert plain_headline(raw) == (plain, sentiment)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>',
        '<?xml version="1.0"?><!doctype r SYSTEM "file:///etc/passwd"><r/>',
        "<r><!ENTITY x></r>",
        "<r>",
        "no xml",
        "",
    ],
)
def test_xml_that_could_name_anything_outside_itself_is_not_read(text: str) -> None:
    with pytest.raises(MarketDataError) as caught:
        parse_xml(text, "the report")
    assert caught.value.reason == "UNREADABLE"


def test_plain_xml_is_read() -> None:
    assert parse_xml('<?xml version="1.0" encoding="UTF-8"?><r><a>1</a></r>', "the report").findtext("a") == "1"


def release(day: date, time: str, *, confirmed: bool, period: str = "") -> types.EarningsEvent:
    return types.EarningsEvent(7, "SPY", day, time, confirmed, period)


def event(kind: str = "wshe_ed", **data: Any) -> dict[str, Any]:
    return {"event_type": kind, "conids": ["7"], "data": data}


def test_earnings_of_the_event_calendar() -> None:
    rows = [
        event(earnings_date="20261012", wshe_earnings_date_status="CONFIRMED", time_of_day="BEFORE MARKET"),
        event(earnings_date="20260713", time_of_day="AFTER MARKET", quarter=2, fiscal_year=2026),
        event("wshe_fq", earnings_date="20270111", wshe_earnings_date_status="INFERRED", time_of_day="UNSPECIFIED"),
        event("wshe_div", ex_div_date="20260801"),
        event(earnings_date="tomorrow"),
        "no event",
    ]
    assert events_of(json.dumps(rows), SPY) == [
        release(date(2026, 10, 12), "before open", confirmed=True),
        release(date(2026, 7, 13), "after close", confirmed=False, period="Q2 2026"),
        release(date(2027, 1, 11), "", confirmed=False),
    ]


def test_an_empty_calendar() -> None:
    assert events_of("", SPY) == []
    assert events_of("[]", SPY) == []


@pytest.mark.parametrize("text", ["{", "3", '"text"', "[" * 200_000])
def test_a_calendar_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(MarketDataError):
        events_of(text, SPY)


def test_earnings_of_a_calendar_report() -> None:
    text = (
        "<WSHData><EarningsList>"
        "<Earnings><Date>10/12/2026</Date><Etime>Before Market</Etime><Status>Confirmed</Status>"
        "<Period>Q3 2026</Period></Earnings>"
        "<Earnings><Date>2026-07-13</Date></Earnings><Earnings><Date>soon</Date></Earnings>"
        "</EarningsList><Dividend><Date>2026-08-01</Date></Dividend></WSHData>"
    )
    assert events_in(parse_xml(text, "the report"), SPY) == [
        release(date(2026, 10, 12), "before open", confirmed=True, period="Q3 2026"),
        release(date(2026, 7, 13), "", confirmed=False),
    ]


# Through the socket


def read(desk: Desk, name: str, query: Any = None) -> Any:
    contract = desk.contract()
    return desk.client.read(name, query or types.ConId(contract.con_id), TIMEOUT, [contract])


def news(desk: Desk, **changes: Any) -> tuple[types.Headline, ...]:
    found: tuple[types.Headline, ...] = read(desk, "headlines", types.HeadlinesQuery(desk.contract().con_id, **changes))
    return found


def test_providers(desk: Desk) -> None:
    found = read(desk, "news_providers", types.Nothing())
    assert found
    assert all(provider.code and provider.name for provider in found)


def test_callers_share_the_request_for_providers(desk: Desk) -> None:
    answers = in_threads([lambda: read(desk, "news_providers", types.Nothing())] * 8, threads=8)
    assert all(answer == answers[0] for answer in answers)


def test_headlines_newest_first_and_their_articles(desk: Desk) -> None:
    found = news(desk, limit=20)
    assert 0 < len(found) <= 20
    times = [headline.time for headline in found]
    assert times == sorted(times, reverse=True)
    assert times[0] <= CLOSE
    assert all(headline.headline and not headline.headline.startswith("{") for headline in found)
    first = found[0]
    article: types.Article = read(desk, "article", types.ArticleQuery(first.provider, first.article_id))
    assert (article.provider, article.article_id) == (first.provider, first.article_id)
    assert article.kind in ("text", "html")
    assert article.text


def test_headlines_of_a_time_and_of_providers(desk: Desk) -> None:
    everything = news(desk, limit=300)
    middle = everything[len(everything) // 2]
    since, until = middle.time - timedelta(days=30), middle.time
    found = news(desk, limit=300, since=since, until=until, providers=(middle.provider,))
    assert middle in found
    assert all(since <= headline.time <= until for headline in found)
    assert {headline.provider for headline in found} == {middle.provider}


@pytest.mark.parametrize("limit", [0, 301])
def test_no_more_headlines_than_the_broker_gives_at_once(desk: Desk, limit: int) -> None:
    with pytest.raises(MarketDataError) as caught:
        news(desk, limit=limit)
    assert caught.value.details == {"field": "limit"}


@pytest.mark.parametrize("query", [types.ArticleQuery("", "X"), types.ArticleQuery("BRFG", "")])
def test_an_article_needs_both_its_names(desk: Desk, query: types.ArticleQuery) -> None:
    with pytest.raises(MarketDataError) as caught:
        read(desk, "article", query)
    assert caught.value.reason == "BAD_REQUEST"


def test_an_article_that_is_not_there(desk: Desk) -> None:
    with pytest.raises(MarketDataError) as caught:
        read(desk, "article", types.ArticleQuery("BRFG", "BRFG$none"))
    assert caught.value.details["broker_code"]


@pytest.mark.parametrize("report", ["ReportSnapshot", "ReportsFinSummary", "ReportsFinStatements", "RESC"])
def test_reports(desk: Desk, report: Any) -> None:
    found: types.Fundamentals = read(desk, "fundamentals", types.FundamentalsQuery(desk.contract().con_id, report))
    assert (found.symbol, found.report) == ("AAPL", report)
    assert parse_xml(found.xml, report) is not None
    if report == "ReportSnapshot":
        assert dict(found.ratios)
        assert all(value != "-99999.99" for _, value in found.ratios)


def test_a_contract_without_reports(desk: Desk) -> None:
    (pair,) = desk.client.read("contracts", types.ContractQuery("EUR", "CASH"), TIMEOUT)
    with pytest.raises(MarketDataError) as caught:
        desk.client.read("fundamentals", types.FundamentalsQuery(pair.con_id), TIMEOUT, [pair])
    assert caught.value.details["broker_code"]


def test_earnings_past_and_to_come(desk: Desk) -> None:
    found: tuple[types.EarningsEvent, ...] = read(desk, "earnings")
    days = [event.day for event in found]
    assert days == sorted(set(days))
    assert days[0] < CLOSE.date() < days[-1]
    assert {event.con_id for event in found} == {desk.contract().con_id}


@pytest.mark.parametrize("kind", ["reqWshMetaData", "reqWshEventData"])
def test_without_the_event_calendar_the_report_tells_earnings(desk: Desk, gateway: EmbeddedGateway, kind: str) -> None:
    calendar = read(desk, "earnings")
    gateway.fault("refuse", kinds=(kind,), code=10276, text="News feed is not allowed.")
    report = read(desk, "earnings")
    assert report
    assert {event.day for event in report} & {event.day for event in calendar}


def test_without_both_there_are_no_earnings(desk: Desk, gateway: EmbeddedGateway) -> None:
    kinds = ("reqWshMetaData", "reqFundamentalData")
    gateway.fault("refuse", kinds=kinds, code=10276, text="News feed is not allowed.")
    with pytest.raises(MarketDataError) as caught:
        read(desk, "earnings")
    assert caught.value.details["broker_code"] == 10276
