"""Orders in a market with hours: what waits for the opening, what trades outside, and what ends at the close."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.types import OrderRefused

from .conftest import Desk, RunningTime

MORNING = datetime(2026, 3, 4, 15, 0, 5, tzinfo=UTC)  # a Wednesday, 10:00 in New York
EVENING = datetime(2026, 3, 4, 22, 0, 5, tzinfo=UTC)  # 17:00, the extended session
NIGHT = datetime(2026, 3, 5, 3, 0, 5, tzinfo=UTC)
EARLY = datetime(2026, 3, 5, 9, 0, 5, tzinfo=UTC)  # 04:00, when trading begins
OPENED = datetime(2026, 3, 5, 14, 30, 3, tzinfo=UTC)
CLOSED = datetime(2026, 3, 5, 21, 0, 1, tzinfo=UTC)


class Hours:
    def __init__(self, desk: Desk, time: RunningTime) -> None:
        self.desk = desk
        self.time = time

    def at(self, moment: datetime) -> None:
        self.time.at = moment
        self.desk.exchange.tick()

    def states(self) -> dict[int, str]:
        exchange = self.desk.exchange
        return {v.terms.order_id: v.status for v in [*exchange.completed_orders(), *exchange.open_orders(None)]}


@pytest.fixture
def hours() -> Iterator[Hours]:
    time = RunningTime(MORNING)
    exchange = PaperExchange(data_folder=None, store_path=None, account="DU1", system_clock=time, hours="exchange")
    yield Hours(Desk(exchange, "AAPL", 265598), time)
    exchange.close()


def test_an_order_outside_the_hours_waits_and_a_warning_says_until_when(hours: Hours) -> None:
    desk = hours.desk
    hours.at(EVENING)
    desk.order(1, "BUY", 10, "MKT")
    (warning,) = [event for event in desk.events if isinstance(event, OrderRefused)]
    assert warning.code == 399
    assert warning.message.endswith("will not be placed at the exchange until 2026-03-05 09:30:00 US/Eastern.")
    assert hours.states() == {1: "PreSubmitted"}
    hours.at(EARLY)
    assert desk.fills() == []
    hours.at(OPENED)
    assert hours.states() == {1: "Filled"}


def test_an_order_for_outside_the_hours_trades_whenever_there_is_trading(hours: Hours) -> None:
    desk = hours.desk
    hours.at(EVENING)
    desk.order(1, "BUY", 10, "MKT", outside_rth=True)
    assert hours.states() == {1: "Filled"}
    hours.at(NIGHT)
    desk.order(2, "BUY", 10, "MKT", outside_rth=True)
    assert (desk.fills(2), desk.refusals(2)) == ([], [399])
    hours.at(EARLY)
    assert hours.states()[2] == "Filled"


def test_a_resting_order_meets_only_its_hours(hours: Hours) -> None:
    desk = hours.desk
    last = desk.exchange.quote(desk.con_id).last
    assert last is not None
    desk.order(1, "BUY", 10, "LMT", limit_price=last / 2, tif="GTC")
    hours.at(EVENING)
    desk.order(1, "BUY", 10, "LMT", limit_price=last * 2, tif="GTC")  # marketable by now, but it is evening
    hours.at(EVENING + timedelta(hours=1))
    assert desk.fills() == []
    hours.at(OPENED)
    assert hours.states() == {1: "Filled"}


def test_day_orders_end_with_their_session_and_extended_ones_with_trading(hours: Hours) -> None:
    desk = hours.desk
    desk.order(1, "BUY", 10, "LMT", limit_price="1.00")
    desk.order(2, "BUY", 10, "LMT", limit_price="1.00", outside_rth=True)
    hours.at(EVENING)
    assert hours.states() == {1: "Cancelled", 2: "Submitted"}
    hours.at(NIGHT)
    assert hours.states()[2] == "Cancelled"


def test_auctions_are_at_the_opening_and_the_close(hours: Hours) -> None:
    desk = hours.desk
    hours.at(EVENING)
    desk.order(1, "BUY", 10, "MOC")
    assert desk.refusals(1) == [201]
    desk.order(2, "BUY", 10, "MKT", tif="OPG")
    hours.at(OPENED)
    (opening,) = desk.fills(2)
    assert opening.time == datetime(2026, 3, 5, 14, 30, 1, tzinfo=UTC)
    desk.order(3, "SELL", 10, "MOC")
    hours.at(CLOSED)
    (closing,) = desk.fills(3)
    assert closing.time == datetime(2026, 3, 5, 21, tzinfo=UTC)
