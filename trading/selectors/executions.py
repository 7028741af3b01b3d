"""Which work is claimable, and what a cycle came to."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from trading.models import Cycle, Decision, Order, WorkflowExecution
from trading.models.cycle import CYCLE_ENDED, EXECUTION_ENDED, CycleState, ExecutionState


def claimable(lane: str, cycle_id: int | None = None) -> QuerySet[WorkflowExecution]:
    """Rows nobody works on: queued, due, or with a lease that ran out by the database's clock."""
    free = (
        Q(state=ExecutionState.QUEUED)
        | Q(state=ExecutionState.WAITING, due_at__lte=Now())
        | Q(state=ExecutionState.RUNNING, lease_until__lt=Now())
    )
    rows = WorkflowExecution.objects.filter(free, lane=lane)
    if cycle_id is not None:
        rows = rows.filter(cycle_id=cycle_id)
    return rows.order_by("-priority", "id")


def unfinished(cycle_id: int) -> QuerySet[WorkflowExecution]:
    """Executions of a cycle that have not ended, oldest first: the order in which several of them are locked."""
    return WorkflowExecution.objects.filter(cycle_id=cycle_id).exclude(state__in=EXECUTION_ENDED).order_by("id")


def unfinished_of_cancelled() -> set[int]:
    """Cancelled cycles that have work left; there should be none."""
    rows = WorkflowExecution.objects.filter(cycle__state=CycleState.CANCELLED).exclude(state__in=EXECUTION_ENDED)
    return set(rows.values_list("cycle_id", flat=True))


def closable_cycles() -> QuerySet[Cycle]:
    """Cycles that have not ended although all their executions have; one may have failed before it began to run."""
    return Cycle.objects.exclude(state__in=CYCLE_ENDED).exclude(
        pk__in=WorkflowExecution.objects.exclude(state__in=EXECUTION_ENDED).values("cycle_id")
    )


def executions_of(cycle: Cycle) -> list[WorkflowExecution]:
    """The cycle's executions with what a report shows of them."""
    return list(
        cycle.executions.select_related("strategy", "instrument", "cycle").prefetch_related("steps").order_by("id")
    )


def decisions_of(cycle: Cycle) -> list[Decision]:
    """The cycle's decisions in the order of its executions."""
    return list(
        Decision.objects.filter(execution__cycle=cycle).select_related("instrument", "strategy").order_by("execution")
    )


def entry_and_exit_orders(cycle: Cycle) -> list[Order]:
    """The orders that the cycle's decisions led to, without their protective children."""
    return list(
        Order.objects.filter(decision__execution__cycle=cycle, parent=None)
        .select_related("instrument")
        .prefetch_related("children__fills", "fills")
        .order_by("id")
    )


def orders_sent(cycle: Cycle) -> list[Order]:
    """The parents of what the cycle's decisions had sent, or were about to: committed as SENDING, or beyond it.

    An exit that moves a target sends no order of its own: the target that it moves is named.
    """
    moved = Q(changes__decision__execution__cycle=cycle)
    own = Q(decision__execution__cycle=cycle, parent=None, sending_at__isnull=False)
    return list(Order.objects.filter(moved | own).select_related("instrument").distinct().order_by("id"))


def abandoned_cycles(before: datetime) -> QuerySet[Cycle]:
    """Cycles of commands, begun before `before`, that nobody works on or will: their process has ended.

    A command's rows lie in a lane of its own, which no worker claims.
    """
    alive = Q(lease_until__gte=Now()) | Q(state=ExecutionState.WAITING, due_at__gte=before)
    return Cycle.objects.filter(
        trigger="command", state__in=(CycleState.QUEUED, CycleState.RUNNING), created_at__lt=before
    ).exclude(pk__in=WorkflowExecution.objects.filter(alive).values("cycle_id"))
