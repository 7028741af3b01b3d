"""Midnight, for tests of what is counted by the day."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from autotrader.core.clock import system_now

T = TypeVar("T")


def on_one_day(work: Callable[[], T]) -> T:
    """What `work` gives; done once more where midnight (UTC) came in the middle of it."""
    while True:
        day = system_now().date()
        found = work()
        if system_now().date() == day:
            return found
