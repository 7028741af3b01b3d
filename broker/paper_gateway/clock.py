"""The clocks of the gateway: one that runs, as time does or at another speed, and one that stands until it is moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

ONE_SECOND = timedelta(seconds=1)
FASTEST = 1_000_000.0
LATEST = datetime(2069, 12, 1, tzinfo=UTC)  # there are no prices after it


class Clock(Protocol):
    """Tells the gateway's market time as aware UTC."""

    @property
    def is_set(self) -> bool: ...
    @property
    def is_own(self) -> bool:
        """Whether its time may be another than that of everybody else."""

    def now(self) -> datetime: ...


class RunningClock:
    """Follows a clock function that the caller passes in, or goes its own way from `start` on.

    `speed` is market seconds for each second of that function; 0 stands still. It never goes back, whatever the
    function does.
    """

    is_set = False

    def __init__(
        self, system_clock: Callable[[], datetime], *, start: datetime | None = None, speed: float = 1.0
    ) -> None:
        self._system_clock = system_clock
        self.speed = checked_speed(speed)
        self._market: datetime | None = None
        self._system = self._latest = datetime.min.replace(tzinfo=UTC)
        if start is not None or speed != 1:
            self._go_on_from(as_utc(start) if start is not None else as_utc(system_clock()))

    @property
    def is_own(self) -> bool:
        """Whether it has left the clock function behind."""
        return self._market is not None

    def now(self) -> datetime:
        system = as_utc(self._system_clock())
        if self._market is None:
            return system
        passed = min((system - self._system).total_seconds() * self.speed, (LATEST - self._market).total_seconds())
        self._latest = max(self._latest, self._market + timedelta(seconds=passed))
        return self._latest

    def set_speed(self, speed: float) -> None:
        """From now on this fast; raises ValueError."""
        self._go_on_from(self.now())
        self.speed = checked_speed(speed)

    def jump(self, to: datetime) -> None:
        """Go on from a later instant; raises ValueError for an earlier one."""
        now, moment = self.now(), as_utc(to)
        if moment > LATEST:
            raise ValueError(f"{moment.isoformat()} is later than there are prices")
        if moment < now:
            raise ValueError(f"it is {now.isoformat()}, and time does not go back to {moment.isoformat()}")
        self._go_on_from(moment)

    def _go_on_from(self, moment: datetime) -> None:
        self._market = self._latest = moment
        self._system = as_utc(self._system_clock())


class SetClock:
    """Stands at one instant; moves forward only, and only by `move`."""

    is_set = True
    is_own = True

    def __init__(self, at: datetime) -> None:
        self._at = as_utc(at)

    def now(self) -> datetime:
        return self._at

    def move(self, to: datetime) -> None:
        """Raises ValueError when `to` lies before the present instant."""
        moment = as_utc(to)
        if moment < self._at:
            raise ValueError(f"the clock stands at {self._at.isoformat()} and does not go back to {moment.isoformat()}")
        self._at = moment


class Told:
    """What clients have been told of a clock that they cannot know otherwise: one that is set or goes its own way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = clock.now()

    def news(self) -> datetime | None:
        """The time now where it must be told; every change of a set clock, each second of a running one."""
        now = self._clock.now()
        changed = now != self._at if self._clock.is_set else now - self._at >= ONE_SECOND
        if not (self._clock.is_own and changed):
            return None
        self._at = now
        return now


def checked_speed(speed: float) -> float:
    """A speed that a clock can have; raises ValueError."""
    if not (math.isfinite(speed) and 0 <= speed <= FASTEST):
        raise ValueError(f"{speed} is no speed: 0 (stands) to {FASTEST:.0f} market seconds a second")
    return float(speed)


def as_utc(moment: datetime) -> datetime:
    """The same instant in UTC; a naive time is refused, since nobody can say which instant it is."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment.isoformat()}")
    return moment.astimezone(UTC)
