"""How long to wait before connecting again: longer after each failure, never twice the same, never a storm."""

from __future__ import annotations

import random
from collections.abc import Callable

from autotrader.core.ops.pace import paced

FIRST, LONGEST = paced(0.2), paced(30)  # seconds
FLAPPING = paced(2)  # the longest wait after a connection that worked, but not for long
SETTLED = paced(60)  # a connection that lived so long has proven itself


class Backoff:
    """The waits between connections; `spread` draws the part of each that is taken."""

    def __init__(self, spread: Callable[[float, float], float] = random.uniform) -> None:
        self._spread = spread
        self._delay = FIRST

    def after(self, *, synced: bool, lived: float) -> float:
        """Seconds to wait after a connection that lived so long; `synced`: it was replayed at least once."""
        if synced:
            self._delay = FIRST if lived >= SETTLED else min(self._delay, FLAPPING)
        delay = self._delay
        self._delay = min(delay * 2, LONGEST)
        return delay * self._spread(0.5, 1.0)
