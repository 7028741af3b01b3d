"""The ledger: average cost with commissions, realised profit net of both sides, and money that never gets lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.ledger import Ledger, Trade
from broker.paper_gateway.margin import Valuation
from broker.paper_gateway.types import SymbolSpec

CENTS = st.integers(min_value=1, max_value=100_000).map(lambda cents: Decimal(cents) / 100)
SHARES = st.integers(min_value=-500, max_value=500).filter(bool).map(Decimal)
FEES = st.integers(min_value=0, max_value=500).map(lambda cents: Decimal(cents) / 100)

STOCK = SymbolSpec(1, "XYZ", "XYZ", "NYSE")
EURO_STOCK = SymbolSpec(2, "SAP", "SAP", "IBIS", currency="EUR")
FUTURE = SymbolSpec(3, "ES", "ES", "CME", sec_type="FUT", multiplier=Decimal(50), margin_fixed=Decimal(15_000))
PAIR = SymbolSpec(4, "EUR", "EUR.USD", "IDEALPRO", sec_type="CASH", local_symbol="EUR.USD")


def book(ledger: Ledger, spec: SymbolSpec, shares: int | Decimal, price: str | Decimal, fee: str | Decimal) -> Any:
    """Book a fill whose commission is in the contract's own currency."""
    return ledger.book(spec, Trade(Decimal(shares), Decimal(price), Decimal(fee), spec.currency, Decimal(fee)))


def test_a_round_trip_is_net_of_both_commissions() -> None:
    ledger = Ledger(Decimal(10_000))
    assert book(ledger, STOCK, 100, "10.00", "1.00") is None
    assert ledger.holdings[1].average_cost == Decimal("10.01")
    assert book(ledger, STOCK, -100, "11.00", "1.00") == Decimal("98.00")
    assert (ledger.cash, ledger.holdings) == ({"USD": Decimal("10098.00")}, {})


def test_a_short_sale_costs_what_it_brought_less_commission() -> None:
    ledger = Ledger(Decimal(10_000))
    book(ledger, STOCK, -100, "10.00", "1.00")
    assert ledger.holdings[1].average_cost == Decimal("9.99")
    assert book(ledger, STOCK, 40, "9.00", "1.00") == Decimal("38.60")
    assert ledger.holdings[1].quantity == -60


def test_a_fill_may_close_and_open_at_once() -> None:
    ledger = Ledger(Decimal(10_000))
    book(ledger, STOCK, 100, "10.00", "0")
    realized = book(ledger, STOCK, -150, "12.00", "3.00")
    assert realized == Decimal("198.00")
    assert (ledger.holdings[1].quantity, ledger.holdings[1].average_cost) == (-50, Decimal("11.98"))


def test_a_future_moves_no_cash_but_its_commission_and_what_closing_it_brings() -> None:
    ledger = Ledger(Decimal(10_000))
    book(ledger, FUTURE, 2, "5000.00", "4.50")
    assert ledger.cash == {"USD": Decimal("9995.50")}
    assert ledger.holdings[3].average_cost == Decimal("250002.25")  # with the multiplier
    assert book(ledger, FUTURE, -1, "5010.00", "2.25") == Decimal("495.50")
    assert ledger.cash == {"USD": Decimal("10493.25")}
    book(ledger, FUTURE, -3, "4990.00", "6.75")
    assert (ledger.quantity(3), ledger.cash) == (-2, {"USD": Decimal("9986.50")})


def test_a_stock_abroad_is_paid_in_its_currency_and_a_pair_moves_both() -> None:
    ledger = Ledger(Decimal(10_000))
    book(ledger, EURO_STOCK, 10, "100.00", "1.00")
    assert ledger.cash == {"USD": Decimal(10_000), "EUR": Decimal("-1001.00")}
    book(ledger, PAIR, 1001, "1.10", "2.00")
    assert ledger.cash == {"USD": Decimal("8896.90"), "EUR": Decimal(0)}
    assert ledger.quantity(4) == 1001


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([STOCK, EURO_STOCK, FUTURE]), SHARES, CENTS, FEES), max_size=30),
    CENTS,
)
def test_cash_and_value_are_the_start_and_the_profits(
    fills: list[tuple[SymbolSpec, Decimal, Decimal, Decimal]], mark: Decimal
) -> None:
    ledger, start = Ledger(Decimal(50_000)), {"USD": Decimal(50_000), "EUR": Decimal(0)}
    expected = dict(start)
    for spec, shares, price, commission in fills:
        book(ledger, spec, shares, price, commission)
        expected[spec.currency] += shares * (mark - price) * spec.multiplier - commission
    for currency, begun in start.items():
        worth, unrealized = ledger.cash.get(currency, Decimal(0)), Decimal(0)
        for spec in (STOCK, EURO_STOCK, FUTURE):
            if spec.currency == currency and (holding := ledger.holdings.get(spec.con_id)):
                value = holding.quantity * mark * spec.multiplier
                worth += Valuation.equity_at(spec, holding, mark)
                unrealized += value - holding.cost
        assert abs(worth - expected[currency]) < Decimal("1E-9")
        assert abs(worth - begun - ledger.realized.get(currency, Decimal(0)) - unrealized) < Decimal("1E-9")


@settings(deadline=None, max_examples=40)
@given(SHARES, CENTS, st.sampled_from(["2", "7", "1.5", "0.1"]).map(Decimal))
def test_a_split_creates_no_money(shares: Decimal, price: Decimal, ratio: Decimal) -> None:
    ledger = Ledger(Decimal(1_000_000))
    book(ledger, STOCK, shares, price, "1")
    before = ledger.cash["USD"] + shares * price
    ledger.split(STOCK, ratio, price / ratio)
    held = ledger.quantity(1)
    assert held == held.to_integral_value()
    assert abs(ledger.cash["USD"] + held * price / ratio - before) < Decimal("1E-9")
