"""The price increments behind each market rule: asked for once, whoever needs them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from broker import types
from broker.ib import mapping

if TYPE_CHECKING:
    from broker.ib.connection import Connection

logger = logging.getLogger(__name__)
ANSWER_LIMIT = 2.0  # seconds; TWS names no request in a refusal, so that silence is one
ASK_AGAIN = 300.0  # seconds after a silence


class MarketRules:
    """Rules by number; they never change, so one answer serves every connection."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[types.PriceIncrement, ...]] = {}
        self._asking: dict[int, asyncio.Lock] = {}
        self._silent_until: dict[int, float] = {}

    async def increments(self, connection: Connection, rule: int) -> tuple[types.PriceIncrement, ...]:
        """The increments by price; empty where the broker names no rule or does not tell it (the tick holds then)."""
        if self._is_due(rule):
            # An answer names the rule, not the request: two of the same rule could not be told apart.
            async with self._asking.setdefault(rule, asyncio.Lock()):
                if self._is_due(rule):
                    await self._ask(connection, rule)
        return self._known.get(rule, ())

    def _is_due(self, rule: int) -> bool:
        return bool(rule) and rule not in self._known and time.monotonic() >= self._silent_until.get(rule, 0.0)

    async def _ask(self, connection: Connection, rule: int) -> None:
        async def send() -> Any:
            answer = connection.wrapper.startReq(f"marketRule-{rule}")
            connection.client.reqMarketRule(rule)
            async with asyncio.timeout(ANSWER_LIMIT):
                return await answer

        try:
            self._known[rule] = _increments(await connection.request(send))
        except TimeoutError:
            self._silent_until[rule] = time.monotonic() + ASK_AGAIN
            logger.warning("the broker does not tell market rule %s; the contract's tick is used", rule)


def _increments(rows: Sequence[Any]) -> tuple[types.PriceIncrement, ...]:
    pairs = [(mapping.number(row.lowEdge), mapping.price(row.increment)) for row in rows]
    return tuple(types.PriceIncrement(low, step) for low, step in sorted(pairs) if low is not None and step is not None)
