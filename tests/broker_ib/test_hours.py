"""Trading hours as TWS writes them, and what they say of a moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from broker import types
from broker.ib import hours
from broker.ib.hours import sessions
from tests.broker_ib.desk import CLOSE, DAY, TIMEOUT, Desk

NEW_YORK = "US/Eastern"
WEEK = "20190603:0400-20190603:2000;20190604:0400-20190604:2000;20190605:CLOSED"
LIQUID = "20190603:0930-20190603:1600;20190604:0930-20190604:1600;20190605:CLOSED"
SPY = types.Contract(
    con_id=7,
    symbol="SPY",
    sec_type="STK",
    exchange="SMART",
    primary_exchange="ARCA",
    currency="USD",
    long_name="",
    min_tick=Decimal("0.01"),
    lot_size=Decimal(1),
    time_zone=NEW_YORK,
    liquid_hours=sessions(LIQUID, NEW_YORK),
    trading_hours=sessions(WEEK, NEW_YORK),
    fetched_at=CLOSE,
    hours_from=date(2019, 6, 3),
    hours_until=date(2019, 6, 5),
)


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2019, 6, day, hour, minute, tzinfo=UTC)


def test_sessions_in_the_contract_s_zone() -> None:
    text = "20190603:0930-20190603:1600;20190604:CLOSED;20190605:0930-20190605:1300"
    assert sessions(text, "US/Eastern") == (
        types.SessionHours(
            date(2019, 6, 3),
            datetime(2019, 6, 3, 13, 30, tzinfo=UTC),
            datetime(2019, 6, 3, 20, 0, tzinfo=UTC),
        ),
        types.SessionHours(
            date(2019, 6, 5),
            datetime(2019, 6, 5, 13, 30, tzinfo=UTC),
            datetime(2019, 6, 5, 17, 0, tzinfo=UTC),
        ),
    )


def test_sessions_over_a_change_of_the_clocks() -> None:
    winter, summer = sessions("20190308:0930-20190308:1600;20190311:0930-20190311:1600", "US/Eastern")
    assert (winter.open.hour, summer.open.hour) == (14, 13)


@pytest.mark.parametrize(
    ("text", "day", "hours"),
    [
        ("20190603:0900-20190603:1130,20190603:1230-20190603:1500", date(2019, 6, 3), 6),
        ("20190603:0900-1130,1230-1500", date(2019, 6, 3), 6),
        ("20190602:1800-20190603:1700", date(2019, 6, 3), 23),
        ("20190603:0000-20190604:0000", date(2019, 6, 3), 24),
    ],
)
def test_sessions_of_other_markets(text: str, day: date, hours: int) -> None:
    (session,) = sessions(text, "Asia/Tokyo")
    assert session.day == day
    assert session.close - session.open == timedelta(hours=hours)


def test_no_sessions() -> None:
    assert sessions("", "US/Eastern") == ()
    assert sessions("20190604:CLOSED", "US/Eastern") == ()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        (WEEK, date(2019, 6, 3), date(2019, 6, 5)),
        ("20190602:1800-20190603:1700", date(2019, 6, 2), date(2019, 6, 3)),
        ("20190603:0900-1130,1230-1500", date(2019, 6, 3), date(2019, 6, 3)),
        ("20190601:CLOSED;20190602:CLOSED", date(2019, 6, 1), date(2019, 6, 2)),
    ],
)
def test_the_days_of_which_hours_speak(text: str, first: date, last: date) -> None:
    assert hours.reach(text) == (first, last)


def test_no_hours_speak_of_no_day() -> None:
    assert hours.reach("") == (None, None)


@pytest.mark.parametrize(
    ("now", "is_open", "is_liquid", "next_open", "next_close"),
    [
        (utc(3, 7), False, False, utc(3, 8), utc(4, 0)),
        (utc(3, 8), True, False, utc(4, 8), utc(4, 0)),
        (utc(3, 13, 30), True, True, utc(4, 8), utc(4, 0)),
        (utc(3, 20), True, False, utc(4, 8), utc(4, 0)),
        (utc(4, 0), False, False, utc(4, 8), utc(5, 0)),
        (utc(5, 12), False, False, None, None),
    ],
)
def test_what_the_hours_say_of_a_moment(
    now: datetime, is_open: bool, is_liquid: bool, next_open: datetime | None, next_close: datetime | None
) -> None:
    told = hours.at(SPY, now)
    assert (told.is_open, told.is_liquid) == (is_open, is_liquid)
    assert (told.next_open, told.next_close) == (next_open, next_close)
    assert (told.at, told.time_zone) == (now, NEW_YORK)


def test_hours_reach_over_closed_days_and_no_further() -> None:
    assert hours.covers(SPY, utc(5, 23))
    assert hours.covers(SPY, utc(6, 3, 59))  # still the 5th in New York
    assert not hours.covers(SPY, utc(6, 4))
    assert not hours.covers(SPY, utc(2, 23))


@pytest.mark.parametrize(
    ("moment", "last"),
    [
        (utc(3, 15), utc(3, 15)),
        (utc(3, 13, 30), datetime(2019, 5, 31, 20, tzinfo=UTC)),  # the opening itself: before it lies the weekend
        (utc(4, 2), utc(3, 20)),
        (datetime(2019, 12, 2, 3, tzinfo=UTC), datetime(2019, 11, 29, 21, tzinfo=UTC)),  # in winter time
    ],
)
def test_the_last_moment_at_which_a_market_was_open(moment: datetime, last: datetime) -> None:
    week = sessions(";".join(f"201906{day:02}:0930-201906{day:02}:1600" for day in range(3, 8)), NEW_YORK)
    assert hours.last_open_moment(week, NEW_YORK, moment) == last


def test_a_market_that_closes_in_the_evening_after_it_opened() -> None:
    globex = sessions(
        "20190602:1700-20190603:1600;20190603:1700-20190604:1600;20190604:1700-20190605:1600;"
        "20190605:1700-20190606:1600;20190606:1700-20190607:1600",
        "US/Central",
    )
    assert hours.last_open_moment(globex, "US/Central", utc(2, 20)) == datetime(2019, 5, 31, 21, tzinfo=UTC)
    assert hours.last_open_moment(globex, "US/Central", utc(2, 23)) == utc(2, 23)


def test_without_hours_no_moment_is_known() -> None:
    assert hours.last_open_moment((), NEW_YORK, CLOSE) is None


def test_a_contract_without_hours_needs_none() -> None:
    silent = replace(SPY, liquid_hours=(), trading_hours=(), hours_from=None, hours_until=None)
    assert hours.covers(silent, CLOSE)


def test_the_calendar_of_a_contract_by_the_market_s_time(desk: Desk) -> None:
    contract = desk.contract()
    told = desk.client.read("trading_hours", types.ConId(contract.con_id), TIMEOUT, [contract])
    assert (told.con_id, told.symbol, told.at) == (contract.con_id, "AAPL", CLOSE)
    assert told.liquid_hours
    assert all(session.open < session.close for session in told.trading_hours)
    assert told.next_open is not None
    assert told.next_open > CLOSE


def test_hours_that_no_longer_reach_are_asked_for_anew(desk: Desk) -> None:
    contract = desk.contract()
    long_ago = replace(
        contract, hours_from=date(2018, 1, 1), hours_until=date(2018, 1, 7), trading_hours=contract.trading_hours[:1]
    )
    told = desk.client.read("trading_hours", types.ConId(contract.con_id), TIMEOUT, [long_ago])
    assert told.trading_hours == contract.trading_hours
    assert told.next_open is not None
    assert told.next_open - CLOSE < 4 * DAY
