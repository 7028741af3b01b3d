"""What the processes count and time, each named once; other rooms call these functions, which never fail.

No label takes what a caller sent: a value outside its list of words counts as "other".
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from autotrader.core.ops import shared_values

shared_values.install()

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OUTCOMES = frozenset({"ok", "unavailable", "refused", "failed"})
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)

HTTP_REQUESTS = Counter(
    "autotrader_http_requests",
    "HTTP requests answered, by the route's pattern, method and class of status.",
    ("route", "method", "status"),
    registry=None,
)
HTTP_SECONDS = Histogram(
    "autotrader_http_seconds", "Time until an HTTP request was answered.", ("route",), registry=None, buckets=FAST
)
BROKER_CALLS = Counter(
    "autotrader_broker_calls",
    "Calls of the broker's port, by name and outcome; side is caller or owner.",
    ("call", "side", "outcome"),
    registry=None,
)
BROKER_SECONDS = Histogram(
    "autotrader_broker_seconds", "Time of a call of the broker's port.", ("call", "side"), registry=None, buckets=SLOW
)
GATES = Counter(
    "autotrader_gate_checks",
    "Looks of the last gates before a send, by what they said.",
    ("gate", "word"),
    registry=None,
)
GATE_SECONDS = Histogram(
    "autotrader_gate_seconds", "Time of a look of the last gates.", ("gate",), registry=None, buckets=FAST
)
MODEL_SECONDS = Histogram(
    "autotrader_model_seconds",
    "Time of a question to the model, by how it ended.",
    ("outcome",),
    registry=None,
    buckets=SLOW,
)
STREAM_CLIENTS = Gauge(
    "autotrader_stream_clients", "Event streams that are open.", ("kind",), registry=None, multiprocess_mode="livesum"
)
STREAMS = Counter("autotrader_streams", "Event streams, by what became of them.", ("what",), registry=None)
STREAM_EVENTS = Counter("autotrader_stream_events", "Events written to streams.", ("kind",), registry=None)
SLOW_QUERIES = Counter("autotrader_slow_queries", "Queries that took longer than allowed.", ("role",), registry=None)
DATABASE_AWAY = Counter(
    "autotrader_database_refusals", "Requests refused since the database did not answer.", ("how",), registry=None
)

ALL = (
    HTTP_REQUESTS, HTTP_SECONDS, BROKER_CALLS, BROKER_SECONDS, GATES, GATE_SECONDS, MODEL_SECONDS, STREAM_CLIENTS,
    STREAMS, STREAM_EVENTS, SLOW_QUERIES, DATABASE_AWAY,
)  # fmt: skip
ROLES = frozenset({"web", "worker", "broker", "gateway", "command"})
STREAM = "events"


def http(route: str, method: str, status: int, seconds: float) -> None:
    """One request answered. `route` is the URL map's own pattern, "" where none matched."""
    where = route or OTHER
    HTTP_REQUESTS.labels(where, _one_of(method, METHODS), f"{status // 100}xx").inc()
    HTTP_SECONDS.labels(where).observe(seconds)


def broker_call(name: str, seconds: float, outcome: str, side: str = "caller") -> None:
    """One call of the port. `name` is a row of its table; `outcome` is ok, unavailable, refused or failed."""
    BROKER_CALLS.labels(name, side, _one_of(outcome, OUTCOMES)).inc()
    BROKER_SECONDS.labels(name, side).observe(seconds)


def gate(control: str, allowed: bool, seconds: float | None = None) -> None:
    """One look of a gate of ours, by its name in the code."""
    GATES.labels(control, "allowed" if allowed else "refused").inc()
    if seconds is not None:
        GATE_SECONDS.labels(control).observe(seconds)


@contextmanager
def timed_gate(control: str) -> Iterator[None]:
    """A look of a gate: what it raises is its refusal."""
    began, allowed = time.perf_counter(), False
    try:
        yield
        allowed = True
    finally:
        gate(control, allowed, time.perf_counter() - began)


def model_call(seconds: float, outcome: str) -> None:
    """One question to the model; `outcome` is "ok" or the code of why there is no answer."""
    MODEL_SECONDS.labels(outcome).observe(seconds)


def stream_opened() -> None:
    """A client's stream began."""
    STREAM_CLIENTS.labels(STREAM).inc()
    STREAMS.labels("opened").inc()


def stream_closed() -> None:
    """A client's stream ended."""
    STREAM_CLIENTS.labels(STREAM).dec()
    STREAMS.labels("closed").inc()


def sent(count: int) -> None:
    """Events were written to a stream."""
    STREAM_EVENTS.labels(STREAM).inc(count)


def resync() -> None:
    """A stream was told to begin anew."""
    STREAMS.labels("resync").inc()


def slow_query(role: str) -> None:
    """A query took longer than it may, in a process of this role."""
    SLOW_QUERIES.labels(_one_of(role, ROLES)).inc()


def database_refusal(how: str) -> None:
    """A request was refused: "known" at once, "waited" while it was under way, "failed" by a query of its own."""
    DATABASE_AWAY.labels(how).inc()


def _one_of(word: str, words: frozenset[str]) -> str:
    return word if word in words else OTHER
