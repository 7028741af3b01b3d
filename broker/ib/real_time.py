"""Five-second bars from shared streams, the last hour of each kept."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from broker import types
from broker.errors import MarketDataError
from broker.ib import mapping, requests
from broker.ib.connection import Connection
from broker.ib.contracts import ib_contract
from broker.ib.shared import Pool, Shared
from broker.ib.streams import MARGIN
from broker.ib.ticks import BarValues

if TYPE_CHECKING:
    from broker.ib.reads import Asking

STREAMS = 50
STEP = 5
KEPT = 3600 // STEP
Key = tuple[int, str, bool]


class BarStream(Shared):
    """The bars of one contract, kind and kind of hours; they outlive an outage, which leaves a gap among them."""

    def __init__(self, contract: types.Contract, query: types.RealTimeBarsQuery) -> None:
        super().__init__()
        self._contract = contract
        self._query = query
        self._bars: deque[types.RealTimeBar] = deque(maxlen=KEPT)

    def send(self, connection: Connection, request_id: int) -> None:
        """reqRealTimeBars."""
        wanted = ib_contract(self._contract)
        connection.client.reqRealTimeBars(request_id, wanted, STEP, self._query.what, self._query.use_rth, [])

    def cancel(self, connection: Connection, request_id: int) -> None:
        """cancelRealTimeBars."""
        connection.client.cancelRealTimeBars(request_id)

    def bar(self, values: BarValues) -> None:
        """Keep a bar that is whole and later than all before."""
        bar = _bar(self._contract, values)
        if bar is not None and (not self._bars or bar.time > self._bars[-1].time):
            self._bars.append(bar)
        self.came()

    def after(self, moment: datetime | None) -> tuple[types.RealTimeBar, ...]:
        """The kept bars that start later, oldest first."""
        return tuple(bar for bar in self._bars if moment is None or bar.time > moment)


def _bar(contract: types.Contract, values: BarValues) -> types.RealTimeBar | None:
    epoch, *prices, volume, average, count = values
    told = [mapping.price(price, contract.min_tick) for price in prices]
    if None in told:
        return None
    open_, high, low, close = (price for price in told if price is not None)
    return types.RealTimeBar(
        con_id=contract.con_id,
        time=datetime.fromtimestamp(epoch, UTC),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=mapping.size(volume) or Decimal(0),
        wap=mapping.price(average),
        count=max(count, 0),
    )


BarStreams = Pool[Key, BarStream]


async def realtime_bars(asking: Asking, query: types.RealTimeBarsQuery) -> tuple[types.RealTimeBar, ...]:
    """The bars since `after`, at least one. Raises MarketDataError where none comes within the call's time-out."""
    contract = asking.contract(query.con_id)
    key = (query.con_id, query.what, query.use_rth)
    streams, connection = asking.data.bar_streams, asking.connection
    stream = await streams.use(connection, key, lambda: BarStream(contract, query))
    try:
        await stream.until(lambda: bool(stream.after(query.after)), connection, asking.until - MARGIN)
        if stream.refusal is not None:
            raise requests.refusal(f"real-time bars of {contract.symbol}", *stream.refusal)
        if not (bars := stream.after(query.after)):
            raise MarketDataError(f"no bar of {contract.symbol} has come yet; is its market open?", code="NO_BAR_YET")
        return bars
    finally:
        streams.release(stream)
        if stream.refusal is not None and not stream.users:
            streams.drop(key)
