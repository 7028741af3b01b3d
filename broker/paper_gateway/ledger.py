"""Cash by currency, holdings and profit of one account; average cost holds the commissions, as TWS reports it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from .types import SymbolSpec

ZERO = Decimal(0)
BASE = "USD"


@dataclass(slots=True)
class Holding:
    """`quantity` is negative when short; `cost` is what it cost with commissions, negative for money received.

    `paid` is the cost without commissions. Both count the multiplier.
    """

    quantity: Decimal
    cost: Decimal
    paid: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal:
        return self.cost / self.quantity


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill to be booked: `shares` negative where sold; `commission` in the currency `fee_currency`.

    `fee` is that commission in the contract's own currency.
    """

    shares: Decimal
    price: Decimal
    commission: Decimal
    fee_currency: str
    fee: Decimal


class Ledger:
    """Books fills and splits.

    In each currency, cash + stocks' value + futures' profit since they were opened = what it started with + `realized`
    + unrealised - what exchanges of currencies took out or + brought in, at every moment.
    """

    def __init__(self, cash: Decimal, base: str = BASE) -> None:
        self.base = base
        self.cash: dict[str, Decimal] = {base: cash}
        self.realized: dict[str, Decimal] = {}
        self.holdings: dict[int, Holding] = {}

    def copy(self) -> Ledger:
        """A ledger that may be tried out on."""
        return deepcopy(self)

    def quantity(self, con_id: int) -> Decimal:
        holding = self.holdings.get(con_id)
        return ZERO if holding is None else holding.quantity

    def move(self, currency: str, amount: Decimal) -> None:
        self.cash[currency] = self.cash.get(currency, ZERO) + amount

    def book(self, spec: SymbolSpec, trade: Trade) -> Decimal | None:
        """Book a fill; returns the profit realised in the contract's currency, None where nothing was closed.

        A stock is paid for, of a future only the profit of what is closed moves cash, a pair exchanges two currencies
        and is held beside them, as TWS shows it.
        """
        self.move(trade.fee_currency, -trade.commission)
        worth = trade.shares * trade.price * spec.multiplier
        if spec.sec_type == "CASH":
            self.move(spec.symbol, trade.shares)
        paid_before = self._paid(spec.con_id)
        realized = self._hold(spec, trade)
        if spec.sec_type == "FUT":
            self.move(spec.currency, self._paid(spec.con_id) - paid_before - worth)
        else:
            self.move(spec.currency, -worth)
        if realized is not None:
            self.realized[spec.currency] = self.realized.get(spec.currency, ZERO) + realized
        return realized

    def rebuild(
        self, spec: SymbolSpec, opening: Holding, booked: Mapping[int, Trade], instead: Mapping[int, Trade]
    ) -> dict[int, Decimal | None]:
        """Have one contract as if from `opening` on `instead` had been booked and not `booked`.

        Cash and realised profit change by the difference, so what other contracts did to them stays. The answer are
        the profits that are others now, by the keys of `instead`.
        """
        was, now = (Ledger(ZERO, self.base) for _ in range(2))
        for ledger in (was, now):
            if opening.quantity:
                ledger.holdings[spec.con_id] = replace(opening)
        before = {key: was.book(spec, trade) for key, trade in booked.items()}
        after = {key: now.book(spec, trade) for key, trade in instead.items()}
        for mine, old, new in ((self.cash, was.cash, now.cash), (self.realized, was.realized, now.realized)):
            for currency in {*old, *new}:
                mine[currency] = mine.get(currency, ZERO) + new.get(currency, ZERO) - old.get(currency, ZERO)
        self.holdings.pop(spec.con_id, None)
        self.holdings |= now.holdings
        return {key: profit for key, profit in after.items() if profit != before.get(key)}

    def split(self, spec: SymbolSpec, ratio: Decimal, price: Decimal) -> Decimal:
        """Multiply the holding by `ratio`; a fraction of a share is paid out at `price`. Returns the cash paid."""
        holding = self.holdings[spec.con_id]
        holding.quantity *= ratio
        fraction = holding.quantity - holding.quantity.to_integral_value(ROUND_DOWN)
        paid = fraction * price
        if fraction:
            realized = paid - self._close(spec.con_id, fraction)
            self.realized[spec.currency] = self.realized.get(spec.currency, ZERO) + realized
            self.move(spec.currency, paid)
        return paid

    def _paid(self, con_id: int) -> Decimal:
        holding = self.holdings.get(con_id)
        return ZERO if holding is None else holding.paid

    def _hold(self, spec: SymbolSpec, trade: Trade) -> Decimal | None:
        each = trade.price * spec.multiplier
        closed = -toward_zero(self.quantity(spec.con_id), trade.shares)
        opened = trade.shares - closed
        closing_fee = trade.fee * closed / trade.shares
        realized = None
        if closed:
            realized = -closed * each - closing_fee - self._close(spec.con_id, -closed)
        if opened:
            self._open(spec.con_id, opened, opened * each, trade.fee - closing_fee)
        return realized

    def _open(self, con_id: int, shares: Decimal, paid: Decimal, fee: Decimal) -> None:
        holding = self.holdings.setdefault(con_id, Holding(ZERO, ZERO))
        holding.quantity += shares
        holding.cost += paid + fee
        holding.paid += paid

    def _close(self, con_id: int, shares: Decimal) -> Decimal:
        """Take `shares` (signed as held) out of the holding; returns their part of the cost."""
        holding = self.holdings[con_id]
        if shares == holding.quantity:
            return self.holdings.pop(con_id).cost
        cost, paid = (amount * shares / holding.quantity for amount in (holding.cost, holding.paid))
        holding.quantity -= shares
        holding.cost -= cost
        holding.paid -= paid
        return cost


def toward_zero(held: Decimal, traded: Decimal) -> Decimal:
    """The part of `held`, with its sign, that a trade of `traded` shares closes."""
    if held * traded >= 0:
        return ZERO
    return min(held, -traded) if held > 0 else max(held, -traded)
