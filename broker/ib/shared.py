"""Subscriptions that callers share: one a key, kept a while after the last asking, made again on a new connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from broker.errors import BrokerUnavailable, MarketDataError
from broker.ib.ticks import Subscriber, ends

if TYPE_CHECKING:
    from broker.ib.connection import Connection

IDLE = 60.0  # seconds after the last asking that end a subscription
BUST = 10225  # TWS has ended the subscription and wants it made again at once
Refusal = tuple[int, str]  # code and text


class Shared(Subscriber):
    """One subscription; a kind of it says how it is sent, how it is ended, and what its frames mean."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.request_id = 0
        self.refusal: Refusal | None = None
        self.refused_at = 0.0
        self.opened_at = self.asked_at = 0.0
        self.users = 0
        self.opening = asyncio.Lock()
        self.make_again: Callable[[], None] = lambda: None
        self._ears: set[asyncio.Future[None]] = set()

    def send(self, connection: Connection, request_id: int) -> None:
        """Write the request."""
        raise NotImplementedError

    def cancel(self, connection: Connection, request_id: int) -> None:
        """Write the end of the request."""
        raise NotImplementedError

    def restarted(self) -> None:
        """A new request begins: drop what may not outlive the old one."""

    def refused(self, code: int, message: str) -> None:
        """Remember why nothing comes; the next frame proves that something does again."""
        if not ends(code, message):
            return
        if code == BUST:
            self.make_again()
            return
        self.refusal, self.refused_at = (code, message), time.monotonic()
        self.told()

    def told(self) -> None:
        """Wake those who wait."""
        for ear in self._ears:
            if not ear.done():
                ear.set_result(None)

    def came(self) -> None:
        """Data has come: whatever was refused before is over."""
        self.refusal = None
        self.told()

    async def until(self, is_ready: Callable[[], bool], connection: Connection, deadline: float) -> bool:
        """Wait for what `is_ready` says, a refusal or the deadline. Raises BrokerUnavailable on a lost connection."""
        if self._is_over(is_ready):
            return is_ready()
        closed = asyncio.ensure_future(connection.closed())
        try:
            while not self._is_over(is_ready) and (left := deadline - time.monotonic()) > 0:
                await self._next(closed, left)
                if closed.done():
                    raise BrokerUnavailable(f"the connection to the broker was lost: {closed.result()}")
        finally:
            closed.cancel()
        return is_ready()

    def _is_over(self, is_ready: Callable[[], bool]) -> bool:
        return is_ready() or self.refusal is not None

    async def _next(self, closed: asyncio.Future[str], limit: float) -> None:
        """Wait for the next thing told. Nothing can be missed: the ear is there before the loop turns."""
        ear: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ears.add(ear)
        either: set[asyncio.Future[Any]] = {ear, closed}
        try:
            await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ears.discard(ear)


K = TypeVar("K", bound=Hashable)
S = TypeVar("S", bound=Shared)


class Pool(Generic[K, S]):
    """The subscriptions of a kind, at most `limit`; all methods run in the loop's thread."""

    def __init__(self, what: str, limit: int, idle: float = IDLE) -> None:
        self.limit = limit
        self._what = what
        self._idle = idle
        self._open: dict[K, S] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._remaking: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def use(self, connection: Connection, key: K, make: Callable[[], S]) -> S:
        """The subscription of the key, open on this connection. `release` it afterwards.

        Raises MarketDataError (TOO_MANY_LINES) where all that the broker allows are in use at this moment.
        """
        shared = self._open.get(key)
        if shared is None:
            self._make_room()
            shared = self._open[key] = make()
        shared.users += 1
        shared.asked_at = time.monotonic()
        self._sweep_later()
        try:
            await self._ensure(connection, shared)
        except BaseException:
            self.release(shared)
            raise
        return shared

    @staticmethod
    def release(shared: Shared) -> None:
        """A caller has its answer."""
        shared.users -= 1
        shared.asked_at = time.monotonic()

    def drop(self, key: K) -> None:
        """End the subscription of the key; a later asking makes a new one."""
        shared = self._open.pop(key, None)
        if shared is not None:
            self._close(shared)

    async def reopen(self, connection: Connection, shared: S) -> None:
        """End the request and make it again, once for all who find it dead."""
        found_dead = shared.request_id
        async with shared.opening:
            if shared.request_id == found_dead:
                await connection.request(lambda: self._begin(connection, shared))

    def restore(self, connection: Connection) -> None:
        """Make every subscription that is still wanted again; what TWS kept of an outage may well be silent."""
        self._sweep()
        if self._restoring is not None:
            self._restoring.cancel()
        for shared in self._open.values():
            self._close(shared)
        self._restoring = asyncio.ensure_future(self._restore(connection))

    def _remake(self, connection: Connection, shared: S) -> None:
        task = asyncio.ensure_future(self._restore_one(connection, shared))
        self._remaking.add(task)
        task.add_done_callback(self._remaking.discard)

    async def _restore_one(self, connection: Connection, shared: S) -> None:
        with suppress(BrokerUnavailable):  # lost meanwhile; the next connection restores it
            await self.reopen(connection, shared)

    async def _restore(self, connection: Connection) -> None:
        for key, shared in sorted(self._open.items(), key=lambda pair: -pair[1].asked_at):
            if self._open.get(key) is not shared:  # it made room for another meanwhile
                continue
            shared.users += 1
            try:
                await self._ensure(connection, shared)
            except BrokerUnavailable:  # lost again; the next connection restores them
                return
            finally:
                shared.users -= 1

    async def _ensure(self, connection: Connection, shared: S) -> None:
        async with shared.opening:
            if shared.connection is not connection:
                await connection.request(lambda: self._begin(connection, shared))

    async def _begin(self, connection: Connection, shared: S) -> None:
        self._close(shared)
        request_id = connection.client.getReqId()
        shared.connection, shared.request_id = connection, request_id
        shared.refusal, shared.opened_at = None, time.monotonic()
        shared.make_again = lambda: self._remake(connection, shared)
        shared.restarted()
        connection.wrapper.subscribers[request_id] = shared
        shared.send(connection, request_id)

    def _close(self, shared: Shared) -> None:
        connection, request_id = shared.connection, shared.request_id
        shared.connection = None
        if connection is None:
            return
        connection.wrapper.subscribers.pop(request_id, None)
        if connection.is_writable():
            shared.cancel(connection, request_id)
        shared.told()

    def _make_room(self) -> None:
        if len(self._open) < self.limit:
            return
        idle = [(shared.asked_at, key) for key, shared in self._open.items() if not shared.users]
        if not idle:
            text = f"all {self.limit} {self._what} that the broker allows are in use; ask for fewer at once"
            raise MarketDataError(text, code="TOO_MANY_LINES")
        self.drop(min(idle, key=lambda pair: pair[0])[1])

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._idle, self._swept)

    def _swept(self) -> None:
        self._sweeping = None
        self._sweep()
        if self._open:
            self._sweep_later()

    def _sweep(self) -> None:
        too_old = time.monotonic() - self._idle
        for key in [key for key, shared in self._open.items() if not shared.users and shared.asked_at <= too_old]:
            self.drop(key)
