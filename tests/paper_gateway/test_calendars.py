"""Market calendars: the holidays of real years, early closes, daylight saving, and the days of every kind of hours."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from broker.paper_gateway.prices import holidays, hours
from broker.paper_gateway.types import HoursKind
from tests.paper_gateway.conftest import REAL_DATA

EASTERN = ZoneInfo("US/Eastern")


def eastern(day: date, text: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=EASTERN).astimezone(UTC)


@pytest.mark.parametrize(
    ("year", "closed"),
    [
        (2012, "01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25"),
        (2019, "01-01 01-21 02-18 04-19 05-27 07-04 09-02 11-28 12-25"),
        (2021, "01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24"),
        (2022, "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26"),
        (2026, "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25"),
    ],
)
def test_new_york_holidays_of_real_years(year: int, closed: str) -> None:
    assert " ".join(f"{day:%m-%d}" for day in sorted(holidays.new_york(year))) == closed


@pytest.mark.parametrize(
    ("year", "early"),
    [(2013, "07-03 11-29 12-24"), (2018, "07-03 11-23 12-24"), (2021, "11-26"), (2026, "11-27 12-24")],
)
def test_sessions_that_end_at_one(year: int, early: str) -> None:
    days = sorted(holidays.new_york_early(year))
    assert " ".join(f"{day:%m-%d}" for day in days) == early
    assert all(hours.sessions("us_equity", day).close == eastern(day, "13:00") for day in days)
    assert all(hours.trading("us_equity", day).close == eastern(day, "17:00") for day in days)


def test_a_stock_day_in_winter_and_in_summer() -> None:
    for day, offset in ((date(2026, 1, 14), 5), (date(2026, 7, 14), 4)):
        regular, whole = hours.sessions("us_equity", day), hours.trading("us_equity", day)
        assert (regular.open, regular.close) == (eastern(day, "09:30"), eastern(day, "16:00"))
        assert (whole.open, whole.close) == (eastern(day, "04:00"), eastern(day, "20:00"))
        assert regular.close is not None
        assert regular.close.hour == 16 + offset


def test_every_year_from_2005_to_2040_has_the_usual_number_of_sessions() -> None:
    for year in range(2005, 2041):
        days = [date(year, 1, 1) + timedelta(days=number) for number in range(366)]
        open_days = sum(hours.is_trading_day("us_equity", day) for day in days if day.year == year)
        assert 249 <= open_days <= 253


def test_futures_open_on_the_evening_before_and_rest_for_an_hour() -> None:
    monday = hours.trading("cme", date(2026, 3, 9))
    assert (monday.open, monday.close) == (
        eastern(date(2026, 3, 8), "18:00"),
        eastern(date(2026, 3, 9), "17:00"),
    )
    tuesday = hours.trading("cme", date(2026, 3, 10))
    assert tuesday.open is not None
    assert monday.close is not None
    assert tuesday.open - monday.close == timedelta(hours=1)
    assert hours.trading("cme", date(2026, 3, 7)).open is None
    assert hours.trading("cme", date(2026, 4, 3)).open is None
    assert hours.trading("cme", date(2026, 9, 7)).close == eastern(date(2026, 9, 7), "13:00")


def test_currencies_trade_from_sunday_evening_to_friday_evening() -> None:
    week = [hours.trading("forex", date(2026, 3, 9) + timedelta(days=number)) for number in range(7)]
    assert [session.open is not None for session in week] == [True] * 5 + [False] * 2
    assert week[0].open == eastern(date(2026, 3, 8), "17:15")
    assert week[4].close == eastern(date(2026, 3, 13), "17:00")


def test_round_the_clock_is_every_calendar_day() -> None:
    for day in (date(2026, 3, 7), date(2026, 3, 8), date(2026, 12, 25)):
        session = hours.sessions("always", day)
        assert (session.open, session.close) == (eastern(day, "00:00"), eastern(day + timedelta(days=1), "00:00"))


def test_exchanges_abroad_keep_their_own_holidays() -> None:
    assert not hours.is_trading_day("xetra", date(2026, 5, 1))
    assert not hours.is_trading_day("london", date(2026, 12, 28))  # Boxing Day, made up for
    assert not hours.is_trading_day("toronto", date(2026, 7, 1))
    assert not hours.is_trading_day("tokyo", date(2026, 5, 6))  # Constitution Day, made up for
    opening = hours.sessions("xetra", date(2026, 7, 1)).open
    assert opening == datetime(2026, 7, 1, 7, 0, tzinfo=UTC)


def test_sessions_lie_within_trading_and_never_overlap() -> None:
    for kind in get_args(HoursKind):
        last = datetime.min.replace(tzinfo=UTC)
        for number in range(400):
            day = date(2026, 1, 1) + timedelta(days=number)
            regular, whole = hours.sessions(kind, day), hours.trading(kind, day)
            assert (regular.open is None) == (whole.open is None)
            if regular.open and regular.close and whole.open and whole.close:
                assert last <= whole.open <= regular.open < regular.close <= whole.close
                last = whole.close


def test_counting_sessions_back_and_forth() -> None:
    assert hours.trading_day("us_equity", date(2026, 11, 27), -1) == date(2026, 11, 25)
    assert hours.trading_day("us_equity", date(2026, 11, 26), 0) == date(2026, 11, 25)
    assert hours.trading_day("us_equity", date(2026, 11, 25), 1) == date(2026, 11, 27)
    assert hours.fridays(date(2026, 11, 26), 2) == [date(2026, 11, 27), date(2026, 12, 4)]


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="no real bars beside the project")
def test_new_york_traded_on_exactly_these_days() -> None:
    with (REAL_DATA / "SPY_1d.csv").open(newline="") as file:
        traded = {date.fromisoformat(row["date"][:10]) for row in csv.DictReader(file)}
    first, last = min(traded), max(traded)
    days = {first + timedelta(days=number) for number in range((last - first).days + 1)}
    assert {day for day in days if hours.is_trading_day("us_equity", day)} == traded
