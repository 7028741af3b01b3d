"""Cycles as their pages show them: the list, one cycle with its work, one execution step by step."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from autotrader.core.audit.models import Event
from trading.models import Approval, Cycle, Decision, Order, OrderChange, WorkflowExecution
from trading.models.cycle import CYCLE_ENDED, EXECUTION_ENDED, ExecutionState
from trading.selectors.cycle_documents import CycleUnknown
from trading.selectors.stories import Bar, ExecutionStory, execution_story

PAGE = 25
MOST_WORK = 100
SMALL = 120
HOLDS = ("EXECUTION_CLAIMED", "EXECUTION_RESUMED")


@dataclass(slots=True)
class Tally:
    """Executions counted: all, those that have ended, and by what they came to or are doing."""

    work: int = 0
    ended: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    strategies: dict[str, None] = field(default_factory=dict)

    def add(self, state: str, outcome: str, count: int, strategy: str = "") -> None:
        """Count some more."""
        self.work += count
        self.ended += count if state in EXECUTION_ENDED else 0
        self.outcomes[outcome or state] += count
        if strategy:
            self.strategies[strategy] = None

    @property
    def parts(self) -> list[tuple[str, int]]:
        """What they came to with how many, the most first."""
        return self.outcomes.most_common()


@dataclass(frozen=True, slots=True)
class CycleLine:
    """A cycle with what its work came to."""

    cycle: Cycle
    tally: Tally

    @property
    def took(self) -> float | None:
        """Milliseconds from its start to its end; None before both."""
        return took(self.cycle)

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do, or to cancel."""
        return self.cycle.state not in CYCLE_ENDED


@dataclass(frozen=True, slots=True)
class CyclePage:
    """Some cycles, the newest first; `older` is the id that the next page begins below, None at the end."""

    lines: list[CycleLine]
    older: int | None


@dataclass(frozen=True, slots=True)
class Work:
    """One execution: where it stands, and what came of it. `late`: its worker's lease ran out, and it has not ended."""

    execution: WorkflowExecution
    steps: tuple[str, ...]
    late: bool = False
    decision: Decision | None = None
    approval: int | None = None
    orders: tuple[Order, ...] = ()

    @property
    def value(self) -> int:
        """Steps behind it; one that ended well has none before it, however early it ended."""
        whole = self.execution.state == ExecutionState.DONE
        return len(self.steps) if whole else min(self.execution.next_step, len(self.steps))

    @property
    def where(self) -> str:
        """Where it stands, in words."""
        return where(self.execution, self.steps)

    @property
    def took(self) -> float | None:
        """Milliseconds from its start to its end; None before both."""
        return took(self.execution)


@dataclass(frozen=True, slots=True)
class CycleWork:
    """A cycle, all its work counted, and some of it; `more` is the id that the next part begins above."""

    line: CycleLine
    work: list[Work]
    more: int | None


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of the version, run or not: `state` is DONE, FAILED, RUNNING, WAITING or "" for what is still to come.

    `values` are the small values of its output.
    """

    number: int
    name: str
    state: str
    bar: Bar | None
    values: list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """One execution step by step; `holds` are its claims, those after a lost worker among them."""

    story: ExecutionStory
    work: Work
    steps: list[StepLine]
    holds: list[Event]

    @property
    def losses(self) -> int:
        """How often another worker went on after one was lost."""
        return sum(event.type == "EXECUTION_RESUMED" for event in self.holds)

    @property
    def began(self) -> datetime | None:
        """The left end of the time axis."""
        return min((bar.step.started_at for bar in self.story.steps), default=None)

    @property
    def ended(self) -> datetime | None:
        """The right end of the time axis."""
        return max((bar.step.finished_at for bar in self.story.steps), default=None)


def took(row: Cycle | WorkflowExecution) -> float | None:
    """Milliseconds from start to end; None where it has not begun or not ended."""
    if row.started_at is None or row.finished_at is None:
        return None
    return (row.finished_at - row.started_at).total_seconds() * 1000


def cycles_page(before: int | None = None) -> CyclePage:
    """The newest cycles, or those older than `before`; two queries."""
    rows = Cycle.objects.order_by("-id")
    rows = rows if before is None else rows.filter(pk__lt=before)
    found = list(rows[: PAGE + 1])
    shown = found[:PAGE]
    tallies = _tallies(row.pk for row in shown)
    return CyclePage([CycleLine(row, tallies[row.pk]) for row in shown], shown[-1].pk if len(found) > PAGE else None)


def cycle_work(pk: int, after: int = 0) -> CycleWork:
    """One cycle with the work above the id `after`, in a fixed number of queries. Raises CycleUnknown."""
    cycle = Cycle.objects.filter(pk=pk).first()
    if cycle is None:
        raise CycleUnknown(f"There is no cycle {pk}.", details={"field": "id"})
    rows = cycle.executions.filter(pk__gt=after).order_by("id")
    found = list(
        rows.select_related("strategy", "instrument", "decision").prefetch_related("workflow_version")[: MOST_WORK + 1]
    )
    shown = found[:MOST_WORK]
    line = CycleLine(cycle, _tallies([pk])[pk])
    return CycleWork(line, works(shown), shown[-1].pk if len(found) > MOST_WORK else None)


def works(rows: list[WorkflowExecution]) -> list[Work]:
    """What became of executions, whose decision and version are at hand: four queries."""
    ids = [row.pk for row in rows]
    late = _late(WorkflowExecution.objects.filter(pk__in=ids))
    asked = dict(Approval.objects.filter(decision__execution__in=ids).values_list("decision__execution", "pk"))
    orders = _orders(ids)
    return [
        Work(
            execution=row,
            steps=step_names(row.workflow_version.steps),
            late=row.pk in late,
            decision=getattr(row, "decision", None),
            approval=asked.get(row.pk),
            orders=tuple(orders[row.pk]),
        )
        for row in rows
    ]


def execution_page(pk: int) -> ExecutionPage | None:
    """One execution with its steps, claims, decision and orders; None where there is none."""
    row = WorkflowExecution.objects.filter(pk=pk).first()
    if row is None:
        return None
    story = execution_story(row)
    late = row.pk in _late(WorkflowExecution.objects.filter(pk=pk))
    work = Work(story.execution, step_names(story.execution.workflow_version.steps), late, story.decision)
    holds = Event.objects.filter(correlation_id=story.execution.correlation_id, type__in=HOLDS).order_by("seq")
    return ExecutionPage(story, work, _steps(work, story.steps), list(holds[:50]))


def step_names(steps: Any) -> tuple[str, ...]:
    """The names of a version's steps, in order."""
    told = steps if isinstance(steps, list) else []
    return tuple(str(step.get("name", "")) for step in told if isinstance(step, dict))


def where(row: WorkflowExecution, steps: tuple[str, ...]) -> str:
    """Where an execution stands, in words."""
    done = row.state == ExecutionState.DONE
    index = max(row.next_step - 1, 0) if done else row.next_step
    name = steps[index].replace("_", " ") if index < len(steps) else "the end"
    place = f"step {min(index + 1, len(steps))} of {len(steps)}: {name}"
    if row.state == ExecutionState.QUEUED:
        return f"waits for a worker; {len(steps)} steps"
    if row.started_at is None:
        return "ended before it began"
    said = {"RUNNING": "", "WAITING": "waits before ", "DONE": "ended with ", "FAILED": "failed in "}
    return said.get(row.state, "stopped at ") + place


def _tallies(cycles: Iterable[int]) -> defaultdict[int, Tally]:
    found: defaultdict[int, Tally] = defaultdict(Tally)
    counted = (
        WorkflowExecution.objects.filter(cycle_id__in=list(cycles))
        .values_list("cycle_id", "state", "outcome", "strategy__name")
        .annotate(count=Count("id"))
        .order_by("strategy__name")
    )
    for cycle, state, outcome, strategy, count in counted:
        found[cycle].add(state, outcome, count, strategy)
    return found


def _late(rows: QuerySet[WorkflowExecution]) -> set[int]:
    """Those whose lease ran out, by the clock of the database, which leases are measured with."""
    return set(rows.filter(state=ExecutionState.RUNNING, lease_until__lt=Now()).values_list("pk", flat=True))


def _orders(executions: list[int]) -> defaultdict[int, list[Order]]:
    """The orders by execution: those that its decision led to, and targets that its exit has moved."""
    found: defaultdict[int, list[Order]] = defaultdict(list)
    own = Order.objects.filter(decision__execution__in=executions).select_related("decision").order_by("id")
    for order in own:
        if order.decision is not None:
            found[order.decision.execution_id].append(order)
    moved = OrderChange.objects.filter(decision__execution__in=executions).select_related("order", "decision")
    for change in moved.order_by("id"):
        if change.decision is not None:
            found[change.decision.execution_id].append(change.order)
    return found


def _steps(work: Work, bars: list[Bar]) -> list[StepLine]:
    """Every step of the version; what has not run stands after what has."""
    run = {bar.step.index: bar for bar in bars}
    row = work.execution
    lines = []
    for index, name in enumerate(work.steps):
        bar = run.get(index)
        under_way = index == row.next_step and row.state in (ExecutionState.RUNNING, ExecutionState.WAITING)
        state = bar.step.state if bar else row.state if under_way else ""
        lines.append(StepLine(index + 1, name, state, bar, small_values(bar.step.output) if bar else []))
    return lines


def small_values(output: Any) -> list[tuple[str, Any]]:
    """What of a step's output a person takes in at a glance: numbers and short texts, and short lists of them."""
    told = output if isinstance(output, dict) else {}
    return [(str(name), value) for name, value in told.items() if _is_small(value)]


def _is_small(value: Any) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= 8 and all(_is_small(part) and not isinstance(part, list) for part in value)
    if isinstance(value, str):
        return 0 < len(value) <= SMALL
    return isinstance(value, (bool, int, float))
