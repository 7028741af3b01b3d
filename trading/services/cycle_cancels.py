"""Ending a cycle before its time: what waits ends at once, what runs is fenced by its epoch."""

from __future__ import annotations

from dataclasses import dataclass

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from trading.models import Approval, Cycle, WorkflowExecution
from trading.models.approval import ApprovalState
from trading.models.cycle import CYCLE_ENDED, CycleState, ExecutionState
from trading.selectors.approvals import OPEN
from trading.selectors.cycle_documents import CycleUnknown
from trading.selectors.executions import unfinished
from trading.services.approval_states import approval_end, locked
from trading.services.executions import execution_cancel
from trading.services.rows import swap

PERMISSION = "trading.run_cycle"
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class CycleCancelled:
    """What a cancel ended: `ended` are executions that nobody worked on, `fenced` those that a worker had in hand."""

    cycle: Cycle
    ended: tuple[int, ...]
    fenced: tuple[int, ...]


def cycle_cancel(pk: int, *, actor: str, reason: str = "") -> CycleCancelled:
    """End the cycle and its work in one transaction.

    A worker's next commit fails, so that it writes and sends nothing more. What it had committed as SENDING before
    counts as sent: it stays with its protection, and so does what waits for a person from an execution that had ended.
    Raises CycleUnknown, and Conflict CYCLE_ENDED where nothing is left to cancel.
    """
    if len(reason) > LONGEST_REASON or "\x00" in reason:
        raise Invalid(f"Say why in at most {LONGEST_REASON} characters.", details={"field": "reason"})
    said = f"cancelled by {actor}" + (f": {reason.strip()}" if reason.strip() else "")
    cycle = Cycle.objects.filter(pk=pk).first()
    if cycle is None:
        raise CycleUnknown(f"There is no cycle {pk}.", details={"field": "id"})
    # The events tell the cycle's story under its own id; their documents name the request that asked for this.
    asked = audit.current().correlation_id
    with audit.acting(actor=actor, correlation_id=cycle.correlation_id), audit.recording(point="cycle_cancel"):
        rows = list(unfinished(pk).select_for_update(of=("self",), no_key=True).select_related("cycle"))
        ended, fenced = _ids(rows, running=False), _ids(rows, running=True)
        cycle = Cycle.objects.select_for_update(no_key=True).get(pk=pk)
        if cycle.state in CYCLE_ENDED or not rows:
            raise Conflict(f"Cycle {pk} has ended: it is {cycle.state}.", code="CYCLE_ENDED")
        for row in rows:
            with audit.acting(correlation_id=row.correlation_id):
                execution_cancel(row, reason=said)
                _end_question(row, said)
        _end(cycle, said, asked)
    return CycleCancelled(cycle, ended, fenced)


def _ids(rows: list[WorkflowExecution], *, running: bool) -> tuple[int, ...]:
    return tuple(row.pk for row in rows if (row.state == ExecutionState.RUNNING) == running)


def _end_question(execution: WorkflowExecution, reason: str) -> None:
    """What its worker had asked a person already, without ending: nothing of a cancelled execution is sent later."""
    asked = Approval.objects.filter(decision__execution=execution, state__in=OPEN).first()
    if asked is not None:
        approval = locked(asked.pk)
        if approval.state in OPEN:
            approval_end(approval, ApprovalState.VOID, "CYCLE_CANCELLED", reason, None)


def _end(cycle: Cycle, reason: str, asked: str) -> None:
    old = cycle.state
    swap(cycle, state=CycleState.CANCELLED, reason=reason, finished_at=system_now())
    audit.record(
        EventType.CYCLE_CANCELLED,
        f"cycle:{cycle.pk}",
        version=cycle.version,
        old_state=old,
        new_state=cycle.state,
        account=cycle.account_id or "",
        cause=reason,
        market_at=cycle.market_at,
        document={"request": asked},
    )
