"""Counts and times the calls of the port, on the caller's side and on the owner's, by the rows of the one table."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from autotrader.core.errors import AutoTraderError
from autotrader.core.ops import measures
from broker.errors import BrokerUnavailable

T = TypeVar("T")
calls_log = logging.getLogger("autotrader.calls")
OFTEN = frozenset({"status", "server_time"})  # asked again and again by whoever waits
# A call that the owner makes for another call, such as its own look at the status, is part of that.
_is_inside: ContextVar[bool] = ContextVar("is_inside_a_call", default=False)


def timed(name: str, side: str, work: Callable[[], T]) -> T:
    """Do the work of the row `name` and count it by its outcome; `side` is caller or owner."""
    if _is_inside.get():
        return work()
    token, began, outcome = _is_inside.set(True), time.perf_counter(), "failed"
    try:
        answer = work()
        outcome = "ok"
        return answer
    except BrokerUnavailable:
        outcome = "unavailable"
        raise
    except AutoTraderError:
        outcome = "refused"
        raise
    finally:
        _is_inside.reset(token)
        seconds = time.perf_counter() - began
        measures.broker_call(name, seconds, outcome, side)
        told = {"call": name, "side": side, "outcome": outcome, "ms": round(seconds * 1000, 1)}
        calls_log.log(logging.DEBUG if name in OFTEN else logging.INFO, "call", extra=told)


def measured(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """The owner's method of a row, counted."""

    @functools.wraps(method)
    def counted(*args: Any, **options: Any) -> Any:
        return timed(name, "owner", lambda: method(*args, **options))

    return counted
