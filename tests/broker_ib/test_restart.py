"""The nightly restart and the weekly login: when they come next, and when no order may leave."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.ib.restart import Schedule, in_window, next_login, next_restart

NEW_YORK = ZoneInfo("US/Eastern")
NIGHTLY = Schedule(time(23, 45, tzinfo=NEW_YORK), (6, time(1, 0, tzinfo=NEW_YORK)))
RESTART = datetime(2024, 1, 3, 4, 45, tzinfo=UTC)  # 23:45 on the 2nd in New York
SECOND = timedelta(seconds=1)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def _new_york(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=NEW_YORK).astimezone(UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param((2024, 1, 2, 12, 0), (2024, 1, 2, 23, 45), id="today"),
        pytest.param((2024, 1, 2, 23, 45), (2024, 1, 3, 23, 45), id="at the hour itself the next day's"),
        pytest.param((2024, 3, 9, 23, 50), (2024, 3, 10, 23, 45), id="the day that clocks go forward has 23 hours"),
        pytest.param((2024, 11, 2, 23, 50), (2024, 11, 3, 23, 45), id="the day that they go back has 25"),
    ],
)
def test_the_next_restart_is_by_the_clock_of_its_zone(now: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert next_restart(NIGHTLY, _new_york(*now)) == _new_york(*expected)


def test_a_time_that_clocks_skip_or_repeat_comes_once_a_day() -> None:
    skipped, repeated = (Schedule(time(hour, 30, tzinfo=NEW_YORK)) for hour in (2, 1))
    assert next_restart(skipped, _new_york(2024, 3, 9, 12, 0)) == _new_york(2024, 3, 10, 3, 30)
    first = next_restart(repeated, _new_york(2024, 11, 2, 12, 0))
    assert first == datetime(2024, 11, 3, 5, 30, tzinfo=UTC)
    assert next_restart(repeated, first) == _new_york(2024, 11, 4, 1, 30)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param((2024, 1, 2, 12, 0), (2024, 1, 7, 1, 0), id="a Tuesday"),
        pytest.param((2024, 1, 7, 0, 59), (2024, 1, 7, 1, 0), id="a minute before"),
        pytest.param((2024, 1, 7, 1, 0), (2024, 1, 14, 1, 0), id="at the hour"),
        pytest.param((2024, 3, 9, 12, 0), (2024, 3, 10, 1, 0), id="before clocks go forward"),
    ],
)
def test_the_next_login(now: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert next_login(NIGHTLY, _new_york(*now)) == _new_york(*expected)


@given(MOMENTS)
def test_the_next_ones_are_near_and_at_their_local_time(now: datetime) -> None:
    restart, login = next_restart(NIGHTLY, now), next_login(NIGHTLY, now)
    assert restart is not None
    assert login is not None
    assert timedelta(0) < restart - now <= timedelta(hours=25)
    assert timedelta(0) < login - now <= timedelta(days=7, hours=1)
    assert restart.astimezone(NEW_YORK).time() == time(23, 45)
    assert (login.astimezone(NEW_YORK).weekday(), login.astimezone(NEW_YORK).time()) == (6, time(1, 0))


@pytest.mark.parametrize(
    ("at", "connected", "ready", "closed"),
    [
        pytest.param(RESTART - 61 * SECOND, -3600, True, False, id="more than a minute before"),
        pytest.param(RESTART - 60 * SECOND, -3600, True, True, id="a minute before"),
        pytest.param(RESTART, -3600, True, True, id="at the hour"),
        pytest.param(RESTART + 30 * SECOND, None, False, True, id="while it is down"),
        pytest.param(RESTART + 60 * SECOND, 45, False, True, id="connected but not reconciled"),
        pytest.param(RESTART + 60 * SECOND, 45, True, False, id="connected and reconciled"),
        pytest.param(RESTART + 60 * SECOND, -10, True, True, id="a connection from before proves nothing"),
        pytest.param(RESTART + timedelta(minutes=19), -3600, True, True, id="no restart has come yet"),
        pytest.param(RESTART + timedelta(minutes=20), -3600, True, False, id="no restart came"),
    ],
)
def test_when_no_order_leaves(at: datetime, connected: int | None, ready: bool, closed: bool) -> None:
    connected_at = None if connected is None else RESTART + connected * SECOND
    assert in_window(NIGHTLY, at, connected_at, ready=ready) is closed


@given(MOMENTS)
def test_a_gateway_that_never_restarts_has_no_window(now: datetime) -> None:
    never = Schedule()
    assert not in_window(never, now, None, ready=False)
    assert next_restart(never, now) is next_login(never, now) is None
