"""Sending a failed task of the queue again: only one that does nothing twice, since its work lies in rows with keys."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django_q.models import Failure
from django_q.tasks import async_task

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.errors import AlreadyDone, Conflict
from trading.services.reask import REASK_TASK
from trading.services.wake import WORK_TASK

PERMISSION = "trading.run_cycle"
WAKE_TASK = "trading.tasks.wake"
# What may come twice, by how many words it may be given, and why it does nothing twice.
SAFE: dict[str, tuple[range, str]] = {
    WORK_TASK: (range(2), "it only wakes: each row of work is claimed by its epoch"),
    WAKE_TASK: (range(1), "it only wakes: each row of work is claimed by its epoch"),
    REASK_TASK: (range(1, 2), "its wish is claimed once, and no order comes of it"),
}


def resubmit_problem(task: Failure) -> str:
    """Why this task may not be sent again; empty where it may."""
    if task.func not in SAFE:
        return f"{task.func} is not among the tasks that are known to do nothing twice ({', '.join(sorted(SAFE))})."
    if not _are_plain(task):
        return f"{task.func} was given something else than it takes, so it would fail again."
    return ""


def task_resubmit(task_id: str, *, actor: str, key: str) -> str:
    """Put the task into its queue once more, with the event that says who did; why it does nothing twice.

    The same `key` puts it there once. Raises Conflict with the reason where it may not be sent again, or is gone.
    """
    with audit.acting(actor=actor, correlation_id=key):
        try:
            with audit.recording():
                task = Failure.objects.filter(pk=task_id).first()
                if task is None:
                    raise Conflict("The task is not among the failed ones any more.")
                problem = resubmit_problem(task)
                if problem:
                    raise Conflict(problem)
                _send(task)
        except AlreadyDone:
            pass  # two presses of one form
    return SAFE[task.func][1]


def _send(task: Failure) -> None:
    audit.record(
        EventType.TASK_RESUBMITTED,
        f"task:{task.pk}",
        version=1,
        new_state="QUEUED",
        cause=SAFE[task.func][1],
        document={"func": task.func, "args": [str(part) for part in _args(task)], "failed": str(task.stopped)},
    )
    args = _args(task)
    lane = str(args[0]) if task.func == WORK_TASK and args else "work"
    transaction.on_commit(lambda: async_task(task.func, *args, cluster="now" if lane == "now" else "work"))


def _args(task: Failure) -> tuple[Any, ...]:
    return tuple(task.args or ())


def _are_plain(task: Failure) -> bool:
    """Whether it was given only as many short words as it takes."""
    args = _args(task)
    words = all(isinstance(part, str) and 0 < len(part) <= 64 for part in args)
    return words and len(args) in SAFE[task.func][0] and not task.kwargs
