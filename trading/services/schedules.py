"""Schedules: the queue's wake-ups, and which strategies are due."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max
from django_q.models import Schedule

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.errors import Invalid
from trading.models import Cycle, Strategy
from trading.services.cycles import cycle_queue

WAKE_EVERY_30_S = "* * * * * */30"


# Name of the schedule (its row is `schedule_due`'s lock where it is "wake") -> function, arguments, cluster.
WAKES = {
    "wake": ("trading.tasks.wake", None, "work"),
    "wake now": ("trading.tasks.work", "'now'", "now"),
}


def schedules_ensure() -> None:
    """The wake-ups the queue needs, each 30 s: one a cluster, so that no lost task leaves a row lying."""
    for name, (function, arguments, cluster) in WAKES.items():
        Schedule.objects.update_or_create(
            name=name,
            defaults={
                "func": function,
                "args": arguments,
                "schedule_type": Schedule.CRON,
                "cron": WAKE_EVERY_30_S,
                "repeats": -1,
                "cluster": cluster,
            },
        )


def _interval(strategy: Strategy) -> timedelta | None:
    seconds = (
        settings.AUTOTRADER_CYCLE_INTERVAL_SECONDS if strategy.interval_seconds is None else strategy.interval_seconds
    )
    return timedelta(seconds=seconds) if seconds else None


def due_strategies(now: datetime) -> list[Strategy]:
    """Enabled strategies whose last scheduled cycle is an interval ago, most important first."""
    last = dict(
        Cycle.objects.filter(trigger="schedule")
        .values_list("executions__strategy")
        .annotate(last=Max("created_at"))
        .values_list("executions__strategy", "last")
    )
    enabled = Strategy.objects.filter(enabled=True).select_related("workflow_version").prefetch_related("instruments")
    due = []
    for strategy in enabled.order_by("-priority", "id"):
        every, before = _interval(strategy), last.get(strategy.pk)
        if every is not None and (before is None or now - before >= every):
            due.append(strategy)
    return due


def schedule_due() -> list[Cycle]:
    """Start a cycle for each group of due strategies; two callers at once start it once."""
    cycles = []
    # One recording around all: the audit log's lock is taken once, after every other.
    with audit.recording():
        # The schedule's row is the lock: it serialises callers on every database.
        Schedule.objects.select_for_update().filter(name="wake").first()
        for strategy in due_strategies(system_now()):
            try:
                cycles.append(cycle_queue(strategies=[strategy], trigger="schedule", actor="schedule", wake=False))
            except Invalid:
                # Shown on the strategy's page; a schedule has nobody to answer.
                continue
    return cycles
