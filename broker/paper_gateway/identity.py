"""Whose store this is: settles account, seed and clock between what was asked for and what the file holds."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from .clock import RunningClock, SetClock, as_utc
from .errors import StoreMismatch
from .store import Store

SET, RUNNING = "set", "running"


def settle_account(store: Store, asked: str | None) -> str:
    """The account of the store; a new store takes the one asked for, or a new DU number."""
    held = store.fact("account")
    if held is not None and asked is not None and held != asked:
        raise StoreMismatch(f"the store holds account {held}, not {asked}; name another file or ask for {held}")
    return held or asked or f"DU{secrets.randbelow(9_000_000) + 1_000_000}"


def settle_seed(store: Store, asked: int) -> None:
    """Holdings bought at one seed's prices are worth nothing known at another's."""
    held = store.fact("seed")
    if held is not None and int(held) != asked:
        raise StoreMismatch(f"the store was made with seed {held}, not {asked}; name another file or use seed {held}")


def settle_clock(
    store: Store, set_clock: datetime | None, system_clock: Callable[[], datetime]
) -> RunningClock | SetClock:
    """A set clock goes on where the store stopped; the two kinds of clock do not share a store."""
    kind, held = RUNNING if set_clock is None else SET, store.fact("clock_kind")
    if held is not None and held != kind:
        raise StoreMismatch(f"the store was made with a {held} clock, not a {kind} one; name another file")
    if set_clock is None:
        return RunningClock(system_clock)
    stopped = store.fact("clock")
    return SetClock(as_utc(set_clock) if stopped is None else datetime.fromisoformat(stopped))
