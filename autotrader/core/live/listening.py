"""PostgreSQL's word that events were committed: one connection that listens, opened anew whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import psycopg

from autotrader.core.live.reader import DatabaseAway, Reader

logger = logging.getLogger(__name__)
CHANNEL = "autotrader_events"  # as the trigger of audit's migration 0004 names it
PAUSE_S = 1.0
# What Django adds for its own connections.
NOT_LIBPQ = ("cursor_factory", "context", "prepare_threshold", "server_side_binding")


async def listen(reader: Reader, woken: Callable[[], None]) -> None:
    """Call `woken` after each commit that recorded events, until cancelled.

    Nothing depends on it but speed: who is never woken looks by itself, a little later.
    """
    while True:
        try:
            await _listen(await reader.connection_parameters(), woken)
        except (psycopg.Error, DatabaseAway) as error:
            logger.debug("not listening: %s", error)
        await asyncio.sleep(PAUSE_S)


async def _listen(parameters: dict[str, Any], woken: Callable[[], None]) -> None:
    known = {name: value for name, value in parameters.items() if name not in NOT_LIBPQ}
    async with await psycopg.AsyncConnection.connect(**known, autocommit=True) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        woken()  # for what was committed before
        async for _ in connection.notifies():
            woken()
