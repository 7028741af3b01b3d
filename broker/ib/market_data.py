"""Snapshot quotes: one answer, live where the account may have it, else delayed and labelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from broker import types
from broker.errors import MarketDataError
from broker.ib import requests
from broker.ib.contracts import ib_contract
from broker.ib.ticks import ends
from broker.ib.top_of_book import DELAYED, TopOfBook

if TYPE_CHECKING:
    from broker.ib.reads import Asking

Refusal = tuple[int, str]  # code and text
NOT_SUBSCRIBED = frozenset({354, 10089, 10091, 10168, 10186})
COMPETING_SESSION = 10197


class Snapshot(TopOfBook):
    """The ticks of one request, until the gateway says that they are all."""

    def __init__(self, now: Callable[[], datetime], answer: asyncio.Future[Refusal | None]) -> None:
        super().__init__(now)
        self._answer = answer

    def ended(self) -> None:
        """All of it has been told."""
        if not self._answer.done():
            self._answer.set_result(None)

    def refused(self, code: int, message: str) -> None:
        """There will be none."""
        if ends(code, message) and not self._answer.done():
            self._answer.set_result((code, message))


async def quote(asking: Asking, query: types.ConId) -> types.Quote:
    """A snapshot of the top of book. Raises MarketDataError where it holds no price at all."""
    contract = asking.contract(query.con_id)
    snapshot, refusal = await _snapshot(asking, contract)
    if refusal is not None and refusal[0] in NOT_SUBSCRIBED:
        asking.connection.client.reqMarketDataType(DELAYED)
        snapshot, refusal = await _snapshot(asking, contract)
    if refusal is not None:
        raise no_quote(contract, *refusal)
    if not snapshot.has_price():
        raise MarketDataError(f"the broker has no price of {contract.symbol} now")
    # A snapshot is true now; of a set clock the last trade tells when the market last moved.
    traded_at = snapshot.traded_at if asking.session.state.clock == "set" else None
    return snapshot.quote(contract, traded_at or await asking.session.market_now())


async def _snapshot(asking: Asking, contract: types.Contract) -> tuple[Snapshot, Refusal | None]:
    connection = asking.connection
    client, wrapper = connection.client, connection.wrapper

    async def told() -> tuple[Snapshot, Refusal | None]:
        request_id = client.getReqId()
        answer = wrapper.startReq(request_id)
        snapshot = wrapper.subscribers[request_id] = Snapshot(asking.session.known_now, answer)
        client.reqMktData(request_id, ib_contract(contract), "", True, False, [])  # noqa: FBT003 - a snapshot
        try:
            return snapshot, await answer
        finally:
            wrapper.subscribers.pop(request_id, None)
            wrapper.forget(request_id)

    return await connection.request(told)


def no_quote(contract: types.Contract, code: int, message: str) -> MarketDataError:
    """What a refused quote means, and what to do about it."""
    error = requests.refusal(f"a quote of {contract.symbol}", code, message)
    if code == COMPETING_SESSION:
        text = f"{contract.symbol} has no market data here while another session of the same user has it; log that out"
        error = MarketDataError(text, code="COMPETING_SESSION", details=error.details)
    elif code in NOT_SUBSCRIBED:
        text = f"the account has neither live nor delayed data of {contract.symbol}: {message}"
        error = MarketDataError(text, code="NOT_SUBSCRIBED", details=error.details)
    error.details["con_id"] = contract.con_id
    return error
