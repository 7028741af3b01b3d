"""Cash, holdings and profit of one account; average cost holds the commissions, as TWS reports it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

ZERO = Decimal(0)


@dataclass(slots=True)
class Holding:
    """`quantity` is negative when short; `cost` is what it cost with commissions, negative for money received."""

    quantity: Decimal
    cost: Decimal

    @property
    def average_cost(self) -> Decimal:
        return self.cost / self.quantity


class Ledger:
    """Books fills and splits. Cash + market value = starting cash + `realized` + unrealised, at every moment."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.realized = ZERO
        self.holdings: dict[int, Holding] = {}

    def quantity(self, con_id: int) -> Decimal:
        holding = self.holdings.get(con_id)
        return ZERO if holding is None else holding.quantity

    def book(self, con_id: int, shares: Decimal, price: Decimal, commission: Decimal) -> Decimal | None:
        """Book a fill of `shares` (negative = sold); returns the realised profit, None where nothing was closed."""
        self.cash -= shares * price + commission
        before = self.quantity(con_id)
        closed = -_toward_zero(before, shares)
        opened = shares - closed
        if not closed:
            self._open(con_id, opened, opened * price + commission)
            return None
        closing_commission = commission * closed / shares
        realized = -closed * price - closing_commission - self._close(con_id, -closed)
        if opened:
            self._open(con_id, opened, opened * price + commission - closing_commission)
        self.realized += realized
        return realized

    def split(self, con_id: int, ratio: Decimal, price: Decimal) -> Decimal:
        """Multiply the holding by `ratio`; a fraction of a share is paid out at `price`. Returns the cash paid."""
        holding = self.holdings[con_id]
        holding.quantity *= ratio
        fraction = holding.quantity - holding.quantity.to_integral_value(ROUND_DOWN)
        paid = fraction * price
        if fraction:
            self.realized += paid - self._close(con_id, fraction)
            self.cash += paid
        return paid

    def _open(self, con_id: int, shares: Decimal, cost: Decimal) -> None:
        holding = self.holdings.setdefault(con_id, Holding(ZERO, ZERO))
        holding.quantity += shares
        holding.cost += cost

    def _close(self, con_id: int, shares: Decimal) -> Decimal:
        """Take `shares` (signed as held) out of the holding; returns their part of the cost."""
        holding = self.holdings[con_id]
        if shares == holding.quantity:
            return self.holdings.pop(con_id).cost
        cost = holding.cost * shares / holding.quantity
        holding.quantity -= shares
        holding.cost -= cost
        return cost


def _toward_zero(held: Decimal, traded: Decimal) -> Decimal:
    """The part of `held`, with its sign, that a trade of `traded` shares closes."""
    if held * traded >= 0:
        return ZERO
    return min(held, -traded) if held > 0 else max(held, -traded)
