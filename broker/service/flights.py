"""Identical reads that run at the same time are made once; whoever asks meanwhile shares the answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from broker.errors import BrokerUnavailable

# Their answers must never be older than the question: the connection shares them by a stricter rule of its own.
NEVER_SHARED = frozenset(
    {"server_time", "account", "positions", "open_orders", "completed_orders", "executions", "order", "preview"}
)


class _Flight:
    """One read under way."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.answer: Any = None
        self.error: BaseException | None = None


class Flights:
    """The reads under way, by what was asked; safe for threads."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, _Flight] = {}
        self._lock = threading.Lock()

    def share(self, question: tuple[str, Hashable], ask: Callable[[float], Any], timeout: float) -> Any:
        """The answer of `ask(seconds)`, made by this caller or by the one that was first, within `timeout` seconds.

        Raises what the first one's `ask` raised; where its time ran out before ours, we ask anew.
        """
        deadline = time.monotonic() + timeout
        if question[0] in NEVER_SHARED:
            return ask(timeout)
        while True:
            with self._lock:
                flight = self._flying.get(question)
                leads = flight is None
                flight = self._flying.setdefault(question, flight or _Flight())
            left = deadline - time.monotonic()
            if leads:
                return self._lead(question, flight, ask, left)
            if not flight.landed.wait(max(left, 0)):
                raise BrokerUnavailable(f"no answer from the broker within {timeout:g} s")
            if not isinstance(flight.error, BrokerUnavailable) or deadline <= time.monotonic():
                return _opened(flight)

    def _lead(self, question: Hashable, flight: _Flight, ask: Callable[[float], Any], timeout: float) -> Any:
        try:
            flight.answer = ask(timeout)
        except BaseException as error:
            flight.error = error
        with self._lock:
            del self._flying[question]
        flight.landed.set()
        return _opened(flight)


def _opened(flight: _Flight) -> Any:
    if flight.error is not None:
        raise flight.error
    return flight.answer
