"""Prices as orders and accounts need them: last prices, exchange rates and sessions of each contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from .prices.calendar import eastern_day, epoch
from .prices.source import PriceSource
from .quotes import as_price, is_price
from .types import ContractFilter, GatewayError, SessionHours, SymbolSpec
from .universe import Universe

ONE = Decimal(1)
LONGEST_PAUSE = 30  # days between two sessions
HoursOf = Callable[[str, date], SessionHours]
NO_DEFINITION = "No security definition has been found for the request"


class Pricing:
    """`worth` values a contract that has no usable price yet. Prices are remembered for the second they belong to."""

    def __init__(
        self,
        source: PriceSource,
        universe: Universe,
        now: Callable[[], datetime],
        base_currency: str,
        worth: Callable[[int], Decimal],
    ) -> None:
        self._source = source
        self._universe = universe
        self._now = now
        self._base = base_currency
        self._worth = worth
        self._specs: dict[int, SymbolSpec] = {}
        self._known: dict[int, Decimal] = {}
        self._second = 0
        self._prices: dict[int, Decimal | None] = {}
        self._hours: dict[int, SessionHours] = {}
        self._pairs: dict[str, tuple[int, bool]] = {}

    def spec(self, con_id: int) -> SymbolSpec:
        """Raises GatewayError 200 for a contract that does not exist."""
        spec = self._specs.get(con_id) or self.find(con_id)
        if spec is None:
            raise GatewayError(200, NO_DEFINITION)
        self._specs[con_id] = spec
        return spec

    def find(self, con_id: int) -> SymbolSpec | None:
        return self._universe.by_con_id(con_id)

    def last(self, con_id: int, at: datetime | None = None) -> Decimal | None:
        """The last price if it can be one."""
        moment = at or self._now()
        second = epoch(moment)
        if second != self._second:
            self._prices.clear()
            self._second = second
        if con_id not in self._prices:
            self._prices[con_id] = self._read(con_id, moment)
        return self._prices[con_id]

    def _read(self, con_id: int, moment: datetime) -> Decimal | None:
        spec = self.spec(con_id)
        snapshot = self._source.snapshot(spec.market, moment)
        if snapshot is None or not is_price(snapshot.last):
            return None
        price = self._known[con_id] = as_price(snapshot.last, spec.min_tick)
        return price

    def price(self, con_id: int, at: datetime | None = None) -> Decimal:
        """The last price that can be one; where the newest bar holds none, the one known before it."""
        price = self.last(con_id, at)
        if price is not None:
            return price
        return self._known[con_id] if con_id in self._known else self._worth(con_id)

    def rate(self, currency: str, at: datetime | None = None) -> Decimal:
        """What one unit of `currency` is worth in base currency, by the middle of its pair.

        Raises GatewayError 201 for a currency without a pair or without a price.
        """
        if currency == self._base:
            return ONE
        con_id, direct = self._pair(currency)
        price = self.price(con_id, at)
        if not price:
            raise GatewayError(201, f"Order rejected - reason:no exchange rate for {currency}")
        return price if direct else ONE / price

    def _pair(self, currency: str) -> tuple[int, bool]:
        """The pair that values a currency, and whether it quotes it in base currency."""
        if currency not in self._pairs:
            for symbol, other in ((currency, self._base), (self._base, currency)):
                wanted = ContractFilter(symbol=symbol, sec_type="CASH", currency=other)
                found = self._universe.find(wanted, eastern_day(self._now()), self.price)
                if found:
                    self._pairs[currency] = (found[0].con_id, symbol == currency)
                    break
            else:
                raise GatewayError(201, f"Order rejected - reason:no exchange rate for {currency}")
        return self._pairs[currency]

    def trading_from(self, con_id: int, at: datetime) -> SessionHours:
        """As `session_from`, of the whole of each day's trading."""
        return self._hours_from(self._source.trading, con_id, at)

    def session_from(self, con_id: int, at: datetime, *, unopened: bool = False) -> SessionHours:
        """The session that `at` lies in, or the next one; `unopened` asks for one that opens at `at` or later.

        A market without any for a month is taken to have one that ends then.
        """
        return self._hours_from(self._source.session, con_id, at, unopened=unopened)

    def in_session(self, con_id: int, at: datetime) -> bool:
        """Whether `at` lies in regular hours, their ends included."""
        hours = self._hours.get(con_id)
        if hours is None or hours.open is None or hours.close is None or not hours.open <= at <= hours.close:
            hours = self._hours[con_id] = self.session_from(con_id, at)
        return hours.open is not None and hours.open <= at

    def _hours_from(self, hours_of: HoursOf, con_id: int, at: datetime, *, unopened: bool = False) -> SessionHours:
        market, first = self.spec(con_id).market, eastern_day(at)
        for ahead in range(LONGEST_PAUSE):
            session = hours_of(market, first + timedelta(days=ahead))
            if session.open is None or session.close is None:
                continue
            if session.open >= at if unopened else session.close > at:
                return session
        end = at + timedelta(days=LONGEST_PAUSE)
        return SessionHours(first, end if unopened else at, end)
