"""A seeded market in its exchange's hours: nothing trades outside them, quotes stand still, volume is small early."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.prices.seeded import SeededMarket
from broker.paper_gateway.types import Bar
from broker.paper_gateway.universe import seeded_start

from .conftest import Desk, RunningTime

FRIDAY = datetime(2026, 11, 20, 17, 20, 35, tzinfo=UTC)
SATURDAY = FRIDAY + timedelta(days=1)
MARKET = SeededMarket(1, seeded_start, "exchange")


def bars(size: str, span: str, now: datetime, *, rth: bool, market: str = "SPY", live: bool = False) -> list[Bar]:
    return list(MARKET.bars(market, bar_size=size, duration=span, end=now, now=now, live=live, use_rth=rth))


def test_regular_hours_are_those_of_the_calendar() -> None:
    hours = MARKET.session("SPY", date(2026, 11, 20)), MARKET.trading("SPY", date(2026, 11, 20))
    assert [(one.open, one.close) for one in hours] == [
        (datetime(2026, 11, 20, 14, 30, tzinfo=UTC), datetime(2026, 11, 20, 21, tzinfo=UTC)),
        (datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 21, 1, tzinfo=UTC)),
    ]
    assert MARKET.session("SPY", date(2026, 11, 26)).open is None  # Thanksgiving
    assert MARKET.session("SPY", date(2026, 11, 27)).close == datetime(2026, 11, 27, 18, tzinfo=UTC)


def test_the_days_of_the_calendar_have_bars_and_no_others() -> None:
    days = [bar.day for bar in bars("1 day", "10 D", datetime(2026, 12, 1, tzinfo=UTC), rth=True)]
    assert date(2026, 11, 26) not in days
    assert all(day.weekday() < 5 for day in days)
    assert len(days) == 10


def test_a_regular_day_is_the_join_of_its_regular_minutes() -> None:
    (day,) = bars("1 day", "1 D", SATURDAY, rth=True)
    minutes = bars("1 min", "1 D", SATURDAY, rth=True)
    assert (len(minutes), minutes[0].start, minutes[-1].end) == (390, day.start, day.end)
    assert (minutes[0].open, minutes[-1].close) == (day.open, day.close)
    assert sum(bar.volume for bar in minutes) == day.volume


def test_a_whole_day_is_the_join_of_all_its_minutes_and_little_of_it_is_early_or_late() -> None:
    (whole,) = bars("1 day", "1 D", SATURDAY, rth=False)
    (regular,) = bars("1 day", "1 D", SATURDAY, rth=True)
    minutes = bars("1 min", "1 D", SATURDAY, rth=False)
    assert len(minutes) == 960
    assert max(bar.high for bar in minutes) == whole.high >= regular.high
    assert sum(bar.volume for bar in minutes) == whole.volume
    assert regular.volume < whole.volume < 1.1 * regular.volume


def test_early_trading_leads_from_the_last_close_to_the_open() -> None:
    before, day = bars("1 day", "2 D", SATURDAY, rth=True)
    minutes = bars("1 min", "1 D", SATURDAY, rth=False)
    early = [bar for bar in minutes if bar.end <= day.start]
    assert (early[0].open, early[-1].close) == (before.close, day.open)
    late = [bar for bar in minutes if bar.start >= day.end]
    assert (late[0].open, late[-1].close) == (day.close, day.close)


def test_quotes_stand_still_while_the_market_is_closed() -> None:
    night = [MARKET.snapshot("SPY", SATURDAY + timedelta(hours=ahead)) for ahead in (0, 20)]
    assert night[0] == night[1]
    assert night[0] is not None
    assert night[0].time == datetime(2026, 11, 21, 1, tzinfo=UTC)
    assert not MARKET.is_open("SPY", SATURDAY)
    assert MARKET.is_open("SPY", FRIDAY)


def test_no_order_meets_a_closed_market() -> None:
    assert MARKET.points("SPY", SATURDAY, SATURDAY + timedelta(hours=20)) == []
    assert MARKET.path_bars("SPY", SATURDAY, SATURDAY + timedelta(hours=20)) == []
    points = MARKET.points("SPY", FRIDAY, SATURDAY)
    assert points[-1][0] == datetime(2026, 11, 21, 1, tzinfo=UTC).timestamp()


def test_a_request_at_night_reaches_back_from_the_last_close() -> None:
    hour = bars("1 min", "3600 S", SATURDAY, rth=True, live=True)
    assert (len(hour), hour[-1].end) == (60, datetime(2026, 11, 20, 21, tzinfo=UTC))
    seconds = bars("5 secs", "300 S", SATURDAY, rth=True)
    assert (len(seconds), seconds[-1].end) == (60, hour[-1].end)


@pytest.mark.parametrize(
    ("market", "opens"),
    [
        ("EUR.USD.CASH", datetime(2026, 11, 22, 22, 15, tzinfo=UTC)),
        ("SAP", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("7203", datetime(2026, 11, 24, 0, tzinfo=UTC)),  # Monday is Labour Thanksgiving Day in Tokyo
    ],
)
def test_other_exchanges_keep_other_hours(market: str, opens: datetime) -> None:
    assert not MARKET.is_open(market, opens - timedelta(seconds=1))
    assert MARKET.is_open(market, opens)
    snapshot = MARKET.snapshot(market, opens - timedelta(seconds=1))
    assert snapshot is not None
    assert snapshot.time < opens - timedelta(hours=12)


def test_no_played_bar_lies_partly_in_regular_hours() -> None:
    day = bars("1 day", "1 D", SATURDAY, rth=True)[0]
    path = MARKET.path_bars("SPY", FRIDAY - timedelta(days=1), SATURDAY)
    regular = [bar for bar in path if day.start.timestamp() <= bar.start < day.end.timestamp()]
    assert (regular[0].start, regular[-1].end) == (day.start.timestamp(), day.end.timestamp())
    assert (max(bar.high for bar in regular), min(bar.low for bar in regular)) == (day.high, day.low)
    assert all(one.end <= two.start for one, two in pairwise(path))


def test_an_order_for_regular_hours_waits_for_them_and_one_for_all_hours_does_not() -> None:
    time = RunningTime(datetime(2026, 11, 20, 20, 59, 50, tzinfo=UTC))
    cash = Decimal(10_000_000)
    exchange = PaperExchange(data_folder=None, store_path=None, cash=cash, system_clock=time, hours="exchange")
    desk = Desk(exchange, "AAPL", 265598)
    last = exchange.quote(desk.con_id).last
    assert last is not None
    below = f"{last * Decimal('0.9999'):.2f}"
    desk.order(1, "BUY", 10, "LMT", limit_price=below, tif="GTC")
    desk.order(2, "BUY", 10, "LMT", limit_price=below, tif="GTC", outside_rth=True)
    for minutes in (10, 230):
        time.at += timedelta(minutes=minutes)
        exchange.tick()
    desk.order(3, "BUY", 10, "MKT", tif="GTC")
    time.at = datetime(2026, 11, 23, 14, 29, 30, tzinfo=UTC)
    exchange.tick()
    assert {fill.order_id for fill in desk.fills()} == {2}
    time.at += timedelta(hours=6)
    exchange.tick()
    assert {fill.order_id for fill in desk.fills()} >= {2, 3}
    opens = exchange.sessions(desk.con_id, 1)[0].open
    assert opens is not None
    assert desk.fills(3)[0].time >= opens
    exchange.close()
