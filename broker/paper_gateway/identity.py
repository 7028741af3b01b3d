"""Whose store this is: settles account, seed and clock between what was asked for and what the file holds."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from .clock import LATEST, RunningClock, SetClock, as_utc
from .errors import OTHER_STORE, StoreMismatch
from .store import Store

SET, RUNNING = "set", "running"
AHEAD = timedelta(seconds=2)  # of real time; a running gateway saves more often


def settle_account(store: Store, asked: str | None) -> str:
    """The account of the store; a new store takes the one asked for, or a new DU number."""
    held = store.fact("account")
    if held is not None and asked is not None and held != asked:
        raise StoreMismatch(f"{store.name} holds account {held}, not {asked}; {OTHER_STORE} or ask for {held}")
    return held or asked or f"DU{secrets.randbelow(9_000_000) + 1_000_000}"


def settle_seed(store: Store, asked: int) -> None:
    """Holdings bought at one seed's prices are worth nothing known at another's."""
    held = store.fact("seed")
    if held is not None and int(held) != asked:
        raise StoreMismatch(f"{store.name} was made with seed {held}, not {asked}; {OTHER_STORE} or use seed {held}")


def settle_clock(
    store: Store,
    set_clock: datetime | None,
    system_clock: Callable[[], datetime],
    *,
    start: datetime | None = None,
    speed: float | None = None,
) -> RunningClock | SetClock:
    """A clock goes on where the store stopped, never before it; the two kinds of clock do not share a store."""
    if set_clock is not None and (start is not None or speed is not None):
        raise StoreMismatch("a set clock stands: give either the time at which it stands, or a start and a speed")
    kind, held = RUNNING if set_clock is None else SET, store.fact("clock_kind")
    if held is not None and held != kind:
        raise StoreMismatch(f"{store.name} was made with a {held} clock, not a {kind} one; {OTHER_STORE}")
    stopped = store.fact("clock")
    if set_clock is not None:
        return SetClock(as_utc(set_clock) if stopped is None else datetime.fromisoformat(stopped))
    return _running_clock(store, system_clock, start, speed)


def _running_clock(
    store: Store, system_clock: Callable[[], datetime], start: datetime | None, speed: float | None
) -> RunningClock:
    stopped = store.fact("clock")
    if stopped is not None:
        reached = datetime.fromisoformat(stopped)
        begin = reached if start is None else max(reached, as_utc(start))
        went = float(store.fact("speed") or 1)
        return RunningClock(system_clock, start=begin, speed=went if speed is None else speed)
    if start is not None and store.fact("account") is not None and as_utc(start) < as_utc(system_clock()):
        raise StoreMismatch(f"{store.name} has lived in the present and cannot go back; {OTHER_STORE}")
    return RunningClock(system_clock, start=start, speed=1.0 if speed is None else speed)


def clock_facts(clock: RunningClock | SetClock, *, closing: bool = False) -> dict[str, str]:
    """What a store keeps of a clock: where it is, unless it simply follows the system's.

    One of its own is kept a little ahead of what it shows, until it is closed: it may be killed before the next save.
    """
    if isinstance(clock, SetClock):
        return {"clock": clock.now().isoformat()}
    if not clock.is_own:
        return {}
    ahead = timedelta(0) if closing else AHEAD * clock.speed
    return {"clock": min(clock.now() + ahead, LATEST).isoformat(), "speed": str(clock.speed)}
