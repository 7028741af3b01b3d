"""The life of a dispatch: queue, claim, wait, end; the claimable row of an order that may be sent now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.ops.pace import paced
from trading.models import Approval, Dispatch, OrderRequest
from trading.selectors.approvals import claimable_dispatches
from trading.services.executions import LEASE, epoch_hold, lease_end
from trading.services.wake import wake_worker

RETRY = timedelta(seconds=paced(10))


def dispatch_queue(
    *,
    approval: Approval | None = None,
    request: OrderRequest | None = None,
    correlation_id: str,
    lane: str = "now",
) -> Dispatch:
    """Write the row of work and wake a worker once it is committed; call inside `audit.recording()`.

    One approval and one request have one dispatch at most, by the table's keys.
    """
    dispatch = Dispatch.objects.create(
        approval=approval, request=request, lane=lane, correlation_id=correlation_id, created_at=system_now()
    )
    _record(dispatch, EventType.DISPATCH_QUEUED, old="", cause=_cause(dispatch))
    transaction.on_commit(lambda: wake_worker(lane))
    return dispatch


def _cause(dispatch: Dispatch) -> str:
    return f"approval:{dispatch.approval_id}" if dispatch.approval_id else f"request:{dispatch.request_id}"


def dispatch_claim(worker: str, lane: str = "now", pk: int | None = None) -> Dispatch | None:
    """Take the next free row (or this one) by compare-and-swap on its epoch; None where there is nothing to do."""
    for row in claimable_dispatches(lane, pk)[:20]:
        resumed = row.state == "RUNNING"
        with (
            audit.acting(actor=f"worker:{worker}", correlation_id=row.correlation_id),
            audit.recording(point="dispatch_claim"),
        ):
            won = (
                claimable_dispatches(lane, row.pk)
                .filter(epoch=row.epoch)
                .order_by()
                .update(
                    epoch=F("epoch") + 1,
                    version=F("version") + 1,
                    state="RUNNING",
                    worker=worker,
                    lease_until=lease_end(LEASE),
                    started_at=row.started_at or system_now(),
                )
            )
            if won != 1:
                continue
            claimed = Dispatch.objects.get(pk=row.pk)
            kind = EventType.DISPATCH_RESUMED if resumed else EventType.DISPATCH_CLAIMED
            _record(claimed, kind, old=row.state, cause=f"epoch {claimed.epoch}")
        return claimed
    return None


def dispatch_wait(dispatch: Dispatch, reason: str) -> None:
    """Keep the row for a later wake, which claims it anew: what it needs is away for a moment."""
    with audit.recording(point="dispatch_wait"):
        epoch_hold(dispatch, RETRY, reason=reason[:2000])


def dispatch_end(
    dispatch: Dispatch, *, outcome: str, reason: str, failed: bool = False, verdicts: Mapping[str, Any] | None = None
) -> None:
    """End the row under the epoch check; call inside `audit.recording()`. `verdicts`: what every control said at the
    moment of sending, by rule, where one refused; the event keeps it."""
    state = "FAILED" if failed else "DONE"
    epoch_hold(dispatch, state=state, outcome=outcome, reason=reason[:2000], finished_at=system_now())
    kind = EventType.DISPATCH_FAILED if failed else EventType.DISPATCH_DONE
    _record(
        dispatch, kind, old="RUNNING", cause=reason or outcome, **({"verdicts_at_send": verdicts} if verdicts else {})
    )


def _record(dispatch: Dispatch, kind: EventType, *, old: str, cause: str, **more: Any) -> None:
    audit.record(
        kind,
        f"dispatch:{dispatch.pk}",
        version=dispatch.version,
        old_state=old,
        new_state=dispatch.state,
        cause=cause,
        document={"worker": dispatch.worker, "epoch": dispatch.epoch, "outcome": dispatch.outcome} | more,
    )
