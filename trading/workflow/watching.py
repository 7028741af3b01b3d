"""The watch over the account: a snapshot a minute while something is held, and one at the exchange's close."""

from __future__ import annotations

import logging

from autotrader.core import audit
from broker import get_broker
from broker.errors import BrokerUnavailable
from broker.port import Broker
from trading.selectors.watched import close_due, may_be_due, watch_due
from trading.services.snapshots import account_snapshot

logger = logging.getLogger(__name__)


def watch() -> None:
    """Take the snapshot that is due, and let the loss guard judge it; what holds nothing costs two queries.

    A broker that is away leaves no snapshot: entries are judged on the equity of their own moment, or refused.
    """
    if not may_be_due():
        return
    try:
        with get_broker() as broker:
            watch_here(broker)
    except BrokerUnavailable as error:
        logger.info("nothing was watched: %s", error.message)


def watch_here(broker: Broker) -> None:
    """The same with a broker in hand; at most one snapshot."""
    status = broker.status()
    if not (status.ready and status.account):
        return
    closes = close_due(status.account, status.market_now)
    if closes or watch_due(status.account, status.market_now):
        with audit.acting(actor="watch"):
            account_snapshot(broker, cause="close" if closes else "watch")
