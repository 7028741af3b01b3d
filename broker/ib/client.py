"""The facade of the adapter: blocking calls from any thread, one thread and loop that own ib_insync.IB."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from autotrader.core.clock import system_now
from broker import types
from broker.errors import BrokerUnavailable, OrderError
from broker.ib import books, health, mapping, orders, restart
from broker.ib.books import Book
from broker.ib.connection import Connection
from broker.ib.data import SharedData
from broker.ib.errors import NotBegun, NotSent
from broker.ib.heartbeat import Beat
from broker.ib.loop import LoopThread
from broker.ib.pacing import Limits
from broker.ib.reads import READS, Asking
from broker.ib.restart import Schedule
from broker.ib.session import ConnectionState, Endpoint, Session

__all__ = ["Book", "ConnectionState", "IbClient", "NotSent"]
T = TypeVar("T")
Gate = Callable[[], None]
GRACE = 2.0  # seconds to wait for the loop beyond a deadline that the loop itself observes
CLOCK_LIMIT = 2.0
CANCEL_LIMIT = 10.0
STOP_LIMIT = 5.0
REFUSED_FOR_GOOD = 2


class IbClient:
    """The one thread and loop that owns ib_insync.IB."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        client_id: int,
        paper: bool,
        accept_account: Callable[[tuple[str, ...]], str],
        sink: Callable[[types.BrokerEvent], None],
        on_synced: Callable[[], None],
        known_contract: Callable[[int], types.Contract | None],
        pacing: Limits | None = None,
        schedule: Schedule | None = None,
        beat: Beat | None = None,
    ) -> None:
        """`sink` and `on_synced` are called in the loop's thread and must only enqueue; `accept_account` too.

        `known_contract` is a cache by contract id, called in the caller's thread. `pacing`: by default "none" with a
        paper gateway, else "real". `schedule`: the gateway's restart and login. Nothing connects before `start`.
        """
        self._endpoint = Endpoint(host, port, client_id, paper, pacing or ("none" if paper else "real"))
        self._session = Session(self._endpoint, accept_account, sink, on_synced, beat)
        self._data = SharedData()
        self._session.restored.append(self._data.restore)
        self._schedule = schedule or Schedule()
        self._known_contract = known_contract
        self._thread = LoopThread("ib")
        self._running: asyncio.Task[None] | None = None

    # Life

    def start(self) -> None:
        """Start the thread and begin to connect; returns at once."""
        self._thread.start()
        self._thread.call(self._begin, STOP_LIMIT)

    def stop(self) -> None:
        """Disconnect and end the thread; idempotent."""
        self._thread.stop(STOP_LIMIT)

    def wait_connected(self, timeout: float) -> None:
        """Wait until the broker is connected and replayed.

        Raises BrokerUnavailable, naming the last error, when the time-out passed or the port is closed twice in a row.
        """
        self._session.wait(lambda state: state.synced or state.refusals >= REFUSED_FOR_GOOD, timeout)
        state = self.state()
        if not state.synced:
            raise BrokerUnavailable(f"no connection to the broker at {self._endpoint}: {state.reason}")

    def state(self) -> ConnectionState:
        """What is known of the connection; never blocks."""
        return self._session.state

    def described(self, status: types.BrokerStatus) -> types.BrokerStatus:
        """The status with what the connection knows of itself; never blocks."""
        known = health.described(status, self._session, self._schedule, system_now())
        return replace(known, lines=self.lines)

    def history(self, limit: int) -> tuple[types.ConnectionNote, ...]:
        """The newest notes of what happened to the connection, newest first; never blocks."""
        newest = self._session.journal.notes[-limit:] if limit > 0 else ()
        return tuple(
            replace(note, in_restart_window=restart.is_near(self._schedule, note.time)) for note in newest[::-1]
        )

    def ping(self, timeout: float) -> None:
        """Go through the loop and back, without the broker; raises BrokerUnavailable where the loop hangs."""
        self._thread.call(_nothing, timeout)

    def market_now(self) -> datetime:
        """The gateway's clock where it is set by hand, else the system's; aware UTC."""
        if self.state().clock == "system":
            return system_now()
        return self._thread.call(self._session.market_now, CLOCK_LIMIT)

    def known_now(self) -> datetime:
        """The market's time as far as it is known here: a set clock's last word, else the system's; never blocks."""
        return self._session.known_now()

    @property
    def lines(self) -> types.LineUse:
        """Shared subscriptions that are open; from any thread."""
        return self._data.in_use()

    @property
    def frames_written(self) -> int:
        """How many order frames (place, modify, cancel) have left so far."""
        return self._session.pacer.order_frames

    # Reads: blocking, from any thread, `timeout` in seconds; BrokerUnavailable where no answer came

    def read(self, name: str, request: Any, timeout: float, contracts: Sequence[types.Contract] = ()) -> Any:
        """The answer to a read of the port's table; `contracts` are those that the request names by id."""
        self._learn(*contracts)
        known = {contract.con_id: contract for contract in contracts}
        ask = READS[name]
        until = time.monotonic() + timeout
        return self._ask(
            lambda connection: ask(Asking(connection, self._session, known, self._data, until), request), timeout
        )

    def book(self, timeout: float) -> Book:
        """Open orders, completed orders and executions, asked anew; BrokerUnavailable if any was not answered."""
        found = self._ask(books.book, timeout)
        self._learn(*filter(None, map(self._known_contract, {report.con_id for report in found.open_orders})))
        return replace(found, open_orders=tuple(map(self._on_tick, found.open_orders)))

    def fence(self, timeout: float) -> None:
        """One round trip: everything that the gateway wrote before is in the sink afterwards."""
        self._ask(self._fence, timeout)

    # Sends: TradingDisabled, OrderInvalid and NotSent prove that nothing left; anything else means that it may have

    def send(self, contract: types.Contract, request: types.PlaceOrder, last_gate: Gate) -> None:
        """Send all legs in one go. `last_gate` and the deadline are checked right before the first byte."""
        self._learn(contract)

        def write() -> None:
            connection = self._writable()
            built = orders.build(connection, contract, request)
            self._pass(last_gate, request.deadline)
            orders.place(connection, built)

        self._submit(len(request.legs), write, self._until(request.deadline))

    def modify(self, request: types.ModifyOrder, last_gate: Gate) -> None:
        """Send a working order again with other prices. Raises OrderInvalid where this client has no such order."""

        def write() -> None:
            connection = self._writable()
            change = orders.changed(connection, request)
            self._pass(last_gate, request.deadline)
            orders.resend(connection, change)

        self._submit(1, write, self._until(request.deadline))

    def cancel(self, order_ref: str, last_gate: Gate, perm_id: int = 0) -> None:
        """Ask for the end of a working order of this client. Raises OrderInvalid where there is none."""

        def write() -> None:
            connection = self._writable(synced=False)
            order_ids = orders.cancellable(connection, order_ref, perm_id)
            self._pass(last_gate, None)
            orders.cancel(connection, order_ids)

        self._submit(1, write, CANCEL_LIMIT)

    def cancel_one(self, order_ref: str, perm_id: int, last_gate: Gate) -> None:
        """Ask for the end of one of several working orders of a reference, if possible of `perm_id`: one frame."""

        def write() -> None:
            connection = self._writable()
            order_ids = orders.cancellable_one(connection, order_ref, perm_id)
            self._pass(last_gate, None)
            orders.cancel(connection, order_ids)

        self._submit(1, write, CANCEL_LIMIT)

    def cancel_everything(self) -> None:
        """Ask for the end of every order of every client, and of those made by hand: one frame."""

        def write() -> None:
            orders.cancel_everything(self._writable(synced=False))

        self._submit(1, write, CANCEL_LIMIT)

    # Inside

    async def _begin(self) -> None:
        # Not in the context of this call, whose deadline passes while the session lives.
        self._running = asyncio.create_task(self._session.run(), context=contextvars.Context())

    def _ask(self, request: Callable[[Connection], Awaitable[T]], timeout: float) -> T:
        async def run() -> T:
            return await request(self._session.connection())

        return self._thread.call(run, timeout)

    async def _fence(self, connection: Connection) -> None:
        await connection.current_time.ask()
        self._session.flush_summary()

    def _submit(self, messages: int, write: Gate, timeout: float) -> None:
        async def run() -> None:
            await self._session.pacer.room_for_orders(messages)
            write()

        try:
            self._thread.call(run, timeout)
        except NotBegun as error:
            raise NotSent(error.message, code=error.reason) from error

    def _writable(self, *, synced: bool = True) -> Connection:
        try:
            return self._session.connection(synced=synced)
        except BrokerUnavailable as error:
            raise NotSent(error.message, code=error.reason) from error

    @staticmethod
    def _pass(last_gate: Gate, deadline: datetime | None) -> None:
        """The last checks before the first byte; whatever they raise, nothing has left."""
        if deadline is not None and system_now() > deadline:
            raise NotSent(f"too late: it had to leave by {deadline.isoformat()}", code="LATE")
        try:
            last_gate()
        except OrderError:
            raise
        except Exception as error:
            raise NotSent(f"the last gate could not be read: {error}", code="GATE_UNREADABLE") from error

    @staticmethod
    def _until(deadline: datetime) -> float:
        return max((deadline - system_now()).total_seconds(), 0.0) + GRACE

    def _learn(self, *found: types.Contract) -> None:
        self._session.ticks.update({contract.con_id: contract.min_tick for contract in found})

    def _on_tick(self, report: types.OrderReport) -> types.OrderReport:
        tick = self._session.ticks.get(report.con_id)
        return replace(
            report,
            limit_price=mapping.on_tick(report.limit_price, tick),
            stop_price=mapping.on_tick(report.stop_price, tick),
        )


async def _nothing() -> None:
    """A turn of the loop."""
