"""Waking a worker: the queue only wakes, the work lies in rows."""

from __future__ import annotations

from django_q.tasks import async_task

# Services enqueue by name, so that they do not import the skins above them; a test resolves each name.
WORK_TASK = "trading.tasks.work"


def wake_worker(lane: str) -> None:
    """Put one wake-up into the queue of the lane's cluster."""
    async_task(WORK_TASK, lane, cluster="now" if lane == "now" else "work")
