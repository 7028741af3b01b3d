"""What the controls read of the rows: exposure, messages, doubles, crossings and stop-outs, as one order meets them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from autotrader.core import audit
from autotrader.core.clock import system_now
from broker import types
from tests.trading.builders import (
    ACCOUNT,
    NOW,
    D,
    bought,
    bracket,
    deliver,
    fill,
    instrument,
    report,
    strategy,
)
from trading.models import Discrepancy, Order, OrderChange, RiskProfile, Strategy
from trading.models.discrepancy import DiscrepancyKind
from trading.selectors.ledger import EMPTY, Ledger, ledger_read
from trading.services.accounts import account_ensure
from trading.services.alarms import position_alarm
from trading.services.discrepancies import discrepancy_open
from trading.services.resolutions import Remedy, resolve

MIDNIGHT = NOW.replace(hour=4)
pytestmark = pytest.mark.django_db


def read(row: Strategy | None = None, **changes: Any) -> Ledger:
    """The ledger as a buy of 10 AAPL at 101 meets it."""
    given: dict[str, Any] = {
        "side": "BUY", "order_type": "LMT", "quantity": D(10), "limit_price": D(101), "market_now": NOW,
        "day_began": MIDNIGHT,
    }  # fmt: skip
    return ledger_read(account_ensure(ACCOUNT), row, instrument(), **(given | changes))


def set_prices(order: Order, **prices: Any) -> None:
    Order.objects.filter(pk=order.pk).update(**prices)


def test_an_empty_ledger_is_empty() -> None:
    assert replace(read(), equity=EMPTY.equity) == EMPTY


def test_what_is_held_and_what_may_still_fill() -> None:
    first, second = strategy("first"), strategy("second", ["IBM"])
    bought(first)
    bracket(second, "IBM", quantity="20")
    found = read(first)
    assert (found.position, found.held, found.open_entries) == (D(10), True, 1)
    assert found.exposure_instrument == D(1000)
    assert (found.reserved, found.exposure_total) == (D(2020), D(3020))
    assert read(second).position == 0


def test_a_partly_filled_entry_reserves_what_is_left_of_it() -> None:
    entry, *_ = bracket(quantity="10")
    deliver(fill(entry, "4"), report(entry, "Submitted", "4"))
    assert read().reserved == D(606)


def test_a_market_entry_reserves_at_the_highest_price_that_its_bracket_names() -> None:
    entry, *_ = bracket(quantity="10")
    set_prices(entry, limit_price=None, order_type="MKT")
    assert read().reserved == D(1100)


def test_rows_of_the_order_itself_count_for_nothing() -> None:
    row = strategy()
    entry, *_ = bracket(row)
    own = read(row, group=entry.group)
    assert (own.open_entries, own.entries_today, own.messages_minute, own.twins) == (0, 0, 0, ())
    assert (own.reserved, own.exposure_total, own.entry_working) == (D(0), D(0), "")
    assert read(row).entry_working == entry.order_ref


# Messages


def test_a_bracket_is_one_message_and_so_is_a_change_and_a_cancel_is_none() -> None:
    row = strategy()
    entry, _, target = bracket(row)
    assert (read(row).messages_minute, read(row).messages_second) == (1, 1)
    _change(target, "modify", revision=1)
    _change(entry, "cancel", revision=0)
    assert read(row).messages_minute == 2


def _change(order: Order, kind: str, revision: int, **changes: Any) -> OrderChange:
    given = {"state": "SENDING", "created_at": system_now(), "market_at": NOW} | changes
    return OrderChange.objects.create(order=order, kind=kind, revision=revision, **given)


@pytest.mark.parametrize(("seconds", "second", "minute"), [(0, 1, 1), (1, 0, 1), (59, 0, 1), (60, 0, 0)])
def test_messages_are_counted_by_the_markets_clock(seconds: int, second: int, minute: int) -> None:
    row = strategy()
    bracket(row)
    found = read(row, market_now=NOW + timedelta(seconds=seconds))
    assert (found.messages_second, found.messages_minute) == (second, minute)


def test_a_change_without_a_market_time_counts_by_its_own() -> None:
    row = strategy()
    _, _, target = bracket(row)
    change = _change(target, "modify", revision=1, market_at=None)
    assert read(row, market_now=change.created_at).messages_second == 1


def test_each_strategy_has_its_own_messages_and_no_one_has_the_strangers() -> None:
    row = strategy()
    bracket(row)
    deliver(report(bracket(strategy("other", ["IBM"]), "IBM")[0], "Submitted", order_ref="", perm_id=77))
    assert read(row).messages_minute == 1
    assert read(None).messages_minute == 0


# Doubles


@pytest.mark.parametrize(
    ("changes", "is_twin"),
    [
        ({}, True),
        ({"quantity": D("10.000000")}, True),
        ({"quantity": D(11)}, False),
        ({"limit_price": D("101.01")}, False),
        ({"side": "SELL"}, False),
        ({"order_type": "MKT"}, False),
        ({"market_now": NOW + timedelta(hours=24)}, False),
    ],
)
def test_an_equal_order_is_a_twin_whoever_sent_it(changes: dict[str, Any], is_twin: bool) -> None:
    entry, *_ = bracket(strategy("another"))
    assert [twin.order_ref for twin in read(**changes).twins] == ([entry.order_ref] if is_twin else [])


def test_two_market_orders_are_equal_whatever_price_was_reckoned_with() -> None:
    entry, *_ = bracket()
    set_prices(entry, limit_price=None, order_type="MKT")
    assert len(read(order_type="MKT", limit_price=D(102)).twins) == 1


@pytest.mark.parametrize("state", ["REFUSED", "SIMULATED", "ABSENT"])
def test_what_never_left_is_no_twin_no_message_and_no_entry_of_the_day(state: str) -> None:
    row = strategy()
    entry, *_ = bracket(row)
    Order.objects.filter(group=entry.group).update(state=state)
    found = read(row)
    assert (found.twins, found.messages_minute, found.entries_today) == ((), 0, 0)


def test_a_protective_leg_is_no_twin() -> None:
    bracket()
    assert read(side="SELL", limit_price=D(110)).twins == ()


# Crossing


def at_work(side: str, limit: str | None, stop: str | None = None, state: str = "ACCEPTED") -> Order:
    """An order of another strategy at the broker, with nothing else beside it."""
    entry, *legs = bracket(strategy("another"))
    Order.objects.filter(pk__in=[leg.pk for leg in legs]).update(state="CANCELLED")
    prices = {"limit_price": limit and D(limit), "stop_price": stop and D(stop)}
    Order.objects.filter(pk=entry.pk).update(side=side, state=state, **prices)
    return entry


@pytest.mark.parametrize(
    ("theirs", "ours", "crosses"),
    [
        (("SELL", "101"), {}, True),
        (("SELL", "101.01"), {}, False),
        (("SELL", "90"), {}, True),
        (("BUY", "101"), {}, False),
        (("BUY", "99"), {"side": "SELL", "limit_price": D(99)}, True),
        (("BUY", "98.99"), {"side": "SELL", "limit_price": D(99)}, False),
        (("SELL", "150"), {"limit_price": None}, True),
        (("SELL", None), {}, True),
        # A stop that goes off no later than the market comes to our price sells into us; one below it does not.
        (("SELL", None, "101"), {}, True),
        (("SELL", None, "102"), {}, True),
        (("SELL", None, "100.99"), {}, False),
        (("BUY", None, "99"), {"side": "SELL", "limit_price": D(99)}, True),
        (("BUY", None, "99.01"), {"side": "SELL", "limit_price": D(99)}, False),
        (("SELL", None, "95"), {"limit_price": None}, False),
        (("SELL", "101", "100"), {}, True),
        (("SELL", "101", None, "UNKNOWN"), {}, True),
        (("SELL", "101", None, "PENDING_APPROVAL"), {}, False),
        (("SELL", "101", None, "FILLED"), {}, False),
    ],
)
def test_an_order_crosses_what_it_would_trade_with(theirs: Any, ours: dict[str, Any], crosses: bool) -> None:
    order = at_work(*theirs)
    assert read(**ours).crossing == ((order.order_ref,) if crosses else ())


def test_the_legs_of_its_own_bracket_and_other_contracts_are_no_match() -> None:
    order = at_work("SELL", "101")
    assert read(group=order.group).crossing == ()
    bracket(strategy("ibm", ["IBM"]), "IBM")
    found = ledger_read(account_ensure(ACCOUNT), None, instrument("IBM"), "SELL", "LMT", D(1), D(1), NOW, MIDNIGHT)
    assert len(found.crossing) == 1


# Stop-outs


def stopped_out(row: Strategy, minutes: int = 0) -> None:
    _, stop, _ = bought(row)
    deliver(fill(stop, "6", "95", number=minutes), fill(stop, "4", "95", number=minutes + 1))


def test_a_stop_that_filled_in_two_parts_is_one_stop_out() -> None:
    row, other = strategy(), strategy("other", ["IBM"])
    stopped_out(row)
    found = read(row)
    assert (found.stop_outs_today, found.last_stop_out_at) == (1, NOW + timedelta(minutes=1))
    assert read(other).stop_outs_today == 0
    assert read(other).last_stop_out_at == NOW + timedelta(minutes=1), "the contract cools down for every strategy"


def test_stop_outs_of_yesterday_count_no_more_but_cool_down_over_midnight() -> None:
    row = strategy()
    stopped_out(row)
    found = read(row, market_now=NOW + timedelta(hours=14), day_began=NOW + timedelta(hours=13))
    assert found.stop_outs_today == 0
    assert found.last_stop_out_at == NOW + timedelta(minutes=1)


# The strategy and the account


def test_what_suspends_blocks_and_approves() -> None:
    row = strategy(mode="approve")
    RiskProfile.objects.create(name="desk", is_desk=True, approval_above_value=D(5), second_approver_above_value=D(9))
    Strategy.objects.filter(pk=row.pk).update(suspended_at=NOW, suspended_reason="too many")
    account_ensure(ACCOUNT)
    with audit.recording():
        discrepancy_open(ACCOUNT, DiscrepancyKind.POSITION, "position:1", detail="they differ", market_at=NOW)
        discrepancy_open(ACCOUNT, DiscrepancyKind.CASH, "cash:USD", detail="they differ", market_at=NOW, blocking=False)
    row.refresh_from_db()
    found = read(row)
    assert (found.suspended, found.mode) == ("too many", "approve")
    assert found.blocking == ("Position differs: position:1",)
    assert (found.desk_approval_above, found.desk_second_approver_above) == (D(5), D(9))


def test_an_exit_at_work_and_a_strangers_sale_may_close_it_too() -> None:
    row = strategy()
    target = bought(row)[2]
    assert read(row, side="SELL").closing_quantity == 0, "protective legs end each other"
    Order.objects.filter(pk=target.pk).update(role="exit", group="other")
    assert read(row, side="SELL").closing_quantity == D(10)
    assert read(row, side="SELL", group="other").closing_quantity == 0


def by_hand(entry: Order, quantity: str, *, side: str = "SELL", number: int = 7) -> None:
    """A person trades the same contract in TWS."""
    done = fill(entry, quantity, "99", number=number, side=side)
    deliver(replace(done, order_ref="", perm_id=424242 + number, exec_id=f"aa{number}.01"))


def elsewhere(row: Strategy | None, side: str = "SELL") -> Decimal:
    return read(row, side=side).elsewhere


def test_what_was_sold_by_hand_is_not_there_to_be_closed() -> None:
    first, second = strategy("first"), strategy("second")
    entry = bought(first)[0]
    assert (elsewhere(first), elsewhere(first, "BUY")) == (D(0), D(0))
    by_hand(entry, "4")
    assert (elsewhere(first), elsewhere(second)) == (D(4), D(0))
    bought(second, quantity="12")
    assert (elsewhere(first), elsewhere(second)) == (D(0), D(0)), "eighteen are there for the first that exits"
    Order.objects.filter(strategy=second, role="target").update(role="exit", group="other")
    assert elsewhere(first) == D(4), "twelve of the eighteen are on their way"
    by_hand(entry, "4", side="BUY", number=8)
    assert elsewhere(first) == 0


def test_a_strategy_that_is_short_of_the_contract_takes_nothing_from_one_that_is_long() -> None:
    long, short = strategy("long"), strategy("short")
    entry = bought(long)[0]
    other = bracket(short, quantity="12")[0]
    Order.objects.filter(strategy=short, role="entry").update(side="SELL")
    other.refresh_from_db()
    deliver(fill(other, "10", side="SELL", number=9, exec_id="bb.01"))
    assert (read(short).position, elsewhere(long), elsewhere(short, "BUY")) == (D(-10), D(0), D(0))
    by_hand(entry, "3", side="BUY")
    assert (elsewhere(long), elsewhere(short, "BUY")) == (D(0), D(3))


def test_a_resting_order_of_somebody_else_may_close_it_too() -> None:
    row = strategy()
    entry = bought(row)[0]
    deliver(report(entry, "Submitted", side="SELL", order_ref="", perm_id=424242, quantity=D(6), remaining="6"))
    assert elsewhere(row) == D(6)


def compared(held: str, fills: str = "10") -> None:
    """A look at the broker's book, and what the desk's fills say."""
    said = types.PositionMismatch(ACCOUNT, instrument().con_id or 0, "AAPL", D(held), D(fills), NOW)
    with audit.recording():
        position_alarm(said)


def test_what_the_broker_was_found_to_hold_less_is_not_there_until_it_is_booked() -> None:
    row = strategy()
    bought(row)
    compared("3")
    assert elsewhere(row) == D(7)
    resolve(Discrepancy.objects.get(state="OPEN"), Remedy("leave", "that is known"), actor="anna")
    assert elsewhere(row) == D(7), "left as it is, it still differs"
    compared("10")
    assert elsewhere(row) == 0
    compared("3")
    resolve(Discrepancy.objects.get(state="OPEN"), Remedy("adjust", "sold by hand", D(99)), actor="anna")
    assert elsewhere(row) == D(7), "booked outside the desk, it is counted once"


def test_what_the_broker_holds_beyond_our_fills_may_have_been_sold_by_hand() -> None:
    row = strategy()
    entry = bought(row)[0]
    compared("14")
    by_hand(entry, "4")
    assert elsewhere(row) == 0


def test_the_queries_do_not_grow_with_the_ledger() -> None:
    row = strategy()
    bought(row)
    account, contract = account_ensure(ACCOUNT), instrument()
    args = (account, row, contract, "BUY", "LMT", D(10), D(101), NOW, MIDNIGHT)
    with CaptureQueriesContext(connection) as few:
        ledger_read(*args)
    for number in range(4):
        bracket(
            strategy(f"more {number}", ["IBM"], limits={"duplicate_window_seconds": 0}), "IBM", quantity=str(number + 1)
        )
    with CaptureQueriesContext(connection) as many:
        ledger_read(*args)
    assert len(few) == len(many) <= 10
