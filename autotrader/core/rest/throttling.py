"""How often a caller may ask: a bucket of tokens for each key and person, and one for each address that fails.

The buckets live in this process's memory. There is one web process; with more, each has buckets of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict

from rest_framework.exceptions import Throttled

SESSION_PER_MINUTE = 1200
FAILURES_PER_MINUTE = 60
MINUTE_S = 60.0
CALLERS, ADDRESSES = 20_000, 20_000


class Buckets:
    """One bucket a name: full at first, refilled evenly; the ones that were used longest ago are forgotten.

    Each is a single number, the time at which it would be full again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, name: str, per_minute: int, tick: float) -> float:
        """Seconds until there is a token; 0 where there is one now. Takes none."""
        with self._lock:
            return _wait(self._full_at.get(name, tick), per_minute, tick)

    def take(self, name: str, per_minute: int, tick: float) -> float:
        """Take a token and say 0, or take none and say how many seconds are to be waited."""
        with self._lock:
            full_at = max(self._full_at.get(name, tick), tick)
            wait = _wait(full_at, per_minute, tick)
            if not wait:
                self._full_at[name] = full_at + MINUTE_S / per_minute
                self._full_at.move_to_end(name)
                while len(self._full_at) > self._size:
                    self._full_at.popitem(last=False)
            return wait

    def clear(self) -> None:
        """All full again."""
        with self._lock:
            self._full_at.clear()


def _wait(full_at: float, per_minute: int, tick: float) -> float:
    """A bucket holds a minute's tokens, so one is there while it would be full again in less than a minute."""
    a_token = MINUTE_S / per_minute
    return max(0.0, full_at + a_token - tick - MINUTE_S)


CALLS = Buckets(CALLERS)
FAILURES = Buckets(ADDRESSES)


def count_call(name: str, per_minute: int) -> None:
    """One more request of a key ("key:<id>") or person ("user:<id>"); raises TooMany where it is one too many."""
    wait = CALLS.take(name, per_minute, time.monotonic())
    if wait:
        raise TooMany(wait)


class TooMany(Throttled):
    """The refusal; `retry_after` is in whole seconds."""

    def __init__(self, wait_s: float) -> None:
        self.retry_after = max(1, math.ceil(wait_s))
        super().__init__(wait=self.retry_after, detail="Too many requests.")
