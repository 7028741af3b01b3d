"""Frames of market data, told to whoever asked for them; the client library's own tickers and lists stay unused."""

from __future__ import annotations

from typing import Any

from broker.ib import codes
from broker.ib.library import ib_insync

NO_VALUE = float("nan")  # of a whole account
BarValues = tuple[int, float, float, float, float, float, float, int]


def ends(code: int, message: str) -> bool:
    """Whether what has this error will get no more; what nobody has mapped counts as an end."""
    known = codes.meaning(code, message)
    return known is None or known.ends_request


class Subscriber:
    """Hears the frames of one request id; what it does not care for it leaves as it is here."""

    def price(self, kind: int, price: float, size: float) -> None:
        """A price tick with the size at it."""

    def size(self, kind: int, size: float) -> None:
        """A size tick."""

    def generic(self, kind: int, value: float) -> None:
        """A tick that is a number of its own kind."""

    def text(self, kind: int, value: str) -> None:
        """A tick that is text, such as the time of the last trade."""

    def data_type(self, kind: int) -> None:
        """From here on: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""

    def ended(self) -> None:
        """A snapshot is complete."""

    def bar(self, values: BarValues) -> None:
        """A real-time bar: start in epoch seconds, open, high, low, close, volume, average price, trades."""

    def result(self, daily: float, unrealized: float, realized: float, value: float) -> None:
        """A profit and loss, and the value of the holding it is of."""

    def refused(self, code: int, message: str) -> None:
        """The gateway wrote an error or a notice with this request's id."""


class MarketDataWrapper(ib_insync.Wrapper):  # type: ignore[misc]
    """Routes market data to `subscribers` by request id; frames of ids that are given up are dropped."""

    def reset(self) -> None:
        """Forget everything of a connection."""
        super().reset()
        self.subscribers: dict[int, Subscriber] = {}

    def forget(self, request_id: int) -> None:
        """A request is over, answered or not."""
        self._futures.pop(request_id, None)
        self._results.pop(request_id, None)

    def priceSizeTick(self, reqId: int, tickType: int, price: float, size: float) -> None:
        """A price."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.price(tickType, price, size)

    def tickSize(self, reqId: int, tickType: int, size: float) -> None:
        """A size."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.size(tickType, size)

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:
        """A number of its own kind."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.generic(tickType, value)

    def tickString(self, reqId: int, tickType: int, value: str) -> None:
        """A text."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.text(tickType, value)

    def tickReqParams(self, reqId: int, minTick: float, bboExchange: str, snapshotPermissions: int) -> None:
        """The contract's tick again; known from its details."""

    def marketDataType(self, reqId: int, marketDataId: int) -> None:
        """Live, frozen or delayed."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.data_type(marketDataId)

    def tickSnapshotEnd(self, reqId: int) -> None:
        """The end of a snapshot."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.ended()

    def realtimeBar(self, reqId: int, *values: Any) -> None:
        """A bar of five seconds."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.bar(values)

    def pnl(self, reqId: int, dailyPnL: float, unrealizedPnL: float, realizedPnL: float) -> None:
        """The account's result."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.result(dailyPnL, unrealizedPnL, realizedPnL, NO_VALUE)

    def pnlSingle(
        self, reqId: int, pos: float, dailyPnL: float, unrealizedPnL: float, realizedPnL: float, value: float
    ) -> None:
        """The result of one holding."""
        if (subscriber := self.subscribers.get(reqId)) is not None:
            subscriber.result(dailyPnL, unrealizedPnL, realizedPnL, value)

    def scannerDataEnd(self, reqId: int) -> None:
        """One answer of a scan is whole; the library would look for a list of its own kind."""
        self._endReq(reqId)
