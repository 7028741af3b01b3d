"""Scans that clients subscribed to: measured in short steps, and told when they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from broker.paper_gateway.enquiries import Scan
from broker.paper_gateway.reference.scans import Market, find
from broker.paper_gateway.session import Session
from broker.paper_gateway.types import Exchange
from broker.paper_gateway.wire import scanner as wire

FAILED, NOTHING_FOUND = 162, 165

logger = logging.getLogger(__name__)


class Scanning:
    """Serves the scans of all clients from one measurement a minute of the market's clock."""

    def __init__(self, exchange: Exchange, clients: Mapping[int, Session]) -> None:
        self._exchange = exchange
        self._clients = clients
        self._market = Market(exchange)
        self._measuring: asyncio.Task[None] | None = None

    def begin(self, session: Session, request_id: int, scan: Scan) -> None:
        """Answer a new scan: at once from what was measured this minute, else when the market has been measured."""
        if self._market.is_fresh:
            self._tell(session, request_id, scan)
        else:
            self._measure_in_steps()

    def refresh(self) -> None:
        """Measure anew where a new minute began and somebody waits for it; a set clock is measured at once."""
        if self._market.is_fresh or not any(
            session.subscriptions.enquiries.scans for session in self._clients.values()
        ):
            return
        if self._exchange.clock_is_set and self._market.measured_at is not None:
            self.stop()
            for _ in self._market.measure():
                pass
            self._tell_all()
        else:
            self._measure_in_steps()

    def stop(self) -> None:
        """Give up a measurement that is under way."""
        if self._measuring is not None:
            self._measuring.cancel()
            self._measuring = None

    def _measure_in_steps(self) -> None:
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.get_running_loop().create_task(self._measure())

    async def _measure(self) -> None:
        try:
            for _ in self._market.measure():
                await asyncio.sleep(0)  # orders and ticks go on between two stocks
            self._tell_all()
        except Exception:
            logger.exception("the market could not be measured; its scans are ended")
            self._end_all()
        self._measuring = None
        self.refresh()  # the clock may have moved on meanwhile

    def _tell_all(self) -> None:
        for session in list(self._clients.values()):
            for request_id, scan in session.subscriptions.enquiries.scans.items():
                self._tell(session, request_id, scan)
            session.flush()

    def _end_all(self) -> None:
        for session in list(self._clients.values()):
            for request_id in session.subscriptions.enquiries.scans:
                session.error(request_id, FAILED, "Historical Market Data Service error message:The scan failed")
            session.subscriptions.enquiries.scans.clear()
            session.flush()

    def _tell(self, session: Session, request_id: int, scan: Scan) -> None:
        found = find(self._market.figures, scan.query)
        if found == scan.sent:
            return
        scan.sent = found
        if not found:
            text = "Historical Market Data Service query message:no items retrieved"
            session.error(request_id, NOTHING_FOUND, text)
        session.send(wire.finds(request_id, found))
