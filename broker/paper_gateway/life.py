"""When an order may trade and when it ends: time in force, good-after and good-till times, sessions, auctions."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from .checks import Refusal, rejected
from .engine import Life
from .matching import OPEN_DELAY_SECONDS
from .orders import CLOSING, Order
from .prices.calendar import eastern_day
from .pricing import Pricing
from .types import OrderTerms, SessionHours

Outcome = Life | Refusal


class Lives:
    """`keeps_hours`: orders wait outside the hours of their contract, instead of working whenever there is a price.

    `halted` holds the contracts that do not trade at present.
    """

    def __init__(self, market: Pricing, *, keeps_hours: bool, halted: Container[int] = ()) -> None:
        self._market = market
        self._halted = halted
        self._keeps_hours = keeps_hours

    def of(self, terms: OrderTerms, now: datetime) -> Outcome:
        """The life that these terms give an order that comes now, or why it can have none."""
        if terms.good_till is not None and terms.tif == "GTD" and terms.good_till <= now:
            return rejected("the good-till time of the order has passed")
        session = self._market.session_from(terms.con_id, now)
        opens = session.open or now
        if terms.order_type in CLOSING and opens > now and session.day != eastern_day(now):
            return rejected("the closing auction of today is over")
        return Life(self._end(terms, session, now), self._begin(terms, session, now))

    def _end(self, terms: OrderTerms, session: SessionHours, now: datetime) -> datetime | None:
        if terms.tif == "GTC" and terms.order_type not in CLOSING:
            return None
        if terms.tif == "GTD":
            return terms.good_till
        if terms.tif == "OPG":
            opening = self._market.session_from(terms.con_id, now, unopened=True).open or now
            return opening + timedelta(seconds=OPEN_DELAY_SECONDS)
        if terms.outside_rth and self._keeps_hours:
            session = self._market.trading_from(terms.con_id, now)
        return session.close

    def _begin(self, terms: OrderTerms, session: SessionHours, now: datetime) -> datetime | None:
        begin = max(now, terms.good_after or now)
        if self._keeps_hours and terms.tif != "OPG" and terms.order_type not in CLOSING:
            hours = self._market.trading_from if terms.outside_rth else self._market.session_from
            begin = max(begin, hours(terms.con_id, begin).open or begin)
        return begin if begin > now else None

    def may_trade(self, order: Order, at: datetime) -> bool:
        """Whether the hours let a working order trade; an auction has a time of its own."""
        terms = order.terms
        if terms.con_id in self._halted:
            return False
        return not self._keeps_hours or terms.outside_rth or self._market.in_session(terms.con_id, at)


def held_warning(terms: OrderTerms, venue: str, held_until: datetime, zone: str) -> Refusal:
    """The notice that an order waits for its hours: not an error, the order lives."""
    begin = held_until.astimezone(ZoneInfo(zone))
    order = f"{terms.action} {terms.quantity} {terms.symbol} {venue}"
    text = f"your order will not be placed at the exchange until {begin:%Y-%m-%d %H:%M:%S} {zone}."
    return Refusal(399, f"Order Message:\n{order}\nWarning: {text}")
