"""What the account is worth: its positions, and the rows of account values by currency and in all."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from . import economics
from .margin import CENT, Margins, Valuation, cents
from .types import AccountValue, PositionView, SymbolSpec

ZERO = Decimal(0)
BUYING_POWER_FACTOR = 1 / economics.INITIAL_MARGIN
SMALLEST = Decimal("1E-8")
RATE = Decimal("1E-7")


@dataclass(slots=True)
class Balance:
    """The ledger of one currency, in it."""

    cash: Decimal = ZERO
    stocks: Decimal = ZERO
    futures: Decimal = ZERO
    realized: Decimal = ZERO
    unrealized: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.cash + self.stocks + self.futures

    def add(self, other: Balance, rate: Decimal) -> None:
        self.cash += other.cash * rate
        self.stocks += other.stocks * rate
        self.futures += other.futures * rate
        self.realized += other.realized * rate
        self.unrealized += other.unrealized * rate


def position(valuation: Valuation, account: str, spec: SymbolSpec, realized: Decimal) -> PositionView:
    """One holding in the contract's currency; of a future the average cost counts the multiplier."""
    holding = valuation.ledger.holdings[spec.con_id]
    value = valuation.market_value(spec, holding)
    return PositionView(
        account=account,
        con_id=spec.con_id,
        symbol=spec.symbol,
        quantity=holding.quantity,
        avg_cost=holding.average_cost.quantize(SMALLEST),
        market_price=valuation.price(spec.con_id),
        market_value=value,
        unrealized_pnl=(value - holding.cost).quantize(CENT, ROUND_HALF_UP),
        realized_pnl=realized,
    )


def balances(valuation: Valuation, realized_today: dict[str, Decimal]) -> dict[str, Balance]:
    """Currency by currency; base currency first, those with nothing in them left out."""
    ledger = valuation.ledger
    found = {ledger.base: Balance()}
    for code, amount in ledger.cash.items():
        found.setdefault(code, Balance()).cash += amount
    for code, amount in realized_today.items():
        found.setdefault(code, Balance()).realized += amount
    for con_id, holding in ledger.holdings.items():
        spec = valuation.market.spec(con_id)
        balance = found.setdefault(spec.currency, Balance())
        balance.unrealized += valuation.market_value(spec, holding) - holding.cost
        if spec.sec_type == "FUT":
            balance.futures += valuation.equity_in(spec, holding)
        else:
            balance.stocks += valuation.equity_in(spec, holding)
    return {code: balance for code, balance in found.items() if code == ledger.base or balance != Balance()}


def account_values(
    valuation: Valuation, *, realized_today: dict[str, Decimal], previous_equity: Decimal, clock: str
) -> list[AccountValue]:
    """The rows of updateAccountValue that a desk needs; amounts with cents. `realized_today` is by currency."""
    base, margins = valuation.ledger.base, valuation.margins()
    by_currency = balances(valuation, realized_today)
    rates = {code: valuation.market.rate(code) for code in by_currency}
    total = Balance()
    for code, balance in by_currency.items():
        total.add(balance, rates[code])
    amounts = _totals(total, margins, _gross(valuation), previous_equity)
    rows = [
        AccountValue("AccountType", "INDIVIDUAL", ""),
        AccountValue("PaperClock", clock, ""),
        AccountValue("Cushion", _cushion(margins), ""),
        *(AccountValue(key, _money(amount), base) for key, amount in amounts.items()),
    ]
    for code, balance in by_currency.items():
        rows += _ledger_rows(code, balance, rates[code], skip=set(amounts) if code == base else set())
    return rows + _ledger_rows("BASE", total, Decimal(1), skip=set())


def _ledger_rows(code: str, balance: Balance, rate: Decimal, skip: set[str]) -> list[AccountValue]:
    amounts = {
        "CashBalance": balance.cash,
        "TotalCashBalance": balance.cash,
        "AccruedCash": ZERO,
        "StockMarketValue": balance.stocks,
        "FuturesPNL": balance.futures,
        "NetLiquidationByCurrency": balance.net,
        "RealizedPnL": balance.realized,
        "UnrealizedPnL": balance.unrealized,
    }
    rows = [AccountValue("Currency", code, code)]
    rows += [AccountValue(key, _money(amount), code) for key, amount in amounts.items() if key not in skip]
    return [*rows, AccountValue("ExchangeRate", _rate(rate), code)]


def _totals(total: Balance, margins: Margins, gross: Decimal, previous_equity: Decimal) -> dict[str, Decimal]:
    excess = margins.equity - margins.maintenance
    return {
        "NetLiquidation": margins.equity,
        "TotalCashValue": total.cash,
        "SettledCash": total.cash,
        "AccruedCash": ZERO,
        "BuyingPower": max(ZERO, margins.available) * BUYING_POWER_FACTOR,
        "EquityWithLoanValue": margins.equity,
        "PreviousDayEquityWithLoanValue": previous_equity,
        "GrossPositionValue": gross,
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


def _gross(valuation: Valuation) -> Decimal:
    """The value of all stocks, long and short, in base currency."""
    total = ZERO
    for con_id, holding in valuation.ledger.holdings.items():
        spec = valuation.market.spec(con_id)
        if spec.sec_type == "STK":
            total += abs(valuation.market_value(spec, holding)) * valuation.market.rate(spec.currency)
    return total


def _cushion(margins: Margins) -> str:
    if margins.equity <= 0:
        return "0"
    return str(((margins.equity - margins.maintenance) / margins.equity).quantize(Decimal("1E-6")))


def _rate(rate: Decimal) -> str:
    return "1.00" if rate == 1 else str(rate.quantize(RATE).normalize())


def _money(amount: Decimal) -> str:
    return str(cents(amount))
