"""One request with an id and its one answer, and what its refusal means to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from broker.errors import MarketDataError
from broker.ib.connection import Connection, RequestError
from broker.ib.ticks import Subscriber, ends

Send = Callable[[int], None]


async def answer(
    connection: Connection,
    send: Send,
    *,
    cancel: Send | None = None,
    always_cancel: bool = False,
    ends_on: frozenset[int] = frozenset(),
) -> Any:
    """Send under a fresh id and wait. Raises RequestError as the gateway refuses it.

    `cancel` is written when the caller gives up, and with `always_cancel` after an answer too. `ends_on`: codes that
    are notices elsewhere, but the only answer that this request will get.
    """

    async def flight() -> Any:
        request_id = connection.client.getReqId()
        future = connection.wrapper.startReq(request_id)
        if ends_on:
            connection.wrapper.subscribers[request_id] = _Refusals(request_id, future, ends_on)
        try:
            send(request_id)
            return await future
        finally:
            connection.wrapper.subscribers.pop(request_id, None)
            if cancel is not None and (always_cancel or future.cancelled()) and connection.is_writable():
                cancel(request_id)

    return await connection.request(flight)


class _Refusals(Subscriber):
    """Ends a request on any error, and on the notices that mean its end."""

    def __init__(self, request_id: int, future: asyncio.Future[Any], ends_on: frozenset[int]) -> None:
        self._request_id = request_id
        self._future = future
        self._ends_on = ends_on

    def refused(self, code: int, message: str) -> None:
        if (code in self._ends_on or ends(code, message)) and not self._future.done():
            self._future.set_exception(RequestError(self._request_id, code, message))


def refused(what: str, error: Any) -> MarketDataError:
    """The broker's own words in a RequestError, as an error of data."""
    return refusal(what, error.code, error.message)


def refusal(what: str, code: int, message: str) -> MarketDataError:
    """As `refused`, of an error that came to a subscription."""
    return MarketDataError(f"the broker refused {what}: {message}", details={"broker_code": code})


def bad_request(field: str, fix: str) -> MarketDataError:
    """A request that cannot be made; `fix` is one sentence that names what to change."""
    return MarketDataError(fix, code="BAD_REQUEST", details={"field": field})
