"""Requests for reports on companies and for the event calendar."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from broker.paper_gateway.desk import Request
from broker.paper_gateway.prices.calendar import eastern_day
from broker.paper_gateway.reference import events
from broker.paper_gateway.reference.fundamentals import REPORTS, Occasion
from broker.paper_gateway.types import ContractFilter, GatewayError, SymbolSpec
from broker.paper_gateway.wire import fundamentals as wire
from broker.paper_gateway.wire import versions
from broker.paper_gateway.wire.fields import MAX_INTEGER, FieldReader

NO_REPORT, BAD_REPORT = 430, 322
ONE_AT_A_TIME, NONE_TO_CANCEL = 10278, 10280
NO_KINDS_YET, ONE_EVENT_REQUEST, BAD_EVENT_REQUEST, NO_EVENTS_TO_CANCEL = 10282, 10281, 10283, 10284
MAX_EVENTS, MAX_WATCHED = 500, 100


def fundamental_data(request: Request, reader: FieldReader) -> None:
    """reqFundamentalData: one report; error 430 where the contract has none."""
    con_id, symbol, sec_type, exchange = reader.integer(), reader.text(), reader.text(), reader.text()
    primary, currency, local_symbol, report = reader.text(), reader.text(), reader.text(), reader.text()
    spec = request.desk.contracts.one(
        ContractFilter(
            con_id=con_id,
            symbol=symbol,
            sec_type=sec_type,
            exchange=exchange,
            primary_exchange=primary,
            currency=currency,
            local_symbol=local_symbol,
        )
    )
    if report not in REPORTS:
        raise GatewayError(BAD_REPORT, f"Error processing request.-'bF' : cause - There is no report {report[:40]!r}.")
    occasion = Occasion(eastern_day(request.exchange.now()), request.exchange.quote(spec.con_id).last)
    xml = request.desk.library.reports.report(spec, report, occasion)
    if xml is None:
        raise GatewayError(NO_REPORT, "We are sorry, but fundamentals data for the security specified is not available")
    request.session.send(wire.report(request.id, xml))


def event_kinds(request: Request, reader: FieldReader) -> None:
    """reqWshMetaData: what the event calendar knows; one request at a time, until it is cancelled."""
    enquiries = request.session.subscriptions.enquiries
    if enquiries.event_kinds is not None:
        raise GatewayError(ONE_AT_A_TIME, "Duplicate WSH meta data request")
    enquiries.event_kinds, enquiries.knows_event_kinds = request.id, True
    request.session.send(wire.event_kinds(request.id, events.kinds()))


def cancel_event_kinds(request: Request, reader: FieldReader) -> None:
    """cancelWshMetaData: silent, unless there is no such request."""
    if request.session.subscriptions.enquiries.event_kinds != request.id:
        raise GatewayError(NONE_TO_CANCEL, "Failed to cancel WSH meta data request")
    request.session.subscriptions.enquiries.event_kinds = None


def event_data(request: Request, reader: FieldReader) -> None:
    """reqWshEventData: the earnings releases of a contract, or of the contracts that the filter names.

    Errors: 10282 before the kinds of events were asked for, 10281 while another request is open, 10283 for bad input.
    """
    enquiries = request.session.subscriptions.enquiries
    if not enquiries.knows_event_kinds:
        raise GatewayError(NO_KINDS_YET, "WSH meta data was not requested")
    if enquiries.event_data is not None:
        raise GatewayError(ONE_EVENT_REQUEST, "Duplicate WSH event data request")
    query = _event_query(request, reader)
    enquiries.event_data = request.id
    request.session.send(wire.events(request.id, events.events(query, eastern_day(request.exchange.now()))))


def _event_query(request: Request, reader: FieldReader) -> events.EventQuery:
    con_id, text, fills_portfolio = reader.integer(), "", False
    if request.session.version >= versions.EVENT_FILTERS:
        text, _, fills_portfolio, _ = reader.text(), reader.flag(), reader.flag(), reader.flag()
    first, last, limit = "", "", 0
    if request.session.version >= versions.EVENT_DATES:
        first, last, limit = reader.text(), reader.text(), reader.integer()
    con_ids = [con_id] if con_id not in (0, MAX_INTEGER) else _watched(text)
    if fills_portfolio:
        con_ids += [view.con_id for view in request.exchange.positions()]
    specs = [spec for one in dict.fromkeys(con_ids) if (spec := _known(request, one)) is not None]
    count = min(limit, MAX_EVENTS) if 0 < limit < MAX_INTEGER else MAX_EVENTS
    return events.EventQuery(tuple(specs), _day(first), _day(last), count)


def _known(request: Request, con_id: int) -> SymbolSpec | None:
    found = request.exchange.find(ContractFilter(con_id=con_id, include_expired=True))
    return found[0] if found else None


def _watched(text: str) -> list[int]:
    """The contract ids of a filter such as {"watchlist": ["8314"], "wshe_ed": "true"}; none without earnings."""
    if not text:
        return []
    try:
        found: Any = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError("it is no object")
        wanted = str(found.get(events.EARNINGS, "false")).lower() == "true"
        ids = [int(con_id) for con_id in found.get("watchlist", [])][:MAX_WATCHED]
    except (ValueError, TypeError, RecursionError) as error:
        raise GatewayError(BAD_EVENT_REQUEST, f"Failed to request WSH event data: bad filter: {error}"[:200]) from error
    return [con_id for con_id in ids if 0 < con_id <= MAX_INTEGER] if wanted else []


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise GatewayError(BAD_EVENT_REQUEST, f"Failed to request WSH event data: bad date {text[:20]!r}") from error


def cancel_event_data(request: Request, reader: FieldReader) -> None:
    """cancelWshEventData: silent, unless there is no such request."""
    if request.session.subscriptions.enquiries.event_data != request.id:
        raise GatewayError(NO_EVENTS_TO_CANCEL, "Failed to cancel WSH event data request")
    request.session.subscriptions.enquiries.event_data = None
