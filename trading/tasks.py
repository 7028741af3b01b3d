"""What the queue calls: thin, safe to run twice, and without arguments that could go stale."""

from __future__ import annotations

from trading.selectors.executions import claimable
from trading.services.schedules import schedule_due as start_due_cycles
from trading.services.wake import wake_worker
from trading.workflow import lanes


def work(lane: str = "work") -> None:
    """Run what is free in the lane; go on in a new task where time ran out first."""
    if lanes.work(lane):
        wake_worker(lane)


def wake() -> None:
    """Every 30 s: start the cycles that are due, then work where rows are free (also those of a dead worker)."""
    start_due_cycles()
    if claimable("work").exists():
        lanes.work("work")
