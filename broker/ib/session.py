"""The life of the connection, in the loop's thread: connect with back-off, prove the account, replay, reconnect."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from autotrader.core.clock import system_now
from broker import types
from broker.errors import BrokerError, BrokerUnavailable
from broker.ib import account
from broker.ib.connection import Connection
from broker.ib.pacing import REAL_LIMIT, Pacer
from broker.ib.wrapper import Hooks

log = logging.getLogger(__name__)
FIRST_DELAY, LONGEST_DELAY = 0.2, 30.0
HANDSHAKE_LIMIT = 15.0
QUIET = 0.05  # seconds without another account value that end a batch of them
CLIENT_ID_TAKEN, BROKER_LOST, RESTORED_DATA_LOST, RESTORED = 326, 1100, 1101, 1102
DELAYED_WHERE_NOT_LIVE = 3


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What the connection knows of itself. `synced` = the replay of this connection is in the sink."""

    since: datetime
    connected: bool = False
    synced: bool = False
    accounts: tuple[str, ...] = ()
    account: str = ""
    clock: Literal["system", "set"] = "system"
    reason: str = "not connected yet"
    refusals: int = 0  # of the socket, in a row


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and as whom; `paper` = our own paper gateway."""

    host: str
    port: int
    client_id: int
    paper: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Session:
    """Keeps one connection alive. Only `state` and `wait` may be used from other threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        accept_account: Callable[[tuple[str, ...]], str],
        sink: Callable[[types.BrokerEvent], None],
        on_synced: Callable[[], None],
    ) -> None:
        self.endpoint = endpoint
        self.ticks: dict[int, Decimal] = {}
        self.pacer = Pacer(None if endpoint.paper else REAL_LIMIT, time.monotonic)
        self._accept_account = accept_account
        self._sink = sink
        self._on_synced = on_synced
        self._changed = threading.Condition()
        self._state = ConnectionState(since=system_now())
        self._connection: Connection | None = None
        self._cause = ""
        self._outage = ""
        self._announced = False
        self._summary_due = False
        self._summary_timer: asyncio.TimerHandle | None = None
        self._resyncing: asyncio.Task[None] | None = None
        self._set_clock: datetime | None = None

    @property
    def state(self) -> ConnectionState:
        """The state now, from any thread."""
        return self._state

    def wait(self, until: Callable[[ConnectionState], bool], timeout: float) -> bool:
        """Wait in another thread for a state; False where the time-out passed."""
        with self._changed:
            return self._changed.wait_for(lambda: until(self._state), timeout)

    def connection(self, *, synced: bool = True) -> Connection:
        """The connection in use. Raises BrokerUnavailable where there is none or its replay is not done."""
        state = self._state
        if self._connection is None or not state.connected or (synced and not state.synced):
            raise BrokerUnavailable(f"no connection to the broker at {self.endpoint}: {state.reason}")
        if not self._connection.is_writable():
            raise BrokerUnavailable(f"the connection to the broker at {self.endpoint} is closing")
        return self._connection

    async def market_now(self) -> datetime:
        """The gateway's clock where it is set by hand, else the system's."""
        if self._state.clock == "system":
            return system_now()
        now: datetime = await self.connection().current_time.ask()
        self._clock_moved(now)
        return now

    def known_now(self) -> datetime:
        """The last time that a set clock has told, else the system's; asks nobody."""
        return self._set_clock or system_now()

    def _clock_moved(self, at: datetime) -> None:
        if self.endpoint.paper:
            self._set_clock = at

    async def run(self) -> None:
        """Connect, hold the connection, and connect again, until cancelled."""
        delay = FIRST_DELAY
        try:
            while True:
                lived = await self._live_once()
                delay = FIRST_DELAY if lived else delay
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(delay * 2, LONGEST_DELAY)
        except asyncio.CancelledError:
            self._set(connected=False, synced=False, reason="stopped")
            raise

    async def _live_once(self) -> bool:
        """One connection from its first byte to its last; whether it was ever synced."""
        self._cause = self._outage = ""
        connection = Connection(self._hooks(), self.pacer, self._drop)
        synced, reason = False, "stopped"
        try:
            await self._open(connection)
            synced = self._state.synced
            reason = await connection.closed()
        except (OSError, TimeoutError, BrokerError) as error:
            reason = str(error) or type(error).__name__
            refused = self._state.refusals + 1 if isinstance(error, ConnectionRefusedError) else 0
            self._set(refusals=refused)
        except Exception as error:
            log.exception("the connection to %s failed", self.endpoint)
            reason = repr(error)
        finally:
            self._end(connection)
        self._lost(self._cause or reason)
        return synced

    def _end(self, connection: Connection) -> None:
        self._connection = None
        if self._resyncing is not None:
            self._resyncing.cancel()
        if self._summary_timer is not None:
            self._summary_timer.cancel()
            self._summary_timer = None
        connection.close("the connection to the broker was closed")

    async def _open(self, connection: Connection) -> None:
        where = self.endpoint
        accounts = await connection.handshake(where.host, where.port, where.client_id, HANDSHAKE_LIMIT)
        connection.account = self._accept_account(accounts)
        self._connection = connection
        self._set(connected=True, accounts=accounts, account=connection.account, reason="replaying", refusals=0)
        if not where.paper:
            connection.reqMarketDataType(DELAYED_WHERE_NOT_LIVE)
        await self._sync(connection)

    async def _sync(self, connection: Connection) -> None:
        """Replay everything the broker knows into the sink; an answer that stays out ends the connection."""
        *_, completed = await asyncio.gather(
            connection.account_values.ask(),
            connection.positions_now.ask(),
            connection.open_orders.ask(),
            connection.completed_orders.ask(),
        )
        for trade in completed:
            self._sink(connection.wrapper.completed_report(trade))
        await connection.executions()
        is_set = self.endpoint.paper and account.clock_is_set(account.values_of(connection))
        self._set(clock="set" if is_set else "system")
        market_now = await connection.current_time.ask() if is_set else system_now()
        self._set_clock = market_now if is_set else None
        self._emit_summary()
        if self._outage:  # it began while TWS was telling what it remembers
            self._set(reason=self._outage)
            return
        self._set(synced=True, reason="")
        self._announced = True
        self._sink(self._report("CONNECTED", market_now, str(self.endpoint)))
        self._on_synced()

    def _hooks(self) -> Hooks:
        return Hooks(
            sink=self._sink,
            tick=self.ticks.get,
            account_values_changed=self._await_quiet,
            executed=self._expect_summary,
            notice=self._notice,
            now=self.known_now,
            clock_moved=self._clock_moved,
        )

    # What the gateway says of the connection

    def _notice(self, code: int, text: str) -> None:
        if code == CLIENT_ID_TAKEN:
            self._cause = f"client id {self.endpoint.client_id} is already in use at {self.endpoint} (326: {text})"
        elif code == BROKER_LOST:
            self._outage = f"TWS has lost its connection to the broker (1100: {text})"
            self._set(synced=False, reason=self._outage)
            self._announce_loss(self._outage)
        elif code in (RESTORED, RESTORED_DATA_LOST) and self._connection is not None:
            self._outage = ""
            if self._resyncing is not None:
                self._resyncing.cancel()
            self._resyncing = asyncio.ensure_future(self._resync(self._connection))

    async def _resync(self, connection: Connection) -> None:
        self._set(synced=False, reason="replaying after TWS reached the broker again")
        try:
            await self._sync(connection)
        except Exception as error:
            log.exception("the replay after an outage failed")
            self._drop(f"the replay failed: {error}")

    def _drop(self, reason: str) -> None:
        """Give the connection up; `run` makes a new one."""
        self._cause = reason
        if self._connection is not None:
            self._connection.close(reason)

    def _lost(self, reason: str) -> None:
        self._set(connected=False, synced=False, reason=reason)
        self._announce_loss(reason)

    def _announce_loss(self, reason: str) -> None:
        if self._announced:
            self._announced = False
            self._sink(self._report("LOST", system_now(), reason))

    def _report(self, state: Literal["CONNECTED", "LOST"], market_now: datetime, detail: str) -> types.ConnectionReport:
        return types.ConnectionReport(
            account=self._state.account,
            state=state,
            clock=self._state.clock,
            market_now=market_now,
            detail=detail,
            time=system_now(),
        )

    def _set(self, **changes: Any) -> None:
        before = self._state
        state = replace(before, **changes)
        if (state.connected, state.synced) != (before.connected, before.synced):
            state = replace(state, since=system_now())
        with self._changed:
            self._state = state
            self._changed.notify_all()

    # One account summary after fills

    def _expect_summary(self) -> None:
        self.flush_summary()
        self._summary_due = True

    def _await_quiet(self) -> None:
        """Values come one by one: take them when no other has followed for a moment."""
        if not (self._summary_due and self._state.synced):
            return
        if self._summary_timer is not None:
            self._summary_timer.cancel()
        self._summary_timer = asyncio.get_running_loop().call_later(QUIET, self.flush_summary)

    def flush_summary(self) -> None:
        """Put the account summary that a fill has made due into the sink, if its values have begun to arrive."""
        if self._summary_timer is None:
            return
        self._summary_timer.cancel()
        self._summary_timer = None
        self._emit_summary()

    def _emit_summary(self) -> None:
        connection = self._connection
        self._summary_due = False
        if connection is not None:
            values = account.values_of(connection)
            self._sink(account.summary(connection.account, values, self.known_now()))
