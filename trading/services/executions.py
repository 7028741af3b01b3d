"""The life of a claimable row: claim, lease, step commits, waiting, end; leases run on the database's clock."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import DateTimeField, ExpressionWrapper, F
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from autotrader.core.ops.pace import paced
from trading.models import Dispatch, StepRun, WorkflowExecution
from trading.models.cycle import CycleState, ExecutionState
from trading.selectors.executions import claimable
from trading.services.rows import swap

LEASE = timedelta(seconds=paced(30))
Work = WorkflowExecution | Dispatch  # what a worker claims: both have an epoch and a lease


def worker_name() -> str:
    """Host and process: who ran a piece of work."""
    return f"{socket.gethostname()}:{os.getpid()}"[:80]


class EpochLost(Exception):
    """Another worker has claimed the row since; whoever sees this stops silently."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one finished step leaves behind."""

    index: int
    name: str
    input: dict[str, Any]
    output: dict[str, Any]
    started_at: datetime
    error: str = ""
    market_at: datetime | None = None


def lease_end(lease: timedelta) -> CombinedExpression | ExpressionWrapper[Any]:
    """The end of a lease that begins now, by the database's clock."""
    return ExpressionWrapper(Now() + lease, output_field=DateTimeField())


def execution_claim(lane: str, worker: str, cycle_id: int | None = None) -> WorkflowExecution | None:
    """Take the next free row by compare-and-swap on its epoch; None where there is nothing to do."""
    for row in claimable(lane, cycle_id).select_related("cycle")[:20]:
        resumed = row.state == ExecutionState.RUNNING
        with audit.acting(actor=f"worker:{worker}", correlation_id=row.correlation_id), audit.recording(point="claim"):
            free = claimable(lane, cycle_id).filter(pk=row.pk, epoch=row.epoch).order_by()
            won = free.update(
                epoch=F("epoch") + 1,
                version=F("version") + 1,
                state=ExecutionState.RUNNING,
                worker=worker,
                lease_until=lease_end(LEASE),
                started_at=row.started_at or system_now(),
            )
            if won != 1:
                continue
            claimed = _load(row.pk)
            kind = EventType.EXECUTION_RESUMED if resumed else EventType.EXECUTION_CLAIMED
            _record(claimed, kind, old=row.state, cause=f"epoch {claimed.epoch}")
        return claimed
    return None


def _load(pk: int) -> WorkflowExecution:
    return WorkflowExecution.objects.select_related(
        "cycle", "strategy__risk_profile", "instrument", "workflow_version", "account"
    ).get(pk=pk)


def epoch_hold(work: Work, lease: timedelta = LEASE, **changes: Any) -> None:
    """Extend the lease in the same UPDATE that checks the epoch; raises EpochLost. Call in the writing transaction."""
    rows = type(work)._default_manager.filter(pk=work.pk, epoch=work.epoch, state=ExecutionState.RUNNING)
    if rows.update(lease_until=lease_end(lease), version=F("version") + 1, **changes) != 1:
        raise EpochLost(f"{work} epoch {work.epoch}")
    work.version += 1
    for name, value in changes.items():
        setattr(work, name, value)


def lease_extend(work: Work, seconds: float) -> None:
    """Commit a longer lease before a call that may take that long."""
    with audit.recording(point="lease"):
        epoch_hold(work, timedelta(seconds=paced(seconds + 10)))


def step_commit(execution: WorkflowExecution, step: StepRecord, *, failed: bool = False) -> StepRun:
    """Keep a step's result under the epoch check; call inside `audit.recording()` with the rows the step writes."""
    finished = system_now()
    epoch_hold(execution, next_step=step.index if failed else step.index + 1)
    run = StepRun.objects.create(
        execution=execution,
        index=step.index,
        name=step.name,
        state="FAILED" if failed else "DONE",
        epoch=execution.epoch,
        worker=execution.worker,
        input=step.input,
        output=step.output,
        error=step.error,
        started_at=step.started_at,
        finished_at=finished,
        ms=max(0, round((finished - step.started_at).total_seconds() * 1000)),
    )
    audit.record(
        EventType.STEP_FAILED if failed else EventType.STEP_DONE,
        f"step:{execution.pk}.{step.index}",
        version=1,
        new_state=run.state,
        account=execution.account_id or "",
        cause=step.error or step.name,
        market_at=step.market_at,
        document={"name": step.name, "ms": run.ms, "output": step.output},
    )
    return run


def execution_wait(execution: WorkflowExecution, step_index: int, seconds: int) -> None:
    """Give the row back until the step's delay has passed; no thread is held meanwhile."""
    with audit.recording(point="wait"):
        due = lease_end(timedelta(seconds=seconds))
        epoch_hold(execution, delayed_step=step_index, state=ExecutionState.WAITING)
        WorkflowExecution.objects.filter(pk=execution.pk).update(due_at=due)
        _record(execution, EventType.EXECUTION_WAITING, old="RUNNING", cause=f"{seconds} s before step {step_index}")


def execution_end(execution: WorkflowExecution, *, outcome: str, reason: str, failed: bool = False) -> None:
    """End the row under the epoch check; call inside `audit.recording()`."""
    state = ExecutionState.FAILED if failed else ExecutionState.DONE
    epoch_hold(execution, state=state, outcome=outcome, reason=reason[:2000], finished_at=system_now())
    kind = EventType.EXECUTION_FAILED if failed else EventType.EXECUTION_DONE
    _record(execution, kind, old="RUNNING", cause=reason or outcome)


def execution_cancel(execution: WorkflowExecution, *, reason: str) -> None:
    """End a row that its caller has locked, whoever works on it: with its epoch over, a worker's next commit fails.

    Call inside `audit.recording()`.
    """
    old = execution.state
    swap(
        execution,
        state=ExecutionState.CANCELLED,
        epoch=execution.epoch + 1,
        outcome="cancelled",
        reason=reason[:2000],
        finished_at=system_now(),
    )
    _record(execution, EventType.EXECUTION_CANCELLED, old=old, cause=reason)


def cycle_started(execution: WorkflowExecution, market_at: datetime, account_id: str) -> None:
    """The first execution of a cycle to be claimed starts it."""
    cycle = execution.cycle
    cycle.refresh_from_db()
    if cycle.state != CycleState.QUEUED:
        return
    with audit.acting(correlation_id=cycle.correlation_id), suppress(Conflict), audit.recording(point="cycle_start"):
        # Conflict: another execution of the cycle has started it.
        swap(cycle, state=CycleState.RUNNING, started_at=system_now(), market_at=market_at, account_id=account_id)
        audit.record(
            EventType.CYCLE_STARTED,
            f"cycle:{cycle.pk}",
            version=cycle.version,
            old_state="QUEUED",
            new_state=cycle.state,
            account=account_id,
            market_at=market_at,
        )


def _record(execution: WorkflowExecution, kind: EventType, *, old: str, cause: str) -> None:
    audit.record(
        kind,
        f"execution:{execution.pk}",
        version=execution.version,
        old_state=old,
        new_state=execution.state,
        account=execution.account_id or "",
        cause=cause,
        document={"worker": execution.worker, "epoch": execution.epoch, "outcome": execution.outcome},
    )
