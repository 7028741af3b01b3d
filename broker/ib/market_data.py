"""Historical bars and snapshot quotes; a refusal or an empty answer is an error, never "no bars"."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from broker import types
from broker.errors import MarketDataError
from broker.ib import mapping
from broker.ib.connection import Connection, RequestError
from broker.ib.contracts import ib_contract

if TYPE_CHECKING:
    from broker.ib.reads import Asking

EPOCH_DATES = 2
FEEDS: dict[int, Literal["live", "delayed", "frozen"]] = {1: "live", 2: "frozen", 3: "delayed", 4: "frozen"}


async def bars(asking: Asking, query: types.BarsQuery) -> types.Bars:
    """Trade bars up to now, oldest first. Raises MarketDataError with the broker's text where there are none."""
    contract, connection = asking.contract(query.con_id), asking.connection
    source = "paper gateway" if asking.session.endpoint.paper else "IBKR"
    try:
        rows = await connection.request(lambda: _history(connection, contract, query))
    except RequestError as error:
        raise _refused(f"bars of {contract.symbol}", error) from error
    if not rows:
        raise MarketDataError(f"the broker sent no bars of {contract.symbol} for {query.period} of {query.bar_size}")
    return _bars(contract, query, rows, source, await asking.session.market_now())


async def _history(connection: Connection, contract: types.Contract, query: types.BarsQuery) -> list[Any]:
    client = connection.client
    wanted = ib_contract(contract)
    request_id = client.getReqId()
    answer = connection.wrapper.startReq(request_id, wanted)
    client.reqHistoricalData(
        request_id,
        wanted,
        endDateTime="",
        durationStr=query.period,
        barSizeSetting=query.bar_size,
        whatToShow="TRADES",
        useRTH=query.use_rth,
        formatDate=EPOCH_DATES,
        keepUpToDate=False,
        chartOptions=[],
    )
    try:
        return list(await answer)
    except asyncio.CancelledError:
        if connection.is_writable():
            client.cancelHistoricalData(request_id)
        raise


def _bars(contract: types.Contract, query: types.BarsQuery, rows: list[Any], source: str, now: datetime) -> types.Bars:
    def column(name: str) -> types.FloatArray:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    return types.Bars(
        con_id=contract.con_id,
        symbol=contract.symbol,
        bar_size=query.bar_size,
        period=query.period,
        time=np.array([_bar_time(row.date) for row in rows], dtype="datetime64[s]"),
        open=column("open"),
        high=column("high"),
        low=column("low"),
        close=column("close"),
        volume=column("volume"),
        as_of=now,
        source=source,
    )


def _bar_time(stamp: date | datetime) -> np.datetime64:
    if isinstance(stamp, datetime):
        return np.datetime64(mapping.utc(stamp).replace(tzinfo=None), "s")
    return np.datetime64(stamp, "s")


async def quote(asking: Asking, query: types.ConId) -> types.Quote:
    """A snapshot of the top of book. Raises MarketDataError where it holds no price at all."""
    contract, connection = asking.contract(query.con_id), asking.connection
    try:
        ticker, traded_at = await connection.request(lambda: _snapshot(connection, contract))
    except RequestError as error:
        raise _refused(f"a quote of {contract.symbol}", error) from error
    tick = contract.min_tick
    bid, bid_size = _side(ticker.bid, ticker.bidSize, tick)
    ask, ask_size = _side(ticker.ask, ticker.askSize, tick)
    last, close = mapping.price(ticker.last, tick), mapping.price(ticker.close, tick)
    if bid is None and ask is None and last is None:
        raise MarketDataError(f"the broker has no price of {contract.symbol} now")
    feed = FEEDS[ticker.marketDataType]
    is_current = feed == "live" and asking.session.state.clock != "set" and bid is not None and ask is not None
    return types.Quote(
        con_id=contract.con_id,
        symbol=contract.symbol,
        bid=bid,
        ask=ask,
        last=last,
        bid_size=bid_size,
        ask_size=ask_size,
        volume=mapping.size(ticker.volume),
        close=close,
        time=traded_at if traded_at and not is_current else await asking.session.market_now(),
        feed=feed,
    )


async def _snapshot(connection: Connection, contract: types.Contract) -> tuple[Any, datetime | None]:
    client, wrapper = connection.client, connection.wrapper
    wanted = ib_contract(contract)
    request_id = client.getReqId()
    answer = wrapper.startReq(request_id, wanted)
    ticker = wrapper.startTicker(request_id, wanted, "snapshot")
    client.reqMktData(
        request_id, wanted, genericTickList="", snapshot=True, regulatorySnapshot=False, mktDataOptions=[]
    )
    try:
        await answer
    finally:
        wrapper.endTicker(ticker, "snapshot")
        wrapper.reqId2Ticker.pop(request_id, None)
        wrapper.tickers.pop(id(wanted), None)
        traded_at = wrapper.tick_times.pop(request_id, None)
    return ticker, traded_at


def _side(value: float, size: float, tick: Decimal) -> tuple[Decimal | None, Decimal | None]:
    """A price and its size; TWS writes "no quote" as -1 with size 0."""
    price = mapping.price(value, tick)
    return (price, mapping.size(size)) if price is not None else (None, None)


def _refused(what: str, error: Any) -> MarketDataError:
    return MarketDataError(f"the broker refused {what}: {error.message}", details={"broker_code": error.code})
