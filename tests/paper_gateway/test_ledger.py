"""The ledger: average cost with commissions, realised profit net of both sides, and money that never gets lost."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.ledger import Ledger

CENTS = st.integers(min_value=1, max_value=100_000).map(lambda cents: Decimal(cents) / 100)
SHARES = st.integers(min_value=-500, max_value=500).filter(bool).map(Decimal)
FEES = st.integers(min_value=0, max_value=500).map(lambda cents: Decimal(cents) / 100)


def test_a_round_trip_is_net_of_both_commissions() -> None:
    ledger = Ledger(Decimal(10_000))
    assert ledger.book(1, Decimal(100), Decimal("10.00"), Decimal("1.00")) is None
    assert ledger.holdings[1].average_cost == Decimal("10.01")
    assert ledger.book(1, Decimal(-100), Decimal("11.00"), Decimal("1.00")) == Decimal("98.00")
    assert (ledger.cash, ledger.holdings) == (Decimal("10098.00"), {})


def test_a_short_sale_costs_what_it_brought_less_commission() -> None:
    ledger = Ledger(Decimal(10_000))
    ledger.book(1, Decimal(-100), Decimal("10.00"), Decimal("1.00"))
    assert ledger.holdings[1].average_cost == Decimal("9.99")
    assert ledger.book(1, Decimal(40), Decimal("9.00"), Decimal("1.00")) == Decimal("38.60")
    assert ledger.holdings[1].quantity == -60


def test_a_fill_may_close_and_open_at_once() -> None:
    ledger = Ledger(Decimal(10_000))
    ledger.book(1, Decimal(100), Decimal("10.00"), Decimal(0))
    realized = ledger.book(1, Decimal(-150), Decimal("12.00"), Decimal("3.00"))
    assert realized == Decimal("198.00")
    assert (ledger.holdings[1].quantity, ledger.holdings[1].average_cost) == (-50, Decimal("11.98"))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 3), SHARES, CENTS, FEES), max_size=30), CENTS)
def test_cash_and_value_are_the_start_and_the_profits(
    fills: list[tuple[int, Decimal, Decimal, Decimal]], mark: Decimal
) -> None:
    ledger, start, paid = Ledger(Decimal(50_000)), Decimal(50_000), Decimal(0)
    flows = Decimal(0)
    for con_id, shares, price, commission in fills:
        ledger.book(con_id, shares, price, commission)
        flows += shares * (mark - price)
        paid += commission
    value = sum((holding.quantity * mark for holding in ledger.holdings.values()), Decimal(0))
    unrealized = value - sum((holding.cost for holding in ledger.holdings.values()), Decimal(0))
    assert abs(ledger.cash + value - (start + ledger.realized + unrealized)) < Decimal("1E-12")
    assert abs(ledger.cash + value - (start + flows - paid)) < Decimal("1E-12")


@settings(deadline=None, max_examples=40)
@given(SHARES, CENTS, st.sampled_from(["2", "7", "1.5", "0.1"]).map(Decimal))
def test_a_split_creates_no_money(shares: Decimal, price: Decimal, ratio: Decimal) -> None:
    ledger = Ledger(Decimal(1_000_000))
    ledger.book(1, shares, price, Decimal(1))
    before = ledger.cash + shares * price
    ledger.split(1, ratio, price / ratio)
    held = ledger.quantity(1)
    assert held == held.to_integral_value()
    assert abs(ledger.cash + held * price / ratio - before) < Decimal("1E-9")
