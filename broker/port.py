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
    """One row: `answer` is a dataclass or `tuple[dataclass, ...]`; `timeout` in seconds."""

    name: str
    request: type
    answer: Any
    timeout: float
    kind: Kind
    doc: str

    @property
    def answer_item(self) -> type:
        """The dataclass of the answer, or of each of its items."""
        item: type = get_args(self.answer)[0] if self.many else self.answer
        return item

    @property
    def many(self) -> bool:
        """True where the answer is a tuple of items."""
        return get_origin(self.answer) is tuple


TABLE: dict[str, Call] = {
    call.name: call
    for call in (
        Call("status", types.Nothing, types.BrokerStatus, 2, "read", "Connection, account and clock; never fails."),
        Call("contracts", types.ContractQuery, tuple[types.Contract, ...], 10, "read", "Resolve a symbol; cached."),
        Call("quote", types.ConId, types.Quote, 15, "read", "A snapshot of the top of book."),
        Call("bars", types.BarsQuery, types.Bars, 60, "read", "Historical bars, oldest first."),
        Call("account", types.Nothing, types.AccountSummary, 5, "read", "The account's values."),
        Call("positions", types.Nothing, tuple[types.Position, ...], 5, "read", "What the account holds."),
        Call("open_orders", types.Nothing, tuple[types.OrderReport, ...], 10, "read", "Every working order."),
        Call("executions", types.Nothing, tuple[types.ExecutionReport, ...], 10, "read", "Today's fills."),
        Call("place", types.PlaceOrder, types.PlaceOutcome, 15, "send", "Send a bracket or a single order, once."),
        Call("modify", types.ModifyOrder, types.PlaceOutcome, 15, "send", "Change a working order's prices, once."),
        Call("cancel", types.OrderRef, types.LegOutcome, 10, "send", "Ask for the end of a working order."),
    )
}


class Broker(Protocol):
    """What `get_broker()` gives: one method a row of TABLE, and `a…` async twins of them."""

    def status(self) -> types.BrokerStatus: ...
    def contracts(self, query: types.ContractQuery) -> tuple[types.Contract, ...]: ...
    def quote(self, query: types.ConId) -> types.Quote: ...
    def bars(self, query: types.BarsQuery) -> types.Bars: ...
    def account(self) -> types.AccountSummary: ...
    def positions(self) -> tuple[types.Position, ...]: ...
    def open_orders(self) -> tuple[types.OrderReport, ...]: ...
    def executions(self) -> tuple[types.ExecutionReport, ...]: ...
    def place(self, request: types.PlaceOrder) -> types.PlaceOutcome: ...
    def modify(self, request: types.ModifyOrder) -> types.PlaceOutcome: ...
    def cancel(self, request: types.OrderRef) -> types.LegOutcome: ...
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
