"""A cycle as programs watch it: its executions with their steps, decisions and orders, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import date, datetime

from django.db.models import Prefetch, QuerySet

from autotrader.core.errors import AutoTraderError
from autotrader.core.users.limits import UNLIMITED, Limits
from trading.models import Approval, Cycle, Decision, Order, OrderChange, StepRun, WorkflowExecution
from trading.selectors.requests import OrderLine, order_line


class CycleUnknown(AutoTraderError):
    """There is no such cycle: correct its id."""

    code = "UNKNOWN_CYCLE"
    status = 404


@dataclass(frozen=True, slots=True)
class CycleRow:
    """A cycle in a list; `correlation_id` joins it with its executions' events, logs, orders and fills."""

    id: int
    trigger: str
    state: str
    account: str | None
    dry_run: bool
    as_of: date | None
    requested_by: str
    correlation_id: str
    created_at: datetime
    market_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    reason: str
    version: int


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step that has ended, DONE or FAILED, after `ms` milliseconds."""

    index: int
    name: str
    state: str
    ms: int
    error: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """What was decided, and what the controls made of it; `reasons` are codes, the first is the one that counts."""

    id: int
    type: str
    purpose: str
    state: str
    reasons: list[str]
    rationale: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class ExecutionDocument:
    """One strategy on one instrument. `approval`: the one that a person is asked for; `orders`: every leg."""

    id: int
    strategy: str
    symbol: str
    state: str
    outcome: str
    reason: str
    worker: str
    correlation_id: str
    started_at: datetime | None
    finished_at: datetime | None
    steps: list[StepLine]
    decision: DecisionLine | None
    approval: int | None
    orders: list[OrderLine]


@dataclass(frozen=True, slots=True)
class CycleDocument(CycleRow):
    """A cycle with everything that it has come to so far."""

    executions: list[ExecutionDocument]


def cycles_seen(limits: Limits) -> QuerySet[Cycle]:
    """The cycles that a key with these limits may see: those of which every part is its own."""
    rows = Cycle.objects.all()
    if limits.strategies:
        others = WorkflowExecution.objects.exclude(strategy_id__in=limits.strategies)
        rows = rows.exclude(pk__in=others.values("cycle_id"))
    if limits.accounts:
        # A shadow strategy's part trades a ledger of its own, whatever account the cycle runs on.
        elsewhere = WorkflowExecution.objects.filter(account__isnull=False).exclude(account_id__in=limits.accounts)
        rows = rows.filter(account_id__in=limits.accounts).exclude(pk__in=elsewhere.values("cycle_id"))
    return rows


def cycle_row(cycle: Cycle) -> CycleRow:
    """The cycle as a list shows it."""
    return CycleRow(
        id=cycle.pk,
        trigger=cycle.trigger,
        state=cycle.state,
        account=cycle.account_id,
        dry_run=cycle.dry_run,
        as_of=cycle.as_of,
        requested_by=cycle.requested_by,
        correlation_id=cycle.correlation_id,
        created_at=cycle.created_at,
        market_at=cycle.market_at,
        started_at=cycle.started_at,
        finished_at=cycle.finished_at,
        reason=cycle.reason,
        version=cycle.version,
    )


def cycle_document(pk: int, limits: Limits = UNLIMITED) -> CycleDocument:
    """The cycle with its work. Raises CycleUnknown, and KeyLimited where any part of it is not the key's own."""
    cycle = Cycle.objects.filter(pk=pk).first()
    if cycle is None:
        raise CycleUnknown(f"There is no cycle {pk}.", details={"field": "id"})
    executions = list(_executions(pk))
    owned: list[tuple[str | None, int | None]]
    owned = [(row.account_id or cycle.account_id, row.strategy_id) for row in executions]
    for account, strategy in owned or [(cycle.account_id, None)]:
        limits.check(account=account, strategy=strategy)
    asked = dict(Approval.objects.filter(decision__execution__cycle=pk).values_list("decision", "pk"))
    orders = _orders(pk)
    parts = [_execution(row, cycle, asked, orders) for row in executions]
    return CycleDocument(**asdict(cycle_row(cycle)), executions=parts)


def _executions(cycle_id: int) -> QuerySet[WorkflowExecution]:
    rows = WorkflowExecution.objects.filter(cycle_id=cycle_id).order_by("id")
    steps = Prefetch("steps", StepRun.objects.order_by("index"))
    return rows.select_related("strategy", "instrument", "decision").prefetch_related(steps)


def _orders(cycle_id: int) -> dict[int, list[OrderLine]]:
    """The orders of each decision, and the targets that its exit has moved."""
    found: defaultdict[int, list[OrderLine]] = defaultdict(list)
    for order in Order.objects.filter(decision__execution__cycle=cycle_id).order_by("id"):
        found[order.decision_id].append(order_line(order))  # type: ignore[index]
    moved = OrderChange.objects.filter(decision__execution__cycle=cycle_id).select_related("order").order_by("id")
    for change in moved:
        found[change.decision_id].append(order_line(change.order))  # type: ignore[index]
    return found


def _execution(
    row: WorkflowExecution, cycle: Cycle, asked: dict[int, int], orders: dict[int, list[OrderLine]]
) -> ExecutionDocument:
    decision: Decision | None = getattr(row, "decision", None)
    return ExecutionDocument(
        id=row.pk,
        strategy=row.strategy.name,
        symbol=row.instrument.symbol,
        state=row.state,
        outcome=row.outcome,
        reason=row.reason,
        worker=row.worker,
        correlation_id=f"{cycle.correlation_id}.{row.pk}",
        started_at=row.started_at,
        finished_at=row.finished_at,
        steps=[
            StepLine(step.index, step.name, step.state, step.ms, step.error, step.started_at)
            for step in row.steps.all()
        ],
        decision=_decision(decision) if decision else None,
        approval=asked.get(decision.pk) if decision else None,
        orders=orders.get(decision.pk, []) if decision else [],
    )


def _decision(row: Decision) -> DecisionLine:
    reasons = [str(reason) for reason in row.reasons]
    return DecisionLine(row.pk, row.type, row.purpose, row.state, reasons, row.rationale, row.decided_by)
