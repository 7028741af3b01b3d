"""The port as one table: every call's request, answer, time-out and kind.

The sync and async clients, the HTTP routes, the codec's tests and `docs/broker.md` are made from this table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, get_args, get_origin

from broker import types

Kind = Literal["read", "send"]


@dataclass(frozen=True, slots=True)
class Call:
    """One row: `answer` is a dataclass or `tuple[dataclass, ...]`; `timeout` in seconds.

    `messages` are the TWS API messages behind it, for the documentation; `errors` the classes it raises besides
    BrokerUnavailable. A request with a `con_id` is answered for a contract that `contracts` has resolved before.
    """

    name: str
    request: type
    answer: Any
    timeout: float
    kind: Kind
    doc: str
    messages: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def answer_item(self) -> type:
        """The dataclass of the answer, or of each of its items."""
        item: type = get_args(self.answer)[0] if self.many else self.answer
        return item

    @property
    def many(self) -> bool:
        """True where the answer is a tuple of items."""
        return get_origin(self.answer) is tuple


def _read(
    name: str, request: type, answer: Any, timeout: float, doc: str, messages: str, errors: str = "MarketDataError"
) -> Call:
    return Call(name, request, answer, timeout, "read", doc, tuple(messages.split()), tuple(errors.split()))


def _send(name: str, request: type, answer: Any, timeout: float, doc: str, messages: str) -> Call:
    errors = ("TradingDisabled", "OrderInvalid", "OrderError")
    return Call(name, request, answer, timeout, "send", doc, tuple(messages.split()), errors)


_CONNECTION = (
    _read(
        "status",
        types.Nothing,
        types.BrokerStatus,
        2,
        "Connection, account, clock, pacing; fails only where the owner does not answer.",
        "",
        "",
    ),
    _read(
        "connection_history",
        types.HistoryQuery,
        tuple[types.ConnectionNote, ...],
        2,
        "What happened to the connection since its owner began, newest first; fails only where nobody answers.",
        "",
        "",
    ),
    _read("server_time", types.Nothing, types.ServerTime, 5, "The broker's clock against ours.", "reqCurrentTime", ""),
)
_CONTRACTS = (
    _read(
        "contracts",
        types.ContractQuery,
        tuple[types.Contract, ...],
        10,
        "Resolve a query to its one contract; cached for 12 h.",
        "reqContractDetails reqMarketRule",
        "ContractNotFound",
    ),
    _read(
        "all_contracts",
        types.ContractQuery,
        tuple[types.Contract, ...],
        30,
        "Every contract that a query means, such as all expiries of a future.",
        "reqContractDetails reqMarketRule",
        "ContractNotFound",
    ),
    _read(
        "search",
        types.SymbolSearch,
        tuple[types.ContractMatch, ...],
        10,
        "Find contracts by the beginning of a symbol or a word of a name; empty where none fits.",
        "reqMatchingSymbols",
        "ContractNotFound",
    ),
    _read(
        "option_chain",
        types.ConId,
        tuple[types.OptionChain, ...],
        15,
        "Expiries and strikes of the options on a contract.",
        "reqSecDefOptParams",
        "ContractNotFound",
    ),
    _read(
        "trading_hours",
        types.ConId,
        types.TradingHours,
        10,
        "The contract's sessions, whether it trades now, and when it opens or closes next.",
        "reqContractDetails",
        "ContractNotFound",
    ),
)
_MARKET = (
    _read("quote", types.ConId, types.Quote, 15, "A snapshot of the top of book.", "reqMktData reqMarketDataType"),
    _read(
        "quotes",
        types.ConIds,
        tuple[types.Quote, ...],
        15,
        "The latest of shared streams, one a contract however many ask; a stream ends a minute after the last asking.",
        "reqMktData cancelMktData reqMarketDataType",
    ),
    _read(
        "bars",
        types.BarsQuery,
        types.Bars,
        60,
        "Historical bars, oldest first; long ranges are asked for in pieces.",
        "reqHistoricalData cancelHistoricalData",
    ),
    _read(
        "head_timestamp",
        types.HeadTimestampQuery,
        types.HeadTimestamp,
        15,
        "Since when there is data.",
        "reqHeadTimeStamp cancelHeadTimeStamp",
    ),
    _read(
        "realtime_bars",
        types.RealTimeBarsQuery,
        tuple[types.RealTimeBar, ...],
        15,
        "Five-second bars of a shared stream, oldest first; waits for the first one.",
        "reqRealTimeBars cancelRealTimeBars",
    ),
)
_ACCOUNT = (
    _read(
        "account",
        types.Nothing,
        types.AccountSummary,
        5,
        "The account's values, from the standing account updates.",
        "reqAccountUpdates",
        "AccountError",
    ),
    _read(
        "positions",
        types.Nothing,
        tuple[types.Position, ...],
        5,
        "What the account holds, asked anew.",
        "reqPositions reqAccountUpdates",
        "AccountError",
    ),
    _read(
        "pnl",
        types.Nothing,
        types.ProfitAndLoss,
        10,
        "Daily, open and realised result of the account and of each holding, from shared subscriptions.",
        "reqPnL reqPnLSingle reqPositions",
        "AccountError",
    ),
)
_ORDERS = (
    _read(
        "open_orders",
        types.Nothing,
        tuple[types.OrderReport, ...],
        10,
        "Every working order of every client.",
        "reqAllOpenOrders",
        "",
    ),
    _read(
        "completed_orders",
        types.Nothing,
        tuple[types.OrderReport, ...],
        20,
        "Finished orders the broker remembers.",
        "reqCompletedOrders",
        "",
    ),
    _read(
        "executions",
        types.Nothing,
        tuple[types.ExecutionReport, ...],
        10,
        "Today's fills with their commissions.",
        "reqExecutions",
        "",
    ),
    _read(
        "order",
        types.OrderRef,
        types.OrderReport,
        20,
        "One order by our reference, working or finished.",
        "reqAllOpenOrders reqCompletedOrders reqExecutions",
        "OrderInvalid",
    ),
    _read(
        "preview",
        types.PreviewOrder,
        types.Preview,
        15,
        "Margins and commission of an order that is not placed.",
        "placeOrder(whatIf)",
        "OrderInvalid OrderRejected TradingDisabled",
    ),
    _read(
        "reconcile",
        types.Nothing,
        types.ReconcileReport,
        60,
        "Look at the whole book now and compare it with the desk's rows; what differs is on the desk's record.",
        "reqAllOpenOrders reqCompletedOrders reqExecutions reqPositions reqAccountUpdates",
        "",
    ),
    _send("place", types.PlaceOrder, types.PlaceOutcome, 15, "Send a bracket or a single order, once.", "placeOrder"),
    _send(
        "modify",
        types.ModifyOrder,
        types.PlaceOutcome,
        15,
        "Change a working order, once a revision.",
        "placeOrder reqAllOpenOrders(trailing)",
    ),
    _send("cancel", types.OrderRef, types.LegOutcome, 10, "Ask for the end of a working order.", "cancelOrder"),
    _send(
        "cancel_all",
        types.CancelAll,
        types.CancelAllOutcome,
        15,
        "Ask for the end of our working orders, one by one.",
        "reqAllOpenOrders reqPositions cancelOrder",
    ),
    _send(
        "kill",
        types.Kill,
        types.KillReport,
        40,
        "The kill switch: halt by the file, end orders, and tell what the book then shows; needs no database.",
        "reqAllOpenOrders reqPositions cancelOrder reqGlobalCancel",
    ),
)
_REFERENCE = (
    _read(
        "news_providers",
        types.Nothing,
        tuple[types.NewsProvider, ...],
        10,
        "Sources of news that may be read.",
        "reqNewsProviders",
    ),
    _read(
        "headlines",
        types.HeadlinesQuery,
        tuple[types.Headline, ...],
        20,
        "Headlines of a contract, newest first.",
        "reqHistoricalNews",
    ),
    _read("article", types.ArticleQuery, types.Article, 20, "The text of one article.", "reqNewsArticle"),
    _read(
        "fundamentals", types.FundamentalsQuery, types.Fundamentals, 20, "A report on a company.", "reqFundamentalData"
    ),
    _read(
        "earnings",
        types.ConId,
        tuple[types.EarningsEvent, ...],
        20,
        "Earnings releases, past and to come, oldest first.",
        "reqWshMetaData reqWshEventData reqFundamentalData(CalendarReport)",
    ),
    _read(
        "scanner_codes",
        types.Nothing,
        tuple[types.ScannerCode, ...],
        20,
        "The scans that the broker knows.",
        "reqScannerParameters",
    ),
    _read(
        "scan",
        types.ScannerQuery,
        tuple[types.ScannerRow, ...],
        20,
        "The finds of a scan of the market, best first.",
        "reqScannerSubscription cancelScannerSubscription",
    ),
)
TABLE: dict[str, Call] = {
    call.name: call for call in (*_CONNECTION, *_CONTRACTS, *_MARKET, *_ACCOUNT, *_ORDERS, *_REFERENCE)
}


class Broker(Protocol):
    """What `get_broker()` gives: one method a row of TABLE, and `a…` async twins of them."""

    def status(self) -> types.BrokerStatus: ...
    def connection_history(self, query: types.HistoryQuery) -> tuple[types.ConnectionNote, ...]: ...
    def server_time(self) -> types.ServerTime: ...
    def contracts(self, query: types.ContractQuery) -> tuple[types.Contract, ...]: ...
    def all_contracts(self, query: types.ContractQuery) -> tuple[types.Contract, ...]: ...
    def search(self, query: types.SymbolSearch) -> tuple[types.ContractMatch, ...]: ...
    def option_chain(self, query: types.ConId) -> tuple[types.OptionChain, ...]: ...
    def trading_hours(self, query: types.ConId) -> types.TradingHours: ...
    def quote(self, query: types.ConId) -> types.Quote: ...
    def quotes(self, query: types.ConIds) -> tuple[types.Quote, ...]: ...
    def bars(self, query: types.BarsQuery) -> types.Bars: ...
    def head_timestamp(self, query: types.HeadTimestampQuery) -> types.HeadTimestamp: ...
    def realtime_bars(self, query: types.RealTimeBarsQuery) -> tuple[types.RealTimeBar, ...]: ...
    def account(self) -> types.AccountSummary: ...
    def positions(self) -> tuple[types.Position, ...]: ...
    def pnl(self) -> types.ProfitAndLoss: ...
    def open_orders(self) -> tuple[types.OrderReport, ...]: ...
    def completed_orders(self) -> tuple[types.OrderReport, ...]: ...
    def executions(self) -> tuple[types.ExecutionReport, ...]: ...
    def order(self, request: types.OrderRef) -> types.OrderReport: ...
    def reconcile(self) -> types.ReconcileReport: ...
    def preview(self, request: types.PreviewOrder) -> types.Preview: ...
    def place(self, request: types.PlaceOrder) -> types.PlaceOutcome: ...
    def modify(self, request: types.ModifyOrder) -> types.PlaceOutcome: ...
    def cancel(self, request: types.OrderRef) -> types.LegOutcome: ...
    def cancel_all(self, request: types.CancelAll) -> types.CancelAllOutcome: ...
    def kill(self, request: types.Kill) -> types.KillReport: ...
    def news_providers(self) -> tuple[types.NewsProvider, ...]: ...
    def headlines(self, query: types.HeadlinesQuery) -> tuple[types.Headline, ...]: ...
    def article(self, query: types.ArticleQuery) -> types.Article: ...
    def fundamentals(self, query: types.FundamentalsQuery) -> types.Fundamentals: ...
    def earnings(self, query: types.ConId) -> tuple[types.EarningsEvent, ...]: ...
    def scanner_codes(self) -> tuple[types.ScannerCode, ...]: ...
    def scan(self, query: types.ScannerQuery) -> tuple[types.ScannerRow, ...]: ...
    def drain(self, timeout: float = 10) -> None:
        """Wait until everything the broker has said so far is applied to our rows."""


Adapter = TypeVar("Adapter", bound=type)


def with_async_twins(adapter: Adapter) -> Adapter:
    """Give a synchronous adapter its `a…` twins, one a row of TABLE; each waits in a thread."""
    for name in TABLE:
        setattr(adapter, f"a{name}", _twin(name))
    return adapter


def _twin(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def twin(self: Any, *args: Any) -> Any:
        return await asyncio.to_thread(getattr(self, name), *args)

    twin.__name__ = f"a{name}"
    twin.__doc__ = TABLE[name].doc
    return twin
