"""Historical bars of every size and range, asked for in pieces where TWS gives less at once, and their beginning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from broker import types
from broker.errors import MarketDataError
from broker.ib import hours, mapping, requests
from broker.ib.budgets import History
from broker.ib.connection import RequestError
from broker.ib.contracts import ib_contract
from broker.ib.spans import MOST_PIECES, BarSize, Span, in_years, parse_bar_size, parse_span, piece_of, pieces_needed

if TYPE_CHECKING:
    from broker.ib.reads import Asking

EPOCH_DATES = 2
DAY_SECONDS = 86_400
NO_DATA_CODES = frozenset({162, 165})
NO_DATA = "no data"
MOST_PAUSES = 8  # sessions in a row without data before the beginning of all data is reached
WITH_VOLUME = frozenset({"TRADES", "ADJUSTED_LAST"})
Rows = list[Any]


async def bars(asking: Asking, query: types.BarsQuery) -> types.Bars:
    """Bars up to `end`, oldest first. Raises MarketDataError with the broker's text where there are none.

    A wrong size, period or combination is refused before anything is asked (BAD_REQUEST, `details["field"]`).
    """
    size, span = check(query)
    contract = asking.contract(query.con_id)
    query = replace(query, what=_what(contract, query.what))
    now = await asking.session.market_now()
    try:
        rows = await _rows(asking, contract, query, size, span, now)
    except RequestError as error:
        raise requests.refused(f"{query.what} bars of {contract.symbol}", error) from error
    if not rows:
        raise MarketDataError(f"the broker sent no bars of {contract.symbol} for {query.period} of {query.bar_size}")
    source = "paper gateway" if asking.session.endpoint.paper else "IBKR"
    return _bars(contract, query, rows, source, now)


def _what(contract: types.Contract, what: types.WhatToShow) -> types.WhatToShow:
    """A currency pair is traded between banks: TWS refuses its TRADES, and its price is the middle of the book."""
    return "MIDPOINT" if contract.sec_type == "CASH" and what == "TRADES" else what


def check(query: types.BarsQuery) -> tuple[BarSize, Span]:
    """The size and the span of the query; raises MarketDataError (BAD_REQUEST) that names the field and the fix."""
    size, span = parse_bar_size(query.bar_size), parse_span(query.period)
    if query.what == "ADJUSTED_LAST" and query.end is not None:
        raise requests.bad_request("end", "ADJUSTED_LAST bars always end now; leave `end` out or ask for TRADES.")
    if size.fits(span):
        return size, span
    if query.what == "ADJUSTED_LAST":
        text = f"ADJUSTED_LAST bars of {size.name} reach back at most {size.longest}; ask for less or for TRADES."
        raise requests.bad_request("period", text)
    if pieces_needed(size, span) > MOST_PIECES:
        text = f"{span} of {size.name} takes more than {MOST_PIECES} requests; ask for at most {size.reach}."
        raise requests.bad_request("period", text)
    return size, span


async def _rows(
    asking: Asking, contract: types.Contract, query: types.BarsQuery, size: BarSize, span: Span, now: datetime
) -> Rows:
    """All bars of the range, oldest first."""
    if size.longest is None:
        rows = await _piece(asking, contract, query, in_years(span), query.end)
        return _last_days(rows, size, span)
    if size.fits(span):
        return await _piece(asking, contract, query, span, query.end)
    return await _joined(asking, contract, query, _Range(contract, query, size, span, query.end or now))


async def _joined(asking: Asking, contract: types.Contract, query: types.BarsQuery, range_: _Range) -> Rows:
    """The pieces of the range, the latest asked for first; each ends where the one after it begins."""
    joined: list[Rows] = []
    end, first, pauses = query.end, range_.end, 0
    for part in range_.parts():
        try:
            rows = await _piece(asking, contract, query, part, end)
        except RequestError as error:
            pauses += 1
            end = range_.before_pause(first if end is None else end, part) if _has_no_data(error) else None
            if end is not None and pauses <= MOST_PAUSES:
                continue
            if joined and _has_no_data(error):
                break
            raise
        rows = [row for row in rows if _moment(row.date) < first]
        if not rows:
            break
        joined.append(rows)
        end, first, pauses = _moment(rows[0].date), _moment(rows[0].date), 0
        if range_.is_reached(rows):
            break
    return range_.within([row for rows in reversed(joined) for row in rows])


def _last_days(rows: Rows, size: BarSize, span: Span) -> Rows:
    """What a span in days means of rows that reach back by years: sessions, or days where a bar is longer than one."""
    if in_years(span) == span:
        return rows
    if size.step == timedelta(days=1):
        return rows[-span.count :]
    first = _moment(rows[-1].date) - timedelta(days=span.count)
    return [row for row in rows if _moment(row.date) > first]


def _has_no_data(error: Any) -> bool:
    return error.code in NO_DATA_CODES and NO_DATA in error.message.lower()


class _Range:
    """A range that comes in pieces, and how far back it reaches: by their sum, by sessions, or by the calendar."""

    def __init__(
        self, contract: types.Contract, query: types.BarsQuery, size: BarSize, span: Span, end: datetime
    ) -> None:
        self.end = end
        self._span, self._size, self._zone = span, size, ZoneInfo(contract.time_zone)
        self._hours = contract.liquid_hours if query.use_rth else contract.trading_hours
        self._part = piece_of(span, size)
        self._sessions = span.count if span.unit == "D" and self._part.unit == "S" else None
        self._start = span.start(end) if span.unit in "WMY" else None
        self._days: set[date] = set()

    def parts(self) -> Iterator[Span]:
        """The spans to ask for, one after the other."""
        if self._part.unit != self._span.unit or self._start is not None:
            yield from [self._part] * (2 * MOST_PIECES)
            return
        left = self._span.count
        while left > 0:
            yield replace(self._part, count=min(left, self._part.count))
            left -= self._part.count

    def before_pause(self, end: datetime, part: Span) -> datetime | None:
        """Where to go on before a piece without data: a night or a weekend ends, the beginning of the data does not.

        None where a piece is too long to lie in a pause.
        """
        if part.unit != "S":
            return None
        end -= timedelta(seconds=part.seconds)
        if self._span.unit == "S":
            return end
        before = hours.last_open_moment(self._hours, self._zone.key, end)
        return None if before is None or (self._start is not None and before <= self._start) else before

    def is_reached(self, rows: Rows) -> bool:
        """Whether nothing earlier than these rows belongs to the range."""
        if self._start is not None:
            return _moment(rows[0].date) <= self._start
        if self._sessions is not None:
            self._days.update(self._day(row) for row in rows)
            return len(self._days) > self._sessions
        return False

    def within(self, rows: Rows) -> Rows:
        """The rows that belong to the range."""
        if self._start is not None:
            return [row for row in rows if _moment(row.date) + self._size.step > self._start]
        if self._sessions is not None and len(self._days) > self._sessions:
            first = sorted(self._days)[-self._sessions]
            return [row for row in rows if self._day(row) >= first]
        return rows

    def _day(self, row: Any) -> date:
        return _moment(row.date).astimezone(self._zone).date()


async def _piece(
    asking: Asking, contract: types.Contract, query: types.BarsQuery, span: Span, end: datetime | None
) -> Rows:
    client, size = asking.connection.client, parse_bar_size(query.bar_size)

    def send(request_id: int) -> None:
        client.reqHistoricalData(
            request_id,
            ib_contract(contract),
            endDateTime="" if end is None else f"{end.astimezone(UTC):%Y%m%d %H:%M:%S} UTC",
            durationStr=str(span),
            barSizeSetting=size.name,
            whatToShow=query.what,
            useRTH=query.use_rth,
            formatDate=EPOCH_DATES,
            keepUpToDate=False,
            chartOptions=[],
        )

    series = (contract.con_id, contract.exchange, query.what)
    weight = 2 if query.what == "BID_ASK" else 1
    request = History(
        (series, span, end, query.bar_size, query.use_rth), series, int(size.step.total_seconds()), weight
    )
    async with asking.session.pacer.history(request):
        return list(await requests.answer(asking.connection, send, cancel=client.cancelHistoricalData))


def _moment(stamp: date | datetime) -> datetime:
    if isinstance(stamp, datetime):
        return mapping.utc(stamp)
    return datetime(stamp.year, stamp.month, stamp.day, tzinfo=UTC)


def _bars(contract: types.Contract, query: types.BarsQuery, rows: Rows, source: str, now: datetime) -> types.Bars:
    """Columns of the rows, each time once and in order; a volume of -1, of data that have none, is 0."""
    time = np.array([_moment(row.date).replace(tzinfo=None) for row in rows], dtype="datetime64[s]")
    time, order = np.unique(time, return_index=True)

    def column(name: str) -> types.FloatArray:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)[order]

    volume = column("volume")
    has_volume = query.what in WITH_VOLUME and contract.sec_type not in ("CASH", "IND")
    return types.Bars(
        con_id=contract.con_id,
        symbol=contract.symbol,
        bar_size=query.bar_size,
        period=query.period,
        time=time,
        open=column("open"),
        high=column("high"),
        low=column("low"),
        close=column("close"),
        volume=volume if has_volume else np.maximum(volume, 0.0),
        as_of=now,
        source=source,
    )


async def head_timestamp(asking: Asking, query: types.HeadTimestampQuery) -> types.HeadTimestamp:
    """The start of the first bar there is. Raises MarketDataError where the broker has none."""
    contract, client = asking.contract(query.con_id), asking.connection.client

    def send(request_id: int) -> None:
        what = _what(contract, query.what)
        client.reqHeadTimeStamp(request_id, ib_contract(contract), what, query.use_rth, EPOCH_DATES)

    try:  # TWS counts a request that is answered but not cancelled among the 50 open ones
        async with asking.session.pacer.history(History(query, (query.con_id, "head"), DAY_SECONDS)):
            stamp = await requests.answer(
                asking.connection, send, cancel=client.cancelHeadTimeStamp, always_cancel=True
            )
    except RequestError as error:
        raise requests.refused(f"the beginning of {contract.symbol}", error) from error
    except ValueError as error:
        raise MarketDataError(f"the broker's answer on {contract.symbol} is no time: {error}") from error
    return types.HeadTimestamp(contract.con_id, _moment(stamp))
