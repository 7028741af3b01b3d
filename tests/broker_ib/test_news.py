"""News, reports and calendars: text that others wrote, cleaned and read with care."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from broker.errors import MarketDataError
from broker.ib.documents import parse_xml
from broker.ib.fundamentals import events_in, events_of
from broker.ib.news import plain_headline
from tests.broker_ib.test_hours import SPY


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


@pytest.mark.parametrize("text", ["{", "3", '"text"'])
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
