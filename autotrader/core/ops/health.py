"""Is the desk well? One judgement from what each part says of itself; what cannot be asked is null, never well."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from autotrader.core.ops.beats import Beat

Status = Literal["ok", "degraded", "down"]
BrokerWord = Literal["ready", "not_ready", "unavailable"]
QUEUE_LAG_S = 90.0  # a lease and a wake: longer and nobody works
STREAM_LAG_S = 5.0
ANCHOR_AGE_S = 900.0
DISK_FREE_BYTES = 512 * 1024 * 1024
SKEW_S = 2.0


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """`since_s`: how long it has been so; `migrations` that are missing, null where that was not looked at."""

    ok: bool
    reason: str
    since_s: float
    migrations: int | None = None


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The broker's owner: "ready" to send, "not_ready" with the reason, or "unavailable", which is no answer.

    `skew_s` is the broker's clock minus ours, null where it is not known or the clock is set.
    """

    state: BrokerWord
    reason: str
    phase: str = ""
    action: str = ""
    clock: str = ""
    since: datetime | None = None
    skew_s: float | None = None


@dataclass(frozen=True, slots=True)
class LaneState:
    """Work that waits in a lane; `oldest_s` is how long the oldest has been free to be taken."""

    lane: str
    waiting: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class StreamState:
    """The event stream's reader in this web process; it rests while nobody listens, and its lag is null then."""

    alive: bool
    subscribers: int
    lag_s: float | None
    problem: str


@dataclass(frozen=True, slots=True)
class AuditState:
    """`events` is the last one's number, null without a database or where the log has no head; `anchor_age_s` is null
    where no anchor was taken yet."""

    events: int | None
    anchor_age_s: float | None


@dataclass(frozen=True, slots=True)
class DiskState:
    """The disk that holds the state folder."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that is judged; `failing` are sentences about steps of the workers that fail."""

    database: DatabaseState
    broker: BrokerState
    processes: Sequence[Beat]
    queue: Sequence[LaneState] | None
    stream: StreamState | None
    audit: AuditState
    disk: DiskState
    failing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """What anybody is told."""

    status: Status
    db_ok: bool
    broker: BrokerWord


@dataclass(frozen=True, slots=True)
class Health:
    """What those are told who may look at the events. `problems` are sentences, the worst first."""

    status: Status
    db_ok: bool
    broker: BrokerWord
    problems: list[str]
    now: datetime
    build: str
    database: DatabaseState
    broker_state: BrokerState
    processes: list[Beat]
    queue: list[LaneState] | None
    stream: StreamState | None
    audit: AuditState
    disk: DiskState

    def summary(self) -> HealthSummary:
        """The part for anybody."""
        return HealthSummary(self.status, self.db_ok, self.broker)


def judged(parts: Parts, *, now: datetime, build: str) -> Health:
    """The whole document. "down" is a database that does not answer; any other problem is "degraded"."""
    problems = [
        *_of_database(parts.database),
        *_of_broker(parts.broker),
        *_of_processes(parts.processes),
        *_of_queue(parts.queue),
        *parts.failing,
        *_of_stream(parts.stream),
        *(_of_audit(parts.audit) if parts.database.ok else ()),
        *_of_disk(parts.disk),
    ]
    status: Status = "down" if not parts.database.ok else "degraded" if problems else "ok"
    return Health(
        status=status,
        db_ok=parts.database.ok,
        broker=parts.broker.state,
        problems=problems,
        now=now,
        build=build,
        database=parts.database,
        broker_state=parts.broker,
        processes=list(parts.processes),
        queue=None if parts.queue is None else list(parts.queue),
        stream=parts.stream,
        audit=parts.audit,
        disk=parts.disk,
    )


def disk_state(folder: Path) -> DiskState:
    """The free and the total room."""
    usage = shutil.disk_usage(folder)
    return DiskState(usage.free, usage.total)


def seconds(length: timedelta | None) -> float | None:
    """A length of time as a number."""
    return None if length is None else round(length.total_seconds(), 1)


def _of_database(state: DatabaseState) -> list[str]:
    if not state.ok:
        return [f"The database does not answer: {state.reason}."]
    return [f"{state.migrations} migrations are missing; run manage.py prepare."] if state.migrations else []


def _of_broker(state: BrokerState) -> list[str]:
    found = [] if state.state == "ready" else [f"The broker is {state.state.replace('_', ' ')}: {state.reason}"]
    if state.action:
        found.append(f"A person must act: {state.action}")
    if state.skew_s is not None and abs(state.skew_s) > SKEW_S:
        found.append(f"The broker's clock is {state.skew_s:+.1f} s from ours.")
    return found


def _of_processes(processes: Sequence[Beat]) -> list[str]:
    return [f"The process {beat.name} is not running." for beat in processes if not beat.running]


def _of_queue(lanes: Sequence[LaneState] | None) -> list[str]:
    late = [lane for lane in lanes or () if lane.oldest_s > QUEUE_LAG_S]
    return [f"Work has been waiting in {lane.lane} for {lane.oldest_s:.0f} s." for lane in late]


def _of_stream(state: StreamState | None) -> list[str]:
    if state is None:
        return []
    if state.problem:
        return [f"The event stream stands still: {state.problem}"]
    if state.subscribers and not state.alive:
        return ["The event stream has listeners, but nobody reads the log."]
    return [f"The event stream is {state.lag_s:.0f} s behind."] if (state.lag_s or 0) > STREAM_LAG_S else []


def _of_audit(state: AuditState) -> list[str]:
    if state.events is None:
        return ["The audit log has no head row, so that nothing can be recorded; restore the database from a copy."]
    if not state.events:
        return []
    if state.anchor_age_s is None:
        return ["No anchor of the audit log was taken yet."]
    old = state.anchor_age_s > ANCHOR_AGE_S
    return [f"The last anchor of the audit log is {state.anchor_age_s / 60:.0f} minutes old."] if old else []


def _of_disk(state: DiskState) -> list[str]:
    short = state.free_bytes < DISK_FREE_BYTES
    return [f"Only {state.free_bytes // 1024**2} MB are free on the disk of the state folder."] if short else []
