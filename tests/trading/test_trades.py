"""Trades from fills alone: profit to the cent, partial fills, scaling, a turn, and money that adds up."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from tests.trading.builders import NOW, D, bought, deliver, fill, report
from trading.models import Fill, Order, Trade
from trading.selectors.ledger_rows import Stake, rows_read
from trading.selectors.positions import open_trade, position_quantity
from trading.services.trades import RoundTrip, round_trips


def made(side: str, quantity: str, price: str, commission: str | None = "0") -> Fill:
    return Fill(
        side=side, quantity=D(quantity), price=D(price), commission=None if commission is None else D(commission),
        time=NOW, exec_root=f"{side}{quantity}@{price}",
    )  # fmt: skip


def trips(*rows: tuple[str, str, str, str]) -> list[RoundTrip]:
    return round_trips([made(*row) for row in rows])


@pytest.mark.parametrize(
    ("rows", "pnl"),
    [
        ([("BUY", "10", "100", "1.00"), ("SELL", "10", "110", "1.00")], "98"),
        ([("BUY", "10", "100", "1.00"), ("SELL", "10", "95.55", "1.05")], "-46.55"),
        ([("SELL", "10", "100", "1.00"), ("BUY", "10", "90", "1.00")], "98"),
        ([("SELL", "10", "100", "1.00"), ("BUY", "10", "104", "1.00")], "-42"),
        ([("BUY", "4", "100", "1"), ("BUY", "6", "101", "0.35"), ("SELL", "3", "110", "1"),
          ("SELL", "7", "109.5", "0.35")], "87.8"),
        ([("BUY", "3", "33.33", "0.01"), ("BUY", "3", "33.34", "0.01"), ("SELL", "6", "33.33", "0.01")], "-0.06"),
    ],
)  # fmt: skip
def test_a_round_trip_to_the_cent(rows: list[tuple[str, str, str, str]], pnl: str) -> None:
    (trip,) = trips(*rows)
    assert trip.pnl() == D(pnl)
    assert trip.open_quantity == 0


def test_what_is_held_has_no_realised_profit() -> None:
    (trip,) = trips(("BUY", "10", "100", "1"), ("SELL", "4", "110", "1"))
    assert (trip.open_quantity, trip.pnl()) == (6, None)


def test_a_fill_that_turns_the_position_is_shared() -> None:
    long, short = trips(("BUY", "10", "100", "1"), ("SELL", "15", "110", "1.50"), ("BUY", "5", "100", "1"))
    assert (long.side, long.commission, long.pnl()) == ("long", D(2), D(98))
    assert (short.side, short.commission, short.pnl()) == ("short", D("1.5"), D("48.5"))
    assert short.opening is long.fills[-1]


def test_trips_follow_one_another() -> None:
    assert [trip.side for trip in trips(
        ("BUY", "1", "10", "0"), ("SELL", "1", "11", "0"), ("BUY", "2", "12", "0"), ("SELL", "2", "13", "0")
    )] == ["long", "long"]  # fmt: skip


def test_a_fill_of_nothing_is_no_trade() -> None:
    assert trips(("BUY", "0", "10", "1")) == []
    (trip,) = trips(("BUY", "1", "10", "0"), ("SELL", "0", "11", "1"))
    assert (trip.open_quantity, trip.commission) == (1, 0)


def test_a_commission_not_known_yet_counts_nothing() -> None:
    (trip,) = round_trips([made("BUY", "1", "10", None), made("SELL", "1", "12", None)])
    assert trip.pnl() == 2


FILLS = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]), st.integers(1, 50), st.decimals("0.01", 500, places=2),
        st.decimals(0, 5, places=2),
    ),
    max_size=25,
)  # fmt: skip


@given(FILLS)
def test_profit_and_open_cost_are_the_cash_that_moved(rows: list[tuple[str, int, Decimal, Decimal]]) -> None:
    fills = [made(side, str(quantity), str(price), str(commission)) for side, quantity, price, commission in rows]
    cash = position = Decimal(0)
    for one in fills:
        sign = 1 if one.side == "BUY" else -1
        cash -= sign * one.quantity * one.price + (one.commission or 0)
        position += sign * one.quantity
    booked = held = Decimal(0)
    for trip in round_trips(fills):
        sign = 1 if trip.side == "long" else -1
        profit = trip.pnl()
        if profit is None:
            booked -= sign * (trip.entry_value - trip.exit_value) + trip.commission
            held += sign * trip.open_quantity
        else:
            booked += profit
    assert abs(booked - cash) < Decimal("0.01")
    assert held == position


@given(FILLS)
def test_only_the_last_trip_may_be_open(rows: list[tuple[str, int, Decimal, Decimal]]) -> None:
    found = round_trips([made(side, str(size), str(price), "0") for side, size, price, _ in rows])
    assert all(trip.open_quantity == 0 for trip in found[:-1])
    assert all(trip.entered >= trip.exited > 0 or trip is found[-1] for trip in found)


# With rows


def test_the_ledger_of_a_bracket(db: None) -> None:
    entry, stop, target = bought()
    account, strategy, instrument = entry.account, entry.strategy, entry.instrument
    assert position_quantity(account, strategy, instrument) == 10
    assert stake(entry).total == 1000
    held = open_trade(account, strategy, instrument)
    assert held is not None
    assert held.decision == entry.decision
    deliver(fill(stop, "4", "95", number=2), fill(target, "6", "110", number=3))
    assert position_quantity(account, strategy, instrument) == 0
    assert not stake(entry).held
    trade = Trade.objects.get()
    assert (trade.state, trade.exit_price, trade.pnl) == ("CLOSED", D(104), D(39))
    assert set(trade.fills.values_list("order__role", flat=True)) == {"entry", "stop", "target"}
    kinds = Event.objects.filter(subject=f"trade:{trade.pk}").order_by("seq").values_list("type", flat=True)
    assert list(kinds) == ["TRADE_OPENED", "TRADE_CHANGED", "TRADE_CHANGED", "TRADE_CLOSED"]
    assert verify_chain().ok


def test_fractions_add_up_to_nothing(db: None) -> None:
    """0.1 + 0.2 − 0.3 is not 0 in the floats that SQLite adds."""
    entry, stop, _ = bought(quantity="1")
    Fill.objects.all().delete()
    deliver(fill(entry, "0.1", number=5), fill(entry, "0.2", number=6), fill(stop, "0.3", number=7))
    assert position_quantity(entry.account, entry.strategy, entry.instrument) == 0


def test_an_entry_and_its_stop_in_one_second(db: None) -> None:
    """The exchange's time counts seconds: the entry comes first, whatever the broker numbered them."""
    entry, stop, _ = bought()
    Fill.objects.all().delete()
    at = NOW + timedelta(minutes=9)
    deliver(
        fill(stop, "10", "95", exec_id="0000.01.01", time=at), fill(entry, "10", "100", exec_id="0000.02.01", time=at)
    )
    trade = Trade.objects.get()
    assert (trade.side, trade.state, trade.pnl) == ("long", "CLOSED", D(-50))


def test_a_trade_that_an_earlier_fill_takes_over_is_withdrawn_on_record(db: None) -> None:
    entry, _, _ = bought()
    before = Trade.objects.get()
    deliver(fill(entry, "1", "99", number=8, time=NOW - timedelta(minutes=1)))
    after = Trade.objects.get()
    assert after.opening_exec_id != before.opening_exec_id
    last = Event.objects.filter(subject=f"trade:{before.pk}").order_by("seq").last()
    assert last is not None
    assert (last.type, last.old_state, last.new_state) == ("TRADE_CHANGED", "OPEN", "")
    assert verify_chain().ok


def stake(entry: Order) -> Stake:
    moment = (NOW + timedelta(hours=1), NOW - timedelta(hours=1))
    return rows_read(entry.account, entry.strategy, entry.instrument, *moment).stake(entry.instrument)


def test_exposure_counts_what_may_still_fill(db: None) -> None:
    from tests.trading.builders import bracket

    entry = bracket()[0]
    now = stake(entry)
    assert (now.held, now.reserved, now.entries, now.instrument) == (False, D(1010), 1, D(1010))
    deliver(fill(entry, "4", "100"))
    now = stake(entry)
    assert (now.held, now.reserved, now.total) == (True, D(606), D(1006))
    deliver(report(entry, "Cancelled", "4"))
    assert stake(entry).total == 400
    assert Order.objects.get(pk=entry.pk).state == "CANCELLED"
