"""What the account is worth and what it may still do: positions, account values, margin checks and previews."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from . import economics
from .ledger import Holding, Ledger
from .orders import Order, OrderBook
from .types import AccountValue, PositionView, Preview

ZERO = Decimal(0)
CENT = Decimal("0.01")
BUYING_POWER_FACTOR = 1 / economics.INITIAL_MARGIN
PriceOf = Callable[[int], Decimal]


@dataclass(frozen=True, slots=True)
class Margins:
    """Account totals in dollars."""

    equity: Decimal
    initial: Decimal
    maintenance: Decimal

    @property
    def available(self) -> Decimal:
        return self.equity - self.initial


class Valuation:
    """The ledger and the working orders at the prices that `price_of` gives for each contract."""

    def __init__(self, ledger: Ledger, book: OrderBook, price_of: PriceOf) -> None:
        self._ledger = ledger
        self._book = book
        self._price_of = price_of

    def market_value(self, con_id: int, holding: Holding) -> Decimal:
        return holding.quantity * self._price_of(con_id)

    def stock_value(self) -> Decimal:
        return sum((self.market_value(*row) for row in self._ledger.holdings.items()), ZERO)

    def unrealized(self) -> Decimal:
        return sum((self.market_value(con_id, h) - h.cost for con_id, h in self._ledger.holdings.items()), ZERO)

    def margins(self) -> Margins:
        values = [self.market_value(*row) for row in self._ledger.holdings.items()]
        return Margins(
            equity=self._ledger.cash + sum(values, ZERO),
            initial=sum(map(economics.initial_margin, values), ZERO),
            maintenance=sum(map(economics.maintenance_margin, values), ZERO),
        )

    def position(self, account: str, con_id: int, symbol: str, realized: Decimal) -> PositionView:
        holding, price = self._ledger.holdings[con_id], self._price_of(con_id)
        value = holding.quantity * price
        unrealized = (value - holding.cost).quantize(CENT, ROUND_HALF_UP)
        cost = holding.average_cost.quantize(Decimal("1E-8"))
        return PositionView(account, con_id, symbol, holding.quantity, cost, price, value, unrealized, realized)

    def committed_margin(self, orders: Iterable[Order]) -> Decimal:
        """Initial margin if every one of `orders` that can still open something were filled at its price.

        Each contract counts with the larger of all its buys and all its sells; children only close what their
        parent opens and do not count, and of a group only the largest order does.
        """
        buys: dict[int, Decimal] = {}
        sells: dict[int, Decimal] = {}
        prices: dict[int, Decimal] = {}
        for order in _largest_of_groups(order for order in orders if not order.parent_perm_id):
            con_id = order.terms.con_id
            side = buys if order.is_buy else sells
            side[con_id] = side.get(con_id, ZERO) + order.remaining
            prices[con_id] = max(prices.get(con_id, ZERO), self.order_price(order))
        total = ZERO
        for con_id in {*self._ledger.holdings, *prices}:
            held = self._ledger.quantity(con_id)
            price = self._price_of(con_id)
            worst = max(abs(held + buys.get(con_id, ZERO)), abs(held - sells.get(con_id, ZERO)))
            extra = max(ZERO, worst - abs(held))
            total += economics.initial_margin(abs(held) * price + extra * max(price, prices.get(con_id, ZERO)))
        return total

    def shortfall(self, order: Order) -> Decimal:
        """How many dollars of margin are missing for `order` beside the working ones; 0 or less where it fits."""
        others = [other for other in self._book.working() if other is not order]
        needed = self.committed_margin([*others, order])
        if needed <= self.committed_margin(others):
            return ZERO
        return needed - self.margins().equity

    def order_price(self, order: Order) -> Decimal:
        """The price an order is expected to trade at: its limit or stop, else the market's."""
        terms = order.terms
        price = {"LMT": terms.limit_price, "STP": terms.aux_price}.get(terms.order_type)
        return price or self._price_of(terms.con_id)

    def preview(self, order: Order) -> Preview:
        """Margins before, change and after, were the whole order filled now at its price."""
        before = self.margins()
        con_id, price = order.terms.con_id, self.order_price(order)
        commission = economics.commission(order.quantity, order.quantity * price)
        held = self._ledger.quantity(con_id)
        signed = order.quantity if order.is_buy else -order.quantity
        old, new = held * self._price_of(con_id), (held + signed) * price
        initial = before.initial - economics.initial_margin(old) + economics.initial_margin(new)
        maintenance = before.maintenance - economics.maintenance_margin(old) + economics.maintenance_margin(new)
        return Preview(
            init_margin=_change(before.initial, initial),
            maint_margin=_change(before.maintenance, maintenance),
            equity_with_loan=_change(before.equity, before.equity - commission),
            commission=commission,
        )


def account_values(
    *, cash: Decimal, valuation: Valuation, realized_today: Decimal, previous_equity: Decimal, clock: str
) -> list[AccountValue]:
    """The rows of updateAccountValue that a desk needs; amounts in dollars with cents."""
    margins = valuation.margins()
    amounts = _totals(cash, margins, valuation, previous_equity)
    rows = [
        AccountValue("AccountType", "INDIVIDUAL", ""),
        AccountValue("PaperClock", clock, ""),
        AccountValue("Cushion", _cushion(margins), ""),
        *(AccountValue(key, _money(amount), "USD") for key, amount in amounts.items()),
    ]
    ledger = {
        "CashBalance": cash,
        "TotalCashBalance": cash,
        "AccruedCash": ZERO,
        "StockMarketValue": valuation.stock_value(),
        "NetLiquidationByCurrency": margins.equity,
        "RealizedPnL": realized_today,
        "UnrealizedPnL": valuation.unrealized(),
    }
    for currency in ("USD", "BASE"):
        rows.append(AccountValue("Currency", currency, currency))
        rows += [AccountValue(key, _money(amount), currency) for key, amount in ledger.items()]
        rows.append(AccountValue("ExchangeRate", "1.00", currency))
    return [row for position, row in enumerate(rows) if (row.key, row.currency) not in _keys(rows[:position])]


def _totals(cash: Decimal, margins: Margins, valuation: Valuation, previous_equity: Decimal) -> dict[str, Decimal]:
    excess = margins.equity - margins.maintenance
    return {
        "NetLiquidation": margins.equity,
        "TotalCashValue": cash,
        "SettledCash": cash,
        "AccruedCash": ZERO,
        "BuyingPower": max(ZERO, margins.available) * BUYING_POWER_FACTOR,
        "EquityWithLoanValue": margins.equity,
        "PreviousDayEquityWithLoanValue": previous_equity,
        "GrossPositionValue": margins.initial / economics.INITIAL_MARGIN,
        "InitMarginReq": margins.initial,
        "MaintMarginReq": margins.maintenance,
        "AvailableFunds": margins.available,
        "ExcessLiquidity": excess,
        "FullInitMarginReq": margins.initial,
        "FullMaintMarginReq": margins.maintenance,
        "FullAvailableFunds": margins.available,
        "FullExcessLiquidity": excess,
        "LookAheadInitMarginReq": margins.initial,
        "LookAheadMaintMarginReq": margins.maintenance,
        "LookAheadAvailableFunds": margins.available,
        "LookAheadExcessLiquidity": excess,
    }


def _keys(rows: list[AccountValue]) -> set[tuple[str, str]]:
    return {(row.key, row.currency) for row in rows}


def _largest_of_groups(orders: Iterable[Order]) -> list[Order]:
    alone: list[Order] = []
    largest: dict[str, Order] = {}
    for order in orders:
        if not order.group:
            alone.append(order)
        elif order.group not in largest or order.remaining > largest[order.group].remaining:
            largest[order.group] = order
    return [*alone, *largest.values()]


def _change(before: Decimal, after: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    return (_cents(before), _cents(after) - _cents(before), _cents(after))


def _cushion(margins: Margins) -> str:
    if margins.equity <= 0:
        return "0"
    return str(((margins.equity - margins.maintenance) / margins.equity).quantize(Decimal("1E-6")))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _money(amount: Decimal) -> str:
    return str(_cents(amount))
