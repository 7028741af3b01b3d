"""One connection to the gateway: ib_insync's IB with our wrapper, our pacing and requests that always end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from autotrader.core.ops.crashpoints import crashpoint
from broker.errors import BrokerUnavailable
from broker.ib.errors import NeedsPerson
from broker.ib.library import ib_insync
from broker.ib.loop import SingleFlight
from broker.ib.pacing import Pacer
from broker.ib.wrapper import Hooks, ReportingWrapper

T = TypeVar("T")
ANSWER_LIMIT = 30.0
ORDER_MESSAGES = {"3\0": "frame", "4\0": "cancel"}
LOG_IN = "Log in at TWS or IB Gateway, with the second factor: it takes connections but names no account."
RequestError = ib_insync.RequestError


class PacedClient(ib_insync.Client):  # type: ignore[misc]
    """ib_insync's client without its own queue: what is sent leaves at once, and is counted."""

    MaxRequests = 0

    def __init__(self, wrapper: Any, pacer: Pacer) -> None:
        super().__init__(wrapper)
        self._pacer = pacer
        self.last_id = 0

    def getReqId(self) -> int:
        """The next id, kept in mind beyond the end of the connection."""
        self.last_id = int(super().getReqId())
        return self.last_id

    def sendMsg(self, msg: str) -> None:
        """Send one message now."""
        kind = ORDER_MESSAGES.get(msg[:2], "")
        self._pacer.note(is_order=bool(kind))
        if not kind:
            super().sendMsg(msg)
            return
        crashpoint(f"{kind}_writing")
        crashpoint(f"{kind}_half", lambda: self._send_half(msg))
        super().sendMsg(msg)
        crashpoint(f"{kind}_written")

    def _send_half(self, msg: str) -> None:
        data = self._prefix(msg.encode())
        self.conn.sendMsg(data[: len(data) // 2])


class Connection(ib_insync.IB):  # type: ignore[misc]
    """One socket to the gateway, never used again once it is lost. All methods run in the loop's thread."""

    RaiseRequestErrors = True
    TimezoneTWS = "UTC"

    def __init__(self, hooks: Hooks, pacer: Pacer, doubt: Callable[[str], None]) -> None:
        """`doubt` is told when an answer stays out that only a dead connection can owe us."""
        super().__init__()
        self.wrapper = ReportingWrapper(self, hooks)
        self.client = PacedClient(self.wrapper, pacer)
        self.account = ""
        self.greeted = False
        self._pacer = pacer
        self._doubt = doubt
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.client.conn.disconnected += self._on_closed
        self.current_time = self._flight("the time", self.reqCurrentTimeAsync)
        self.open_orders = self._flight("open orders", self.reqAllOpenOrdersAsync)
        self.completed_orders = self._flight("completed orders", lambda: self.reqCompletedOrdersAsync(apiOnly=False))
        self.positions_now = self._flight("positions", self.reqPositionsAsync)
        self.account_values = self._flight("account values", lambda: self.reqAccountUpdatesAsync(self.account))

    async def handshake(self, host: str, port: int, client_id: int, timeout: float) -> tuple[str, ...]:
        """Connect; the accounts that the gateway names. Raises OSError, NeedsPerson where nobody is logged in there."""
        self.wrapper.clientId = client_id
        connecting = asyncio.ensure_future(self.client.connectAsync(host, port, client_id, timeout))
        await asyncio.wait({connecting, self._closed}, return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            connecting.cancel()
            raise ConnectionError("the gateway closed the connection during the handshake")
        try:
            await connecting
        except TimeoutError as error:
            reason = f"the gateway did not end the handshake within {timeout:g} s"
            raise NeedsPerson(reason, LOG_IN) if self.greeted else ConnectionError(reason) from error
        return tuple(self.client.getAccounts())

    async def closed(self) -> str:
        """Wait until the socket is gone; what the system said of it."""
        return await asyncio.shield(self._closed)

    def close(self, reason: str, *, abort: bool = False) -> None:
        """Disconnect and end every request that still waits; `closed` answers at once, whatever the peer does.

        `abort`: what was written and has not left yet, never leaves.
        """
        transport = self.client.conn.transport
        self._on_closed(reason)
        self.wrapper.fail_pending(reason)
        self.client.disconnect()
        if abort and transport is not None:
            transport.abort()

    def is_writable(self) -> bool:
        """Whether a frame written now would leave this process."""
        transport = self.client.conn.transport
        return bool(self.isConnected() and transport is not None and not transport.is_closing())

    async def request(self, send: Callable[[], Awaitable[T]]) -> T:
        """Make a request that has an id, when there is room for it. Raises RequestError as the gateway refuses it."""
        await self._pacer.room_for_data()
        return await self._sent(send)

    @staticmethod
    async def _sent(send: Callable[[], Awaitable[T]]) -> T:
        try:
            return await send()
        except ConnectionError as error:
            raise BrokerUnavailable(f"the connection to the broker was lost: {error}") from error

    async def executions(self) -> list[Any]:
        """Today's fills of all clients, asked anew."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                return await self.request(self.reqExecutionsAsync)
        except (RequestError, TimeoutError) as error:
            raise BrokerUnavailable(f"the gateway did not tell today's executions: {error!r}") from error

    def _flight(self, what: str, send: Callable[[], Awaitable[T]]) -> SingleFlight[T]:
        def fly() -> Coroutine[Any, Any, T]:
            return self._answered(what, send)

        return SingleFlight(fly)

    async def _answered(self, what: str, send: Callable[[], Awaitable[T]]) -> T:
        """The answer to a request without an id. If it stays out, no later answer could be told from it.

        The wait for room before it, behind a burst of orders, tells nothing of the gateway.
        """
        await self._pacer.room_for_data()
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                return await self._sent(send)
        except TimeoutError as error:
            reason = f"the gateway did not answer the request for {what} within {ANSWER_LIMIT:g} s"
            self._doubt(reason)
            raise BrokerUnavailable(reason) from error

    def _on_closed(self, message: str) -> None:
        if not self._closed.done():
            self._closed.set_result(message or "the gateway closed the connection")

    def _onError(self, *_error: Any) -> None:
        """Leave 1102 to the session: ib_insync would start one more account summary each time and never end it."""
