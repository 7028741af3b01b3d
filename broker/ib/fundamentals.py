"""Reports on companies and their earnings dates; documents that others wrote, read with care."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from broker import types
from broker.errors import MarketDataError
from broker.ib import requests
from broker.ib.connection import RequestError
from broker.ib.contracts import ib_contract
from broker.ib.documents import parse_xml
from broker.ib.library import ib_insync

if TYPE_CHECKING:
    from broker.ib.reads import Asking

UNSET = "-99999.99"
EARNINGS_TYPES = frozenset({"wshe_ed", "wshe_fq"})  # announced or expected; inferred for later quarters
TIMES = {"BEFORE MARKET": "before open", "AFTER MARKET": "after close", "DURING MARKET": "during hours"}
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})|(\d{1,2})/(\d{1,2})/(\d{4})")


async def fundamentals(asking: Asking, query: types.FundamentalsQuery) -> types.Fundamentals:
    """A report as XML with the ratios in it. Raises MarketDataError where there is none or it cannot be read safely."""
    contract = asking.contract(query.con_id)
    text = await _report(asking, contract, query.report)
    root = parse_xml(text, f"the {query.report} of {contract.symbol}")
    return types.Fundamentals(
        con_id=contract.con_id, symbol=contract.symbol, report=query.report, xml=text, ratios=tuple(_ratios(root))
    )


async def _report(asking: Asking, contract: types.Contract, report: str) -> str:
    client = asking.connection.client

    def send(request_id: int) -> None:
        client.reqFundamentalData(request_id, ib_contract(contract), report, [])

    try:
        text = await requests.answer(asking.connection, send, cancel=client.cancelFundamentalData)
    except RequestError as error:
        raise requests.refused(f"the {report} of {contract.symbol}", error) from error
    if not text:
        raise MarketDataError(f"the broker's {report} of {contract.symbol} is empty")
    return str(text)


def _ratios(root: Element) -> Iterator[tuple[str, str]]:
    """Every ratio that has a value, as the report names it."""
    for ratio in root.iter("Ratio"):
        name = ratio.get("FieldName", "")
        value = (ratio.text or "").strip() or ratio.findtext("Value", "").strip()
        if name and value and value != UNSET:
            yield name, value


async def earnings(asking: Asking, query: types.ConId) -> tuple[types.EarningsEvent, ...]:
    """Earnings releases, oldest first, from the event calendar, or from the report where that is not to be had."""
    contract = asking.contract(query.con_id)
    try:
        found = events_of(await _calendar(asking, contract), contract)
    except RequestError as refused:
        try:
            text = await _report(asking, contract, "CalendarReport")
        except MarketDataError as error:
            text = f"the broker has no earnings dates of {contract.symbol}: {refused.message}; {error.message}"
            raise MarketDataError(text, details={"broker_code": refused.code}) from refused
        found = events_in(parse_xml(text, f"the CalendarReport of {contract.symbol}"), contract)
    by_day = {event.day: event for event in sorted(found, key=lambda event: event.confirmed)}
    return tuple(by_day[day] for day in sorted(by_day))


async def _calendar(asking: Asking, contract: types.Contract) -> str:
    """The event calendar's JSON. Its kinds of events must be asked for first; TWS takes one such request at a time."""
    connection, client = asking.connection, asking.connection.client
    wanted = ib_insync.WshEventData(conId=contract.con_id)
    async with asking.data.calendar:
        await requests.answer(connection, client.reqWshMetaData, cancel=client.cancelWshMetaData)
        return str(
            await requests.answer(
                connection,
                lambda request_id: client.reqWshEventData(request_id, wanted),
                cancel=client.cancelWshEventData,
            )
        )


def events_of(text: str, contract: types.Contract) -> list[types.EarningsEvent]:
    """The earnings among the calendar's events. Raises MarketDataError where the text is no list of events."""
    try:
        rows = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError) as error:
        raise MarketDataError(f"the event calendar of {contract.symbol} is no JSON", code="UNREADABLE") from error
    if isinstance(rows, dict):
        rows = rows.get("events", [rows])
    if not isinstance(rows, list):
        raise MarketDataError(f"the event calendar of {contract.symbol} is no list", code="UNREADABLE")
    return [event for row in rows if (event := _event(row, contract)) is not None]


def _event(row: Any, contract: types.Contract) -> types.EarningsEvent | None:
    if not isinstance(row, dict) or row.get("event_type") not in EARNINGS_TYPES:
        return None
    data = row.get("data")
    data = data if isinstance(data, dict) else row
    day = _day(str(data.get("earnings_date", "")))
    if day is None:
        return None
    status = str(data.get("wshe_earnings_date_status", "")).upper()
    period = _period(data.get("quarter"), data.get("fiscal_year"))
    return _made(contract, day, str(data.get("time_of_day", "")), confirmed=status == "CONFIRMED", period=period)


def _period(quarter: Any, year: Any) -> str:
    if not quarter:
        return ""
    name = f"Q{quarter}" if str(quarter).isdigit() else str(quarter)
    return f"{name} {year}" if year else name


def events_in(root: Element, contract: types.Contract) -> list[types.EarningsEvent]:
    """The earnings in a CalendarReport: elements about earnings that hold a date."""
    found = []
    for element in root.iter():
        fields = {child.tag.lower(): (child.text or "").strip() for child in element}
        day = _day(fields.get("date", ""))
        if "earning" in element.tag.lower() and day is not None:
            status = fields.get("status", fields.get("datestatus", "")).upper()
            period = fields.get("period", "") or _period(fields.get("quarter"), fields.get("fiscalyear"))
            time = fields.get("etime", "") or fields.get("time", "")
            found.append(_made(contract, day, time, confirmed=status == "CONFIRMED", period=period))
    return found


def _made(contract: types.Contract, day: date, time: str, *, confirmed: bool, period: str) -> types.EarningsEvent:
    known = TIMES.get(time.upper(), "" if time.upper() == "UNSPECIFIED" else time)
    return types.EarningsEvent(contract.con_id, contract.symbol, day, known, confirmed, period)


def _day(text: str) -> date | None:
    """The date of "20261012", "2026-10-12" or "10/12/2026"; None for anything else."""
    match = _DATE.match(text.strip())
    if match is None:
        return None
    year, month, day = match.group(1, 2, 3) if match[1] else match.group(6, 4, 5)
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
