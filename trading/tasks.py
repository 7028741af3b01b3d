"""What the queue calls: thin, safe to run twice, and without arguments that could go stale."""

from __future__ import annotations

from autotrader.core.audit.anchors import anchor_if_due
from autotrader.core.clock import system_now
from autotrader.core.ops import steps
from autotrader.core.ops.upkeep import tidy
from autotrader.core.rest.idempotency import answers_sweep
from trading.selectors.executions import claimable
from trading.services.cycles import cycles_fail_abandoned
from trading.services.overdue import overdue_raise
from trading.services.request_rows import requests_give_up
from trading.services.schedules import schedule_due as start_due_cycles
from trading.services.wake import wake_worker
from trading.workflow import approving, cancelling, lanes, reasking, watching


def work(lane: str = "work") -> None:
    """Run what is free in the lane; go on in a new task where time ran out first."""
    if lanes.work(lane):
        wake_worker(lane)


def reask(correlation_id: str) -> None:
    """Ask the model again what a person wished to have asked again; delivered twice it asks once."""
    reasking.reask_run(correlation_id)


def wake() -> None:
    """Every 30 s: end what dead processes left, start the cycles that are due, and work where rows are free.

    First what guards money and orders; last the free work, which may take all the time that the queue gives. The audit
    log's anchor, which waits for other machines, waits for them half a minute at most. Each step by itself: what fails
    or hangs is named by the health, and what fails raised at the end.
    """
    steps.run(
        {
            "loss guard": watching.watch,
            "cancels": cancelling.tell_again,
            "approvals": approving.sweep,
            "orders in doubt": lambda: overdue_raise(system_now()),
            "requests": lambda: requests_give_up(system_now()),
            "abandoned cycles": lambda: cycles_fail_abandoned(system_now()),
            "schedules": start_due_cycles,
            "kept answers": lambda: answers_sweep(system_now()),
            "logs and figures": tidy,
            "audit anchor": lambda: anchor_if_due(system_now()),
            "free work": lambda: lanes.work("work") if claimable("work").exists() else None,
        }
    )
