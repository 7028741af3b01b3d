"""Results that are final, and those that are not: commissions to come, other currencies, what is no share."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from tests.trading.builders import (
    ACCOUNT,
    NOW,
    D,
    bought,
    bracket,
    claimed,
    cost,
    decided,
    deliver,
    fill,
    intent,
    strategy,
)
from trading.models import Account, Fill, Instrument, Order, Trade
from trading.models.account import AccountKind
from trading.selectors.overview import Ledger, overview
from trading.selectors.pages.trades import trades_listed
from trading.selectors.trade_costs import results_of
from trading.services.intents import NoRoomLeft
from trading.services.orders import entry_write

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def state(settings: Any, tmp_path: Path) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path


def sold(target: Order, quantity: str = "10", price: str = "110") -> Any:
    return fill(target, quantity, price, time=NOW + timedelta(hours=2))


def listed() -> dict[str, Any]:
    (row,) = trades_listed({"state": "CLOSED"}, "").rows
    return dict(row)


def ledger(pk: str = ACCOUNT) -> Ledger:
    return next(row for row in overview(NOW).ledgers if row.account.pk == pk)


# Commissions to come


def test_a_result_is_final_once_the_last_commission_has_come() -> None:
    target = bought()[2]
    out = sold(target)
    deliver(out)
    row = listed()
    assert (row["result"], row["fees_pending"], row["pnl"], row["r"]) == ("commission awaited", 1, None, None)
    assert (row["so_far"], row["commission"]) == (D(99), None)
    (result,) = results_of([Trade.objects.select_related("instrument").get()])
    assert (result.pnl, result.fees_pending) == (None, 1)
    assert ledger().fees_pending == 1
    deliver(cost(out))
    row = listed()
    assert (row["result"], row["fees_pending"], row["pnl"], row["commission"]) == ("final", 0, D(98), D(2))
    assert ledger().fees_pending == 0


def test_a_fill_that_turns_the_position_costs_both_trades() -> None:
    target = bought()[2]
    over = sold(target, "14")
    deliver(over)
    first, second = trades_listed({}, "").rows[::-1]
    assert (first["state"], first["result"], first["fees_pending"]) == ("CLOSED", "commission awaited", 1)
    assert (second["state"], second["result"], second["fees_pending"]) == ("OPEN", "open", 1)


# Commissions in another currency


def test_a_commission_in_another_currency_is_kept_on_record_and_added_to_nothing() -> None:
    target = bought()[2]
    out = sold(target)
    foreign = replace(cost(out), currency="EUR")
    deliver(out, foreign, foreign, replace(out, commission=D(1), commission_currency="EUR"))
    booked = Fill.objects.get(order=target)
    assert booked.commission is None
    assert listed()["result"] == "commission awaited"
    (event,) = Event.objects.filter(type="FILL_COMMISSION", subject=f"fill:{booked.exec_id}")
    assert "1 EUR, not in USD" in event.cause
    deliver(cost(out))
    assert Fill.objects.get(order=target).commission == 1
    assert listed()["pnl"] == D(98)
    assert verify_chain().ok


def test_a_commission_that_comes_with_its_fill_is_held_to_the_same() -> None:
    entry = bracket()[0]
    deliver(fill(entry, "4", commission=D(1), commission_currency="EUR"))
    assert Fill.objects.get().commission is None
    deliver(fill(entry, "6", number=2, commission=D(2), commission_currency="USD"))
    assert Trade.objects.get().commission == 2


# What is no share


@pytest.mark.parametrize("sec_type", ["FUT", "CASH", ""])
def test_nothing_but_shares_is_entered(sec_type: str) -> None:
    row = strategy()
    execution = claimed(row)
    made = intent(decided(execution))
    made.instrument.sec_type = sec_type
    with pytest.raises(NoRoomLeft) as caught:
        entry_write(execution, made)
    assert caught.value.reason == "NOT_A_SHARE"
    assert not Order.objects.exists()


def test_a_result_that_needs_a_multiplier_is_not_told() -> None:
    target = bought()[2]
    out = sold(target)
    deliver(out, cost(out))
    Instrument.objects.update(sec_type="FUT")
    row = listed()
    assert (row["result"], row["pnl"], row["r"]) == ("not reckoned", None, None)
    assert results_of([Trade.objects.select_related("instrument").get()])[0].pnl is None


# The ledgers


def test_amounts_of_two_currencies_are_never_added() -> None:
    for symbol, name in (("AAPL", "a"), ("IBM", "b"), ("SPY", "c")):
        target = bought(strategy(name, (symbol,)), symbol)[2]
        out = sold(target)
        deliver(out, cost(out))
    Instrument.objects.filter(symbol="IBM").update(currency="EUR")
    Instrument.objects.filter(symbol="SPY").update(sec_type="FUT")
    Trade.objects.filter(instrument__symbol="SPY").update(version=9)
    found = ledger()
    assert [(one.currency, one.closed, one.pnl) for one in found.gained] == [("USD", 1, D(98)), ("EUR", 1, D(98))]
    assert (found.pnl, [one.currency for one in found.others]) == (D(98), ["EUR"])
    assert (found.closed_trades, found.unreckoned) == (3, 1)


def test_a_ledger_without_closed_trades_has_gained_nothing_yet() -> None:
    bought()
    found = ledger()
    assert (found.pnl, found.gained, found.open_trades, found.open_orders) == (None, (), 1, 2)


def trade_queries() -> int:
    """How many queries read trades to be added up."""
    with CaptureQueriesContext(connection) as captured:
        overview(NOW)
    return sum("SUM(" in query["sql"] and "trading_trade" in query["sql"] for query in captured)


def test_trades_are_added_up_once_for_as_long_as_none_changes_and_of_shown_ledgers_alone() -> None:
    target = bought()[2]
    assert trade_queries() == 1
    assert trade_queries() == 0
    out = sold(target)
    deliver(out, cost(out))
    assert trade_queries() == 1
    assert ledger().pnl == Decimal(98)
    old = Account.objects.get(pk=ACCOUNT)
    for number in range(4):
        Account.objects.create(
            pk=f"DUR{number}", kind=AccountKind.REPLAY, base_currency="USD", created_at=old.created_at
        )
    Trade.objects.update(account="DUR0")
    Account.objects.filter(pk="DUR0").update(created_at=old.created_at - timedelta(days=1))
    assert "DUR0" not in [row.account.pk for row in overview(NOW).ledgers]
    with CaptureQueriesContext(connection) as captured:
        overview(NOW)
    assert "DUR0" not in " ".join(query["sql"] for query in captured if "SUM(" in query["sql"])
