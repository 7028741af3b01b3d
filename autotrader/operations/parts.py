"""What each part of the site says of itself at this moment; nothing here waits longer than a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from django.conf import settings
from django.db import DatabaseError

from autotrader.core.audit.anchors import anchor_age
from autotrader.core.audit.models import AuditHead
from autotrader.core.build import build_id
from autotrader.core.clock import system_now
from autotrader.core.live.tailer import tailer_state
from autotrader.core.ops import beats
from autotrader.core.ops.breaker import Look
from autotrader.core.ops.health import (
    AuditState,
    BrokerState,
    DatabaseState,
    Health,
    LaneState,
    Parts,
    StreamState,
    disk_state,
    judged,
    seconds,
)
from autotrader.core.ops.steps import troubles
from broker import get_broker
from broker.errors import BrokerError
from trading.selectors.lanes import waiting

T = TypeVar("T")
KEPT_S = 1.0


class Kept(Generic[T]):
    """A value that costs a question, kept for a second: whoever asks meanwhile is told the same.

    While one thread asks anew the others are told the last value; only before there is any do they wait for it.
    """

    def __init__(self, ask: Callable[[], T], *, seconds: float = KEPT_S) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._value: T | None = None
        self._until = float("-inf")

    def get(self) -> T:
        """The value, asked anew where it is old and nobody asks already."""
        known = self._value
        if not self._lock.acquire(blocking=known is None):
            assert known is not None  # else this thread would have waited
            return known
        try:
            if self._value is None or time.monotonic() >= self._until:
                self._value = self._ask()
                self._until = time.monotonic() + self._seconds
            return self._value
        finally:
            self._lock.release()


def health(look: Look, *, broker: Callable[[], BrokerState], serves: bool = True) -> Health:
    """The judged whole. Where the database does not answer, what it would say is null.

    `serves`: this process serves the event stream, and so can tell of it.
    """
    now = system_now()
    database = DatabaseState(look.ok, look.reason, round(look.since_s, 1))
    queue, events = None, None
    if look.ok:
        try:
            queue, events = lane_states(), AuditHead.objects.filter(pk=1).values_list("seq", flat=True).first()
        except DatabaseError as error:
            database = DatabaseState(ok=False, reason=str(error).strip().partition("\n")[0], since_s=0.0)
    parts = Parts(
        database=database,
        broker=broker(),
        processes=beats.processes(beats.expected(called_for())),
        queue=queue,
        stream=stream_state(now) if serves else None,
        audit=audit_state(now, events),
        disk=disk_state(Path(settings.AUTOTRADER_STATE_DIR)),
        failing=[trouble.sentence for trouble in troubles()],
    )
    return judged(parts, now=now, build=build_id())


def called_for() -> list[str]:
    """The processes that the settings call for; the gateway is not among them, since it may be anybody's."""
    return ["web", "work", "now", *([] if settings.AUTOTRADER_BROKER_URL else ["broker"])]


def broker_state() -> BrokerState:
    """What the broker's owner says; asked over HTTP or in this process, never by becoming the owner."""
    try:
        with get_broker(own=False) as broker:
            status = broker.status()
    except BrokerError as error:
        return BrokerState("unavailable", error.message)
    skew = None if status.skew_s is None or status.clock == "set" else float(status.skew_s)
    return BrokerState(
        state="ready" if status.ready else "not_ready",
        reason=status.reason,
        phase=status.phase,
        action=status.action,
        clock=status.clock,
        since=status.since,
        skew_s=skew,
    )


def lane_states() -> Sequence[LaneState]:
    """What waits for the workers."""
    return [LaneState(lane.lane, lane.waiting, round(lane.oldest_s, 1)) for lane in waiting()]


def stream_state(now: datetime) -> StreamState:
    """The event stream of this process; its lag is null while nobody listens."""
    told = tailer_state()
    lag = told.lag_seconds(now)
    return StreamState(told.alive, told.subscribers, None if lag is None else max(0.0, round(lag, 1)), told.problem)


def audit_state(now: datetime, events: int | None) -> AuditState:
    """The log's length, None where that is not known, and the age of its last anchor."""
    return AuditState(events, seconds(anchor_age(now)))
