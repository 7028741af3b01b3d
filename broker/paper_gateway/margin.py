"""Margin in base currency: what the account needs, what working orders would add, what an order would change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from . import economics, matching
from .book import OrderBook
from .ledger import Holding, Ledger, toward_zero
from .orders import Order
from .pricing import Pricing
from .tariff import Tariff
from .types import Preview, SymbolSpec

ZERO = Decimal(0)
CENT = Decimal("0.01")
# Reserves are counted at the prices of the moment they were made: near the limit everything is counted again.
SAFETY = 2


@dataclass(frozen=True, slots=True)
class Margins:
    """Account totals in base currency."""

    equity: Decimal
    initial: Decimal
    maintenance: Decimal

    @property
    def available(self) -> Decimal:
        return self.equity - self.initial


class Valuation:
    """A ledger at the prices and rates of the market now."""

    def __init__(self, ledger: Ledger, market: Pricing) -> None:
        self.ledger = ledger
        self.market = market

    def price(self, con_id: int) -> Decimal:
        return self.market.price(con_id)

    def market_value(self, spec: SymbolSpec, holding: Holding) -> Decimal:
        """In the contract's currency."""
        return holding.quantity * self.price(spec.con_id) * spec.multiplier

    def equity_in(self, spec: SymbolSpec, holding: Holding) -> Decimal:
        """What a holding adds to the equity beside the cash: the whole value of a stock, the profit of a future."""
        return self.equity_at(spec, holding, self.price(spec.con_id))

    @staticmethod
    def equity_at(spec: SymbolSpec, holding: Holding, price: Decimal) -> Decimal:
        """As `equity_in`, at a given price."""
        if spec.sec_type == "CASH":
            return ZERO
        value = holding.quantity * price * spec.multiplier
        return value - holding.paid if spec.sec_type == "FUT" else value

    def margins(self) -> Margins:
        equity = sum((amount * self.market.rate(code) for code, amount in self.ledger.cash.items()), ZERO)
        initial = maintenance = ZERO
        for con_id, holding in self.ledger.holdings.items():
            spec = self.market.spec(con_id)
            rate, price = self.market.rate(spec.currency), self.price(con_id)
            equity += self.equity_in(spec, holding) * rate
            initial += economics.initial_of(spec, holding.quantity, price) * rate
            maintenance += economics.maintenance_of(spec, holding.quantity, price) * rate
        return Margins(equity, initial, maintenance)


class MarginDesk:
    """Says whether the account can carry an order, and what filling it now would change."""

    def __init__(self, valuation: Valuation, book: OrderBook, tariff: Tariff) -> None:
        self._valuation = valuation
        self._market = valuation.market
        self._ledger = valuation.ledger
        self._book = book
        self._tariff = tariff

    def available(self) -> Decimal:
        """Equity that no margin is set against."""
        return self._valuation.margins().available

    def reserve(self, order: Order) -> None:
        """Remember what a working order may need, so that most checks need not count all orders again."""
        self._book.reserve(order, ZERO if order.parent_perm_id else self._alone(order))

    def shortfall(self, order: Order) -> Decimal:
        """How much margin is missing for `order` beside the working ones; 0 or less where it fits."""
        margins = self._valuation.margins()
        if margins.available > SAFETY * (self._book.reserved + self._alone(order)):
            return ZERO
        others = [other for other in self._book.working() if other.perm_id != order.perm_id]
        needed = self.committed([*others, order])
        if needed <= self.committed(others):
            return ZERO
        return needed - margins.equity

    def _alone(self, order: Order) -> Decimal:
        """The margin that this order needs by itself, or the currency that it sells."""
        spec = self._market.spec(order.terms.con_id)
        if spec.sec_type == "CASH":
            currency, amount = self._sold(spec, order)
            return amount * self._market.rate(currency)
        return economics.initial_of(spec, order.remaining, self._worst_price(order)) * self._market.rate(spec.currency)

    def committed(self, orders: Iterable[Order]) -> Decimal:
        """Initial margin if every one of `orders` that can still open something were filled at its price.

        Each contract counts with the larger of all its buys and all its sells; children only close what their
        parent opens and do not count, and of a group only the largest order does. Of a currency that is sold counts
        what is not there.
        """
        of_contract: dict[int, list[Order]] = {}
        for order in _largest_of_groups(order for order in orders if not order.parent_perm_id):
            of_contract.setdefault(order.terms.con_id, []).append(order)
        total, sold = ZERO, dict[str, Decimal]()
        for con_id in {*self._ledger.holdings, *of_contract}:
            spec, members = self._market.spec(con_id), of_contract.get(con_id, [])
            if spec.sec_type == "CASH":
                for currency, amount in (self._sold(spec, order) for order in members):
                    sold[currency] = sold.get(currency, ZERO) + amount
            else:
                total += self._committed_in(spec, members) * self._market.rate(spec.currency)
        for currency, amount in sold.items():
            missing = amount - max(ZERO, self._ledger.cash.get(currency, ZERO))
            total += max(ZERO, missing) * self._market.rate(currency)
        return total

    def _committed_in(self, spec: SymbolSpec, orders: list[Order]) -> Decimal:
        """Of one contract, in its currency: what is held at the last price, and what may be opened at its own."""
        held = self._ledger.quantity(spec.con_id)
        price = self._market.price(spec.con_id)
        worst, at = abs(held), price
        for side in (True, False):
            members = [order for order in orders if order.is_buy == side]
            quantity = sum((order.remaining for order in members), ZERO)
            after = abs(held + quantity if side else held - quantity)
            if after > worst:
                value = sum((order.remaining * self._worst_price(order) for order in members), ZERO)
                worst, at = after, value / quantity
        extra = worst - abs(held)
        return economics.initial_of(spec, held, price) + economics.initial_of(spec, extra, at)

    def _worst_price(self, order: Order) -> Decimal:
        return max(self._market.price(order.terms.con_id), self.order_price(order))

    def _sold(self, spec: SymbolSpec, order: Order) -> tuple[str, Decimal]:
        """The currency that an order of a pair pays with, and how much of it."""
        if order.is_buy:
            return spec.currency, order.remaining * self.order_price(order)
        return spec.symbol, order.remaining

    def order_price(self, order: Order) -> Decimal:
        """The price an order is expected to trade at: its limit, else its stop, else the market's."""
        limit = order.limit if order.limit is not None else order.terms.limit_price
        stop = order.stop if order.stop is not None else order.terms.aux_price
        trails = order.terms.trail_percent is not None or order.terms.order_type == "TRAIL"
        return limit or (order.stop if trails else stop) or self._market.price(order.terms.con_id)

    def preview(self, order: Order) -> Preview:
        """Margins before, change and after, were the whole order filled now.

        An order that trades now pays the far side of the book, and the account is valued at the last price as always;
        of one that does not the shares that it opens count at its price, and all that is held at the market's.
        """
        spec, before = self._market.spec(order.terms.con_id), self._valuation.margins()
        price = self._trades_now(spec, order)
        trades_now = price is not None
        price = self.order_price(order) if price is None else price
        commission = self._tariff.commission(spec, order.quantity, order.quantity * price)
        signed = order.quantity if order.is_buy else -order.quantity
        if trades_now:
            ledger = self._ledger.copy()
            ledger.book(spec, self._tariff.trade(spec, signed, price, commission))
            after = Valuation(ledger, self._market).margins()
        else:
            after = self._after_waiting(spec, before, signed, price, commission)
        return Preview(
            init_margin=_change(before.initial, after.initial),
            maint_margin=_change(before.maintenance, after.maintenance),
            equity_with_loan=_change(before.equity, after.equity),
            commission=commission,
        )

    def _after_waiting(
        self, spec: SymbolSpec, before: Margins, signed: Decimal, price: Decimal, commission: Decimal
    ) -> Margins:
        """The margins with `signed` more shares: what they open counts at `price`, what stays of the holding as now."""
        held, market = self._ledger.quantity(spec.con_id), self._market.price(spec.con_id)
        closed = -toward_zero(held, signed)
        rate = self._market.rate(spec.currency)

        def change(margin: Callable[[SymbolSpec, Decimal, Decimal], Decimal]) -> Decimal:
            after = margin(spec, held + closed, market) + margin(spec, signed - closed, price)
            return (after - margin(spec, held, market)) * rate

        return Margins(
            before.equity - commission * self._market.rate(self._tariff.currency(spec)),
            before.initial + change(economics.initial_of),
            before.maintenance + change(economics.maintenance_of),
        )

    def _trades_now(self, spec: SymbolSpec, order: Order) -> Decimal | None:
        """The price at which the market takes this order now; None where it has to wait for one."""
        last = self._market.price(spec.con_id)
        if order.at_auction:
            acts = order.is_market or matching.acts_at(order, order.level, last)
            return last if acts else None
        if order.waits_for_trigger:
            if not matching.acts_at(order, order.level, last):
                return None
            order = replace(order, triggered=True)
        half = economics.half_spread(last, spec.min_tick)
        far = last + half if order.is_buy else last - half
        if order.is_market or matching.acts_at(order, order.level, far):
            return matching.fill_price(order, last, spec.min_tick, "all")
        return None


def _largest_of_groups(orders: Iterable[Order]) -> list[Order]:
    alone: list[Order] = []
    largest: dict[str, Order] = {}
    for order in orders:
        if not order.group:
            alone.append(order)
        elif order.group not in largest or order.remaining > largest[order.group].remaining:
            largest[order.group] = order
    return [*alone, *largest.values()]


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _change(before: Decimal, after: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    return (cents(before), cents(after) - cents(before), cents(after))
