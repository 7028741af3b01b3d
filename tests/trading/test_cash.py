"""The broker's cash is what our fills explain, to the cent; what they do not explain is a person's to see."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from tests.trading.builders import ACCOUNT, NOW, D, bracket, cost, deliver, fill
from trading.models import Discrepancy, Order, Reconciliation
from trading.services.cash import CashWatch


@pytest.fixture
def legs(db: None) -> list[Order]:
    return bracket()


class Account:
    """Looks at a broker's cash, a minute apart."""

    def __init__(self) -> None:
        self.watch = CashWatch(60)
        self.minute = 0

    def shows(self, cash: str | None, times: int = 3, **changes: Any) -> None:
        for _ in range(times):
            self.minute += 1
            sound: dict[str, Any] = {
                "account": ACCOUNT, "connection": NOW, "started": NOW + timedelta(minutes=self.minute),
                "market_now": NOW, "working": {}, "orders": 0, "executions": 0, "positions": (),
                "cash": None if cash is None else D(cash), "currency": "USD",
            }  # fmt: skip
            self.watch.compare(types.Compared(**(sound | changes)))

    def expected(self) -> Decimal | None:
        return self.row.expected_cash

    @property
    def row(self) -> Reconciliation:
        return Reconciliation.objects.get()


@pytest.fixture
def account() -> Account:
    return Account()


def differences() -> list[tuple[str, str]]:
    return list(Discrepancy.objects.filter(state="OPEN", kind="cash").values_list("ours", "theirs"))


def test_the_first_look_is_the_base_whatever_was_before(legs: list[Order], account: Account) -> None:
    deliver(fill(legs[0], "10"), cost(fill(legs[0], "10")))
    account.shows("5000")
    assert (account.expected(), differences()) == (D(5000), [])


def test_fills_and_commissions_explain_what_moved(legs: list[Order], account: Account) -> None:
    account.shows("5000")
    opened, closed = fill(legs[0], "10", "100"), fill(legs[2], "10", "110", number=2)
    deliver(opened, cost(opened))
    account.shows("3999")
    deliver(closed, cost(closed, "1.25"))
    account.shows("5097.75")
    assert (account.expected(), differences()) == (D("5097.75"), [])


def test_a_commission_that_is_still_to_come_is_waited_for(legs: list[Order], account: Account) -> None:
    account.shows("5000")
    opened = fill(legs[0], "10")
    deliver(opened)
    account.shows("3999", 5)
    assert account.expected() is None
    assert differences() == []
    assert "commission" in account.row.cash_note
    deliver(cost(opened))
    account.shows("3999")
    assert (account.expected(), differences()) == (D(3999), [])


def test_a_correction_of_an_older_fill_is_taken_back_out(legs: list[Order], account: Account) -> None:
    account.shows("5000")
    opened = fill(legs[0], "10", "100")
    deliver(opened, cost(opened))
    account.shows("3999")
    right = fill(legs[0], "10", "99", correction=2)
    deliver(right, cost(right))
    account.shows("4009")
    bust = fill(legs[0], "0", "99", correction=3)
    deliver(bust, cost(bust, "0"))
    account.shows("5000")
    assert (account.expected(), differences()) == (D(5000), [])


@pytest.mark.parametrize(("cash", "found"), [("5000.01", 0), ("4999.99", 0), ("5000.02", 1), ("4999.98", 1)])
def test_a_cent_is_agreement_and_two_are_not(legs: list[Order], account: Account, cash: str, found: int) -> None:
    account.shows("5000")
    account.shows(cash)
    assert len(differences()) == found


def test_a_cent_a_look_does_not_creep_past(legs: list[Order], account: Account) -> None:
    for cents in range(5):
        account.shows(f"5000.0{cents}")
    assert len(differences()) == 1


def test_a_difference_that_does_not_last_is_none(legs: list[Order], account: Account) -> None:
    """The broker tells its cash some minutes after its executions."""
    account.shows("5000")
    account.shows("4000", 1)
    account.shows("5000", 1)
    account.shows("4000", 1)
    assert differences() == []


def test_what_differs_is_raised_without_blocking_and_settles_by_itself(legs: list[Order], account: Account) -> None:
    account.shows("5000")
    account.shows("5100")
    assert differences() == [("5000.00", "5100.00")]
    assert not Discrepancy.objects.get().blocking
    account.shows("5000")
    assert differences() == []


def test_a_broker_that_says_nothing_is_no_difference(legs: list[Order], account: Account) -> None:
    account.shows("5000")
    account.shows(None)
    assert account.row.cash is None
    assert differences() == []
    account.shows("5000")
    assert account.expected() == D(5000)


def test_cash_of_another_currency_begins_a_new_base(legs: list[Order], account: Account) -> None:
    account.shows("5000")
    account.shows("4000", currency="EUR")
    assert (account.expected(), account.row.currency, differences()) == (D(4000), "EUR", [])


def test_what_moves_cash_unseen_begins_a_new_base(legs: list[Order], account: Account) -> None:
    """A future's fill moves no cash, a stranger's contract is known by its id alone."""
    account.shows("5000")
    stranger = fill(legs[0], "1", order_ref="", perm_id=77, exec_id="x.01", con_id=99, symbol="ESZ9")
    deliver(stranger, cost(stranger))
    account.shows("4998", 1)
    assert "moves cash" in account.row.cash_note
    account.shows("4998")
    assert (account.expected(), differences()) == (D(4998), [])
