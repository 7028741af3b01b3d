"""The life of the connection, in the loop's thread: connect with back-off, prove the account, replay, reconnect."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from autotrader.core.clock import system_now
from broker import types
from broker.errors import AccountError, BrokerError, BrokerUnavailable
from broker.ib import account
from broker.ib.backoff import Backoff
from broker.ib.connection import Connection
from broker.ib.errors import NeedsPerson
from broker.ib.heartbeat import Beat, Heartbeat, Skew, ask_time
from broker.ib.journal import Journal
from broker.ib.notices import Notices, Reactions
from broker.ib.pacing import Pacer
from broker.ib.state import ConnectionState, Endpoint, StateBox
from broker.ib.summaries import SummaryAfterFills
from broker.ib.wrapper import Hooks

__all__ = ["ConnectionState", "Endpoint", "Session"]
log = logging.getLogger(__name__)
HANDSHAKE_LIMIT = 15.0
DELAYED_WHERE_NOT_LIVE = 3
Sleep = Callable[[float], Awaitable[None]]


class Session:
    """Keeps one connection alive.

    Only `state`, `action`, `heartbeat_age`, `journal.notes` and `wait` may be used from other threads.

    `restored` holds what must be done when subscriptions may have ended without a word: on each new connection, and
    when TWS has reached the broker again (1101, and 1102 too, after which streams are known to stay silent).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        accept_account: Callable[[tuple[str, ...]], str],
        sink: Callable[[types.BrokerEvent], None],
        on_synced: Callable[[], None],
        beat: Beat | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.ticks: dict[int, Decimal] = {}
        self.pacer = Pacer(endpoint.limits, time.monotonic)
        self.restored: list[Callable[[Connection], None]] = []
        self._accept_account = accept_account
        self._sink = sink
        self._on_synced = on_synced
        self._beat = beat or Beat()
        self._sleep = sleep
        self._box = StateBox()
        self.journal = Journal()
        self._notices = Notices(
            Reactions(
                self._changed,
                self._client_id_taken,
                self._broker_lost,
                self._broker_is_back,
                self._drop,
                lambda code, text: self.journal.add("code", text, code),
            )
        )
        self._summaries = SummaryAfterFills(self._emit_summary, lambda: self.state.synced)
        self._connection: Connection | None = None
        self._heartbeat: Heartbeat | None = None
        self._skew = Skew()
        self._cause = ""
        self._outage = ""
        self._announced = False
        self._last_id = 0  # of any connection: a gateway that restarts may forget which ids were used
        self._tasks: set[asyncio.Task[None]] = set()
        self._resyncing: asyncio.Task[None] | None = None
        self._set_clock: datetime | None = None

    @property
    def state(self) -> ConnectionState:
        """The state now, from any thread."""
        return self._box.now

    @property
    def heartbeat_age(self) -> float | None:
        """Seconds since the last frame; None without a connection."""
        heartbeat = self._heartbeat
        return heartbeat.age if heartbeat is not None else None

    @property
    def action(self) -> str:
        """What a person must do now; empty for nothing. From any thread."""
        return "" if self._notices.advice_is_old() else self.state.action

    def wait(self, until: Callable[[ConnectionState], bool], timeout: float) -> bool:
        """Wait in another thread for a state; False where the time-out passed."""
        return self._box.wait(until, timeout)

    def connection(self, *, synced: bool = True) -> Connection:
        """The connection in use. Raises BrokerUnavailable where there is none or its replay is not done."""
        state = self.state
        if self._connection is None or not state.connected or (synced and not state.synced):
            raise BrokerUnavailable(f"no connection to the broker at {self.endpoint}: {state.reason}")
        if not self._connection.is_writable():
            raise BrokerUnavailable(f"the connection to the broker at {self.endpoint} is closing")
        return self._connection

    async def market_now(self) -> datetime:
        """The gateway's clock where it is set by hand, else the system's."""
        if self.state.clock == "system":
            return system_now()
        now: datetime = await self.connection().current_time.ask()
        self._clock_moved(now)
        return now

    def known_now(self) -> datetime:
        """The last time that a set clock has told, else the system's; asks nobody."""
        return self._set_clock or system_now()

    def flush_summary(self) -> None:
        """Put the account summary that a fill has made due into the sink, if its values have begun to arrive."""
        self._summaries.flush()

    async def run(self) -> None:
        """Connect, hold the connection, and connect again, until cancelled."""
        backoff = Backoff()
        self.journal.add("started", f"looking for the gateway at {self.endpoint} as client {self.endpoint.client_id}")
        try:
            while True:
                begun = time.monotonic()
                synced = await self._live_once()
                await self._sleep(backoff.after(synced=synced, lived=time.monotonic() - begun))
        except asyncio.CancelledError:
            self._box.set(connected=False, synced=False, reason="stopped", phase="stopped")
            raise

    async def _live_once(self) -> bool:
        """One connection from its first byte to its last; whether it was ever synced."""
        self._cause = self._outage = ""
        self._notices.connecting()
        connection = Connection(self._hooks(), self.pacer, self._drop)
        synced, reason = False, "stopped"
        try:
            await self._open(connection)
            synced = self.state.synced
            reason = await connection.closed()
        except (OSError, TimeoutError, BrokerError) as error:
            reason = str(error) or type(error).__name__
            self._not_connected(error)
        except Exception as error:
            log.exception("the connection to %s failed", self.endpoint)
            reason = repr(error)
        finally:
            self._end(connection)
        self._lost(self._cause or reason, was_open=bool(connection.account))
        return synced

    def _not_connected(self, error: Exception) -> None:
        refused = isinstance(error, ConnectionRefusedError)
        self._box.set(refusals=self.state.refusals + 1 if refused else 0)
        if isinstance(error, NeedsPerson):
            self._notices.blocked(error.action)
        elif isinstance(error, AccountError):
            self._notices.blocked(f"Connect to a gateway of an account that may be used: {error.message}")
        elif refused:
            self._notices.refused()

    def _end(self, connection: Connection) -> None:
        self._connection = self._heartbeat = None
        self._last_id = max(self._last_id, connection.client.last_id)
        for task in (*self._tasks, self._resyncing):
            if task is not None:
                task.cancel()
        self._tasks.clear()
        self._summaries.cancel()
        connection.close("the connection to the broker was closed")

    async def _open(self, connection: Connection) -> None:
        where = self.endpoint
        accounts = await connection.handshake(where.host, where.port, where.client_id, HANDSHAKE_LIMIT)
        connection.account = self._accept_account(accounts)
        connection.client.updateReqId(self._last_id + 1)
        self._connection = connection
        self._notices.connected()
        self._box.set(
            connected=True,
            accounts=accounts,
            account=connection.account,
            reason="replaying",
            phase="replaying",
            refusals=0,
            connected_at=system_now(),
            server_version=connection.client.serverVersion(),
        )
        said = f"{where} named {', '.join(accounts)}; server version {connection.client.serverVersion()}"
        self.journal.add("connected", said)
        self._watch(connection)
        if not where.paper:
            connection.reqMarketDataType(DELAYED_WHERE_NOT_LIVE)
        await self._sync(connection)

    def _watch(self, connection: Connection) -> None:
        """Listen for signs of life, from before the replay on: TWS may fall silent in the middle of it."""
        self._heartbeat = Heartbeat(self._beat, lambda: self._measure(connection), self._drop, self._patience)
        self._tasks.add(asyncio.ensure_future(self._heartbeat.run()))

    def _patience(self) -> float:
        return self._beat.set_patience if self.state.clock == "set" else self._beat.patience

    async def _measure(self, connection: Connection) -> None:
        """One heartbeat; of a set clock it tells nothing but that the gateway lives."""
        told = await ask_time(connection)
        if self.state.clock == "system":
            self._skew.add(told.skew_s)
            self._box.set(skew_s=self._skew.value)

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
        market_now = await self._read_clock(connection)
        self._emit_summary()
        if self._outage:  # it began while TWS was telling what it remembers
            self._box.set(reason=self._outage, phase="broker_lost")
            return
        self._box.set(synced=True, reason="", phase="ready")
        self.journal.add("replayed", f"account {connection.account}")
        self._announced = True
        self._sink(self._report("CONNECTED", market_now, str(self.endpoint)))
        self._on_synced()
        for restore in self.restored:
            restore(connection)

    async def _read_clock(self, connection: Connection) -> datetime:
        """Whose clock is the market's; the time by it."""
        if self.endpoint.paper and account.clock_is_set(account.values_of(connection)):
            self._box.set(clock="set", skew_s=None)
            now: datetime = await connection.current_time.ask()
            self._set_clock = now
            return now
        self._box.set(clock="system")
        self._set_clock = None
        await self._measure(connection)
        return system_now()

    def _hooks(self) -> Hooks:
        return Hooks(
            sink=self._sink,
            tick=self.ticks.get,
            account_values_changed=self._summaries.value_came,
            executed=self._summaries.expect,
            notice=self._notice,
            heard=self._heard,
            now=self.known_now,
            clock_moved=self._clock_moved,
        )

    def _heard(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.heard()

    def _clock_moved(self, at: datetime) -> None:
        if not self.endpoint.paper:
            return
        self._set_clock = at
        if self.state.clock == "system":  # the gateway's clock has just begun to go its own way
            self._box.set(clock="set", skew_s=None)

    # What the gateway says of the connection

    def _notice(self, request_id: int, code: int, text: str) -> None:
        self.pacer.refused(code, text)
        self._notices.hear(request_id, code, text)

    def _client_id_taken(self, text: str) -> None:
        self._cause = f"client id {self.endpoint.client_id} is already in use at {self.endpoint} (326: {text})"

    def _changed(self, **changes: Any) -> None:
        """What TWS said changes the state; what a person must do is worth a note."""
        action = changes.get("action", self.state.action)
        if action != self.state.action:
            self.journal.add("action" if action else "no_action", action or self.state.action)
        self._box.set(**changes)

    def _broker_lost(self, reason: str) -> None:
        if not self._outage:
            self.journal.add("broker_lost", reason)
        self._outage = reason
        self._box.set(synced=False, reason=reason, phase="broker_lost")
        self._announce_loss(reason)

    def _broker_is_back(self) -> None:
        if self._outage:
            self.journal.add("broker_back", "TWS has reached the broker again; everything is read anew")
        self._outage = ""
        if self._connection is None:
            return
        if self._resyncing is not None:
            self._resyncing.cancel()
        self._resyncing = asyncio.ensure_future(self._resync(self._connection))

    async def _resync(self, connection: Connection) -> None:
        self._box.set(synced=False, reason="replaying after TWS reached the broker again", phase="replaying")
        try:
            await self._sync(connection)
        except Exception as error:
            log.exception("the replay after an outage failed")
            self._drop(f"the replay failed: {error}")

    def _drop(self, reason: str) -> None:
        """Give the connection up, with what has not left yet; `run` makes a new one."""
        self._cause = reason
        if self._connection is not None:
            self._box.set(connected=False, synced=False, reason=reason)
            self._connection.close(reason, abort=True)

    def _lost(self, reason: str, *, was_open: bool) -> None:
        self.journal.add("lost" if was_open else "refused", reason)
        self._notices.disconnected()
        phase: types.Phase = "needs_person" if self.state.action else "connecting"
        self._box.set(connected=False, synced=False, reason=reason, phase=phase)
        self._announce_loss(reason)

    def _announce_loss(self, reason: str) -> None:
        if self._announced:
            self._announced = False
            self._sink(self._report("LOST", system_now(), reason))

    def _report(self, state: Literal["CONNECTED", "LOST"], market_now: datetime, detail: str) -> types.ConnectionReport:
        return types.ConnectionReport(
            account=self.state.account,
            state=state,
            clock=self.state.clock,
            market_now=market_now,
            detail=detail,
            time=system_now(),
        )

    def _emit_summary(self) -> None:
        connection = self._connection
        if connection is not None:
            self._sink(account.summary_of(connection, self.known_now()))
