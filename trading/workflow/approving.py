"""What a person's page needs of the broker: the market beside the question, the word itself, and the sweep."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from broker import get_broker, types
from broker.errors import BrokerUnavailable, MarketDataError
from broker.port import Broker
from trading.models import Approval
from trading.selectors.approvals import any_open
from trading.services.approvals import Word, approval_vote, approvals_expire

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Glance:
    """The market as a person decides; None is what nobody can say now, and `problem` why.

    `received_at` is when the owner of the connection received the price.
    """

    market_now: datetime | None
    account: str
    price: Decimal | None = None
    received_at: datetime | None = None
    drift: Decimal | None = None
    seconds_left: int | None = None
    problem: str = ""


NOBODY = Glance(None, "")


def glance(approval: Approval | None = None) -> Glance:
    """The market's time, and with an approval the price now, how far it has moved, and the time that is left."""
    try:
        with get_broker(own=False) as broker:
            status = broker.status()
            quote = _quote(broker, approval) if approval is not None else None
    except BrokerUnavailable as error:
        return Glance(None, "", problem=error.message)
    return glance_of(approval, status, quote)


def glance_of(approval: Approval | None, status: types.BrokerStatus, quote: types.Quote | None) -> Glance:
    """The same from what the broker has said already."""
    if approval is None:
        return Glance(status.market_now, status.account)
    left = max(int((approval.expires_at - status.market_now).total_seconds()), 0)
    price = None
    if quote is not None:  # what would be paid or received now
        price = quote.ask if approval.terms["legs"][0]["side"] == "BUY" else quote.bid
    drift = None if price is None else (price - approval.price) / approval.price
    received_at = quote.received_at if quote is not None else None
    return Glance(status.market_now, status.account, price, received_at, drift, left)


def _quote(broker: Broker, approval: Approval) -> types.Quote | None:
    try:
        return broker.quote(types.ConId(approval.terms["con_id"]))
    except MarketDataError:
        return None


def decide(pk: int, word: Word) -> Approval:
    """A person's word at this moment of the market; a no is heard without a broker too.

    Raises ApprovalRefused, and BrokerUnavailable where a yes could not be judged.
    """
    try:
        with get_broker(own=False) as broker:
            status = broker.status()
    except BrokerUnavailable:
        if word.approve:
            raise
        return approval_vote(pk, word, account="", market_now=None)
    return approval_vote(pk, word, account=status.account, market_now=status.market_now)


def sweep() -> int:
    """End what nobody answered in time, in the account that the broker trades; the number that ended."""
    if not any_open():
        return 0
    now = glance()
    if now.market_now is None:
        logger.warning("approvals are not swept: %s", now.problem)
        return 0
    return approvals_expire(now.account, now.market_now)
