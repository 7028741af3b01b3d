"""The two clocks of the gateway: one that runs with a clock passed in, one that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the gateway's market time as aware UTC."""

    @property
    def is_set(self) -> bool: ...
    def now(self) -> datetime: ...


class RunningClock:
    """Follows a clock function that the caller passes in."""

    is_set = False

    def __init__(self, system_clock: Callable[[], datetime]) -> None:
        self._system_clock = system_clock

    def now(self) -> datetime:
        return as_utc(self._system_clock())


class SetClock:
    """Stands at one instant; moves forward only, and only by `move`."""

    is_set = True

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


def as_utc(moment: datetime) -> datetime:
    """The same instant in UTC; a naive time is refused, since nobody can say which instant it is."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment.isoformat()}")
    return moment.astimezone(UTC)
