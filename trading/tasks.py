"""What the queue calls: thin, safe to run twice, and without arguments that could go stale."""

from __future__ import annotations

from autotrader.core.audit.anchors import anchor_due, anchor_take
from autotrader.core.clock import system_now
from autotrader.core.ops.upkeep import tidy
from autotrader.core.rest.idempotency import answers_sweep
from trading.selectors.executions import claimable
from trading.services.cycles import cycles_fail_abandoned
from trading.services.overdue import overdue_raise
from trading.services.request_rows import requests_give_up
from trading.services.schedules import schedule_due as start_due_cycles
from trading.services.wake import wake_worker
from trading.workflow import approving, cancelling, lanes, watching


def work(lane: str = "work") -> None:
    """Run what is free in the lane; go on in a new task where time ran out first."""
    if lanes.work(lane):
        wake_worker(lane)


def wake() -> None:
    """Every 30 s: start the cycles that are due, end what dead processes left, and work where rows are free.

    First what keeps the disk from filling, then the audit log's anchor, where one is due.
    """
    tidy()
    if anchor_due(system_now()):
        anchor_take(system_now())
    start_due_cycles()
    cycles_fail_abandoned(system_now())
    requests_give_up(system_now())
    answers_sweep(system_now())
    approving.sweep()
    overdue_raise(system_now())
    cancelling.tell_again()
    watching.watch()
    if claimable("work").exists():
        lanes.work("work")
