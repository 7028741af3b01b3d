"""One account summary after fills: its values come one by one, and are reported once when they have all come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

QUIET = 0.05  # seconds without another account value that end a batch of them


class SummaryAfterFills:
    """Calls `emit` once the values that a fill changes have come; `is_open` tells whether reports are wanted."""

    def __init__(self, emit: Callable[[], None], is_open: Callable[[], bool]) -> None:
        self._emit = emit
        self._is_open = is_open
        self._due = False
        self._timer: asyncio.TimerHandle | None = None

    def expect(self) -> None:
        """A fill has come: its values will follow. What came before it is reported first."""
        self.flush()
        self._due = True

    def value_came(self) -> None:
        """Take the values when no other has followed for a moment."""
        if not (self._due and self._is_open()):
            return
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET, self.flush)

    def flush(self) -> None:
        """Report now, if the values of a fill have begun to arrive."""
        if self._timer is not None:
            self.report()

    def report(self) -> None:
        """Report now."""
        self.cancel()
        self._due = False
        self._emit()

    def cancel(self) -> None:
        """Wait no longer for values that are on their way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
