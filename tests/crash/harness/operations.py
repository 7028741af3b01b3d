"""What a cell does: each operation by its route, through the services that a person or a strategy uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from autotrader.core.ops.pace import paced
from tests.crash.harness.board import Board
from trading.models import Fill, Order, OrderChange, Strategy, WorkflowExecution
from trading.services.cycles import cycle_queue
from trading.workflow import lanes

START = "start"
LANES = ("now", "work")
SETTLED = frozenset({"FILLED", "CANCELLED", "REJECTED", "EXPIRED", "ABSENT", "REFUSED", "SIMULATED"})
BEFORE_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Operation:
    """`before` brings the desk to where the operation begins; `run` is the operation; both in a process of `role`."""

    name: str
    role: str
    run: Callable[[int], object]
    before: Callable[[int], object] | None = None


def strategy(mode: str = "auto") -> Strategy:
    """The strategy of a mode."""
    return Strategy.objects.get(name=mode)


def cycle(mode: str = "auto") -> None:
    """A cycle of the strategy, run as a worker runs it."""
    cycle_queue(strategies=[strategy(mode)], trigger="manual", actor="harness", wake=False)
    lanes.work("work")


def protected() -> bool:
    """An entry has filled and its two legs work."""
    states = dict(Order.objects.values_list("role", "state"))
    return states.get("entry") == "FILLED" and {states.get("stop"), states.get("target")} == {"ACCEPTED"}


def until(done: Callable[[], object], seconds: float = BEFORE_LIMIT) -> None:
    """Wait for the desk to come there. Raises TimeoutError."""
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(f"the desk did not come to {done.__name__}")
        time.sleep(0.01)


def _hold_a_position(number: int) -> None:
    cycle()
    until(protected)


OPERATIONS: dict[str, Operation] = {
    row.name: row
    for row in (
        Operation("cycle-bracket", "worker", lambda number: cycle()),
        Operation("cycle-exit", "worker", lambda number: cycle(), _hold_a_position),
    )
}


def perform(name: str, number: int, board: Board) -> None:
    """In the operation's process: what comes before, then wait to be armed, then the operation."""
    operation = OPERATIONS[name]
    if operation.before is not None:
        operation.before(number)
    board.pass_by(START, START, None)
    operation.run(number)


def keep_working() -> None:
    """A worker as the queue keeps it: both lanes, woken again and again."""
    while True:
        for lane in LANES:
            lanes.work(lane)
        time.sleep(paced(2))


def open_work() -> dict[str, Any]:
    """What is not settled yet, by kind; empty where the desk is quiet."""
    found = {
        "executions": list(
            WorkflowExecution.objects.exclude(state__in=("DONE", "FAILED")).values_list("pk", "state")
        ),
        "changes": list(OrderChange.objects.filter(state__in=("SENDING", "UNKNOWN")).values_list("pk", "state")),
        "orders": list(
            Order.objects.filter(state__in=("DRAFT", "APPROVED", "SENDING", "SUBMITTED", "UNKNOWN")).values_list(
                "order_ref", "state"
            )
        ),
    }
    return {name: rows for name, rows in found.items() if rows}


def differences(truth: dict[str, Any]) -> dict[str, Any]:
    """Where our fills and positions differ from the gateway's truth; empty where they agree."""
    theirs = {exec_id for exec_id, row in truth["executions"].items() if Decimal(row["shares"])}
    ours = set(Fill.objects.filter(superseded=False).values_list("exec_id", flat=True))
    found: dict[str, Any] = {}
    if theirs != ours:
        found["executions_differ"] = {"only theirs": sorted(theirs - ours), "only ours": sorted(ours - theirs)}
    return found


def retry(name: str, number: int) -> None:
    """Ask again as a client does that had no answer."""
    OPERATIONS[name].run(number)


# What a random story may consist of; each operation finds the desk as the one before has left it.
STORIES: tuple[tuple[str, ...], ...] = tuple(("cycle-bracket",) * count for count in (1, 2, 3, 4))
