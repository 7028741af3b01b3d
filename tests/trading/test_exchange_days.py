"""The exchange's day: where it begins, on every date and in every zone, days with 23 and 25 hours among them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.builders import ACCOUNT, bought, instrument
from trading.selectors.exchange_days import HOME, account_zone, day_began, day_beginning, exchange_day

ZONES = ("US/Eastern", "America/New_York", "Europe/London", "Asia/Tokyo", "Australia/Lord_Howe", "America/Sao_Paulo")
MOMENTS = st.floats(946_684_800, 2_114_380_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(moment=MOMENTS, zone=st.sampled_from(ZONES))
def test_a_moment_lies_in_its_day_and_in_no_other(moment: datetime, zone: str) -> None:
    began = day_began(moment, zone)
    ends = day_beginning(exchange_day(moment, zone) + timedelta(days=1), zone)
    assert began <= moment < ends
    assert timedelta(hours=22) <= ends - began <= timedelta(hours=26)
    assert exchange_day(began, zone) == exchange_day(moment, zone)
    assert exchange_day(began - timedelta(microseconds=1), zone) < exchange_day(moment, zone)


@given(moment=MOMENTS, later=st.timedeltas(timedelta(), timedelta(days=3)), zone=st.sampled_from(ZONES))
def test_days_never_go_back(moment: datetime, later: timedelta, zone: str) -> None:
    assert exchange_day(moment, zone) <= exchange_day(moment + later, zone)
    assert day_began(moment, zone) <= day_began(moment + later, zone)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2021, 3, 14), 23), (date(2021, 11, 7), 25), (date(2021, 7, 1), 24)], ids=str
)
def test_the_days_on_which_new_york_changes_its_clocks(day: date, hours: int) -> None:
    began = day_beginning(day, "US/Eastern")
    assert day_beginning(day + timedelta(days=1), "US/Eastern") - began == timedelta(hours=hours)
    last = began + timedelta(hours=hours) - timedelta(microseconds=1)
    assert exchange_day(last, "US/Eastern") == day


def test_an_evening_in_new_york_is_the_next_day_in_utc_but_not_there() -> None:
    evening = datetime(2020, 7, 21, 1, 30, tzinfo=UTC)
    assert exchange_day(evening, "US/Eastern") == date(2020, 7, 20)
    assert day_began(evening, "US/Eastern") == datetime(2020, 7, 20, 4, tzinfo=UTC)


@pytest.mark.parametrize("name", ["", "EST (Eastern)", "Mars/Olympus", "../etc/passwd", "\0"])
def test_a_zone_that_nobody_knows_is_the_desks_own(name: str) -> None:
    moment = datetime(2020, 1, 1, 3, tzinfo=UTC)
    assert exchange_day(moment, name) == moment.astimezone(ZoneInfo(HOME)).date()


def test_an_accounts_days_are_those_of_the_first_contract_it_traded(db: None) -> None:
    assert account_zone(ACCOUNT) == HOME
    bought()
    assert account_zone(ACCOUNT) == HOME, "its zone is not known"
    row = instrument()
    row.time_zone = "Europe/London"
    row.save()
    assert account_zone(ACCOUNT) == "Europe/London"
