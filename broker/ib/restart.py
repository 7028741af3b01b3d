"""The gateway's nightly restart and weekly login, as pure functions of the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

BEFORE = timedelta(seconds=60)
LONGEST = timedelta(minutes=20)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the gateway restarts each day, and when a person must log in each week (0 = Monday); with their zones."""

    restart: time | None = None
    login: tuple[int, time] | None = None


def next_restart(schedule: Schedule, now: datetime) -> datetime | None:
    """The first restart after `now`, in UTC like all answers here; None without one."""
    if schedule.restart is None:
        return None
    return _first_after(schedule.restart, now)


def next_login(schedule: Schedule, now: datetime) -> datetime | None:
    """The first weekly login after `now`."""
    if schedule.login is None:
        return None
    weekday, at = schedule.login
    found = _first_after(at, now)
    while found.astimezone(at.tzinfo).weekday() != weekday:
        found = _first_after(at, found)
    return found


def in_window(schedule: Schedule, now: datetime, connected_at: datetime | None, *, ready: bool) -> bool:
    """Whether a restart is about to come, or has not been proven to be over.

    It lasts from a minute before until a connection that was made after the restart is reconciled (`ready`), and
    ends 20 minutes after the hour where there was no restart.
    """
    if schedule.restart is None:
        return False
    restart = _first_after(schedule.restart, now - LONGEST)
    if now < restart - BEFORE:
        return False
    is_back = ready and connected_at is not None and connected_at >= restart
    return not is_back


def is_near(schedule: Schedule, at: datetime) -> bool:
    """Whether a restart was due at that time: from a minute before the hour to 20 minutes after it."""
    return schedule.restart is not None and at >= _first_after(schedule.restart, at - LONGEST) - BEFORE


def _first_after(at: time, now: datetime) -> datetime:
    """The first moment after `now` at which the clocks of its zone show `at`."""
    day = now.astimezone(at.tzinfo).date()
    while (found := datetime.combine(day, at).astimezone(UTC)) <= now:
        day += DAY
    return found
