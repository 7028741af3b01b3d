"""Which orders are being sent at this moment: between their Submission and the end of the call that sends them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class InFlight:
    """A set of order references, safe for threads."""

    def __init__(self) -> None:
        self._refs: list[str] = []
        self._lock = threading.Lock()

    @contextmanager
    def sending(self, order_refs: Sequence[str]) -> Iterator[None]:
        """Mark these orders while the block runs."""
        with self._lock:
            self._refs.extend(order_refs)
        try:
            yield
        finally:
            with self._lock:
                for order_ref in order_refs:
                    self._refs.remove(order_ref)

    def refs(self) -> frozenset[str]:
        """Those of this moment."""
        with self._lock:
            return frozenset(self._refs)
