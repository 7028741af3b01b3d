"""What a fill costs, in which currency, and how it is booked."""

from __future__ import annotations

from decimal import Decimal

from . import economics
from .ledger import Trade
from .pricing import Pricing
from .types import SymbolSpec


class Tariff:
    """Commissions are paid in the contract's currency, those of currency pairs in base currency."""

    def __init__(self, market: Pricing, base_currency: str) -> None:
        self._market = market
        self._base = base_currency

    def commission(self, spec: SymbolSpec, quantity: Decimal, value: Decimal) -> Decimal:
        """The cost of an order that has traded `quantity` for `value` (quantity times price) in all its fills."""
        if spec.sec_type == "FUT":
            return economics.futures_commission(quantity)
        if spec.sec_type == "CASH":
            return economics.currency_commission(value * self._market.rate(spec.currency))
        return economics.commission(quantity, value)

    def currency(self, spec: SymbolSpec) -> str:
        """What commissions and realised profit of this contract are told in."""
        return self._base if spec.sec_type == "CASH" else spec.currency

    def trade(self, spec: SymbolSpec, shares: Decimal, price: Decimal, commission: Decimal) -> Trade:
        """`shares` negative where sold."""
        fee = commission / self._market.rate(spec.currency) if spec.sec_type == "CASH" else commission
        return Trade(shares, price, commission, self.currency(spec), fee)

    def told(self, spec: SymbolSpec, realized: Decimal) -> Decimal:
        """A profit in the contract's currency as it is told."""
        return realized * self._market.rate(spec.currency) if spec.sec_type == "CASH" else realized
