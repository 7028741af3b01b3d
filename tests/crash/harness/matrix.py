"""Which cells there are: the points that an operation was seen to pass, times the faults that say something new there.

SIGKILL strikes at every point of every operation on every database; at the points of a frame, on one database in turn,
also at the second and third pass, which lie between the legs. The other faults strike on one database in turn, and

- at every point where a frame may or may not have left (intent, record, bytes, answer, change), by FULL, one route a
  kind of frame (a bracket, a close, a change, a cancel): other routes pass the very same code of owner and gateway;
- at each fifth of the other points of FULL, and of all points of MKT and LMT, shifted from route to route, so that over
  all of them each point meets each fault; before the intent only those that strike work itself;
- by the operations that are left at two points each, so that every operation meets every fault;
- a halt never at what lies behind the last look at it; an operation of ONLY at its own points alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from autotrader.core.ops.crashpoints import POINTS
from tests.crash.harness.cells import FAULTS, Cell
from tests.crash.harness.names import OPERATIONS

Passes = Mapping[str, Mapping[str, int]]
FULL = frozenset({"cycle-bracket", "cycle-exit", "request-modify", "request-cancel"})
IN_TURN = (*sorted(FULL), "request-mkt", "request-lmt")
# Before the intent is written nothing can be doubled or lost at the broker: there it matters that work is resumed.
EARLY = frozenset({"C1", "C2", "C3", "C4", "C18"})
EARLY_FAULTS = ("stop", "database", "disk")
SENDING = frozenset({"C5", "C6", "C7", "C13", "C14"})
EACH_ONCE = frozenset({"place_asking", "submission_committed"})
# Half of a frame is only ever written by a process that ends there.
DEATH_ONLY = frozenset({"frame_half", "cancel_half"})
BY_LEG = frozenset({"frame_writing", "frame_half", "frame_written"})
# Who is held here has looked at the halt for the last time: nothing is promised of a frame that is under way.
PAST_THE_LAST_LOOK = BY_LEG | {"bracket_begins"}
# What is as in other operations is not tried again.
ONLY = {
    "cycle-model": frozenset(
        side for name in ("model_open", "model_close") for side in (f"{name}_committing", f"{name}_committed")
    )
}
MOST_OCCURRENCES = 3
OTHERS = tuple(fault for fault in FAULTS if fault != "kill")
TURNS = 5
# Points that only what goes wrong in another way passes, by the tests that pass them.
_TESTS = {
    "tests/trading/test_approvals.py": ("approval_expiry",),
    "tests/trading/test_cycle_cancels.py": ("cycle_cancel",),
    "tests/trading/test_changes.py": ("cancel_told", "cancel_unproven"),
    "tests/trading/test_dispatches.py": ("dispatch_wait",),
    "tests/trading/test_doubles.py": (
        "doubled_settled",
        "vanished_ended",
        "evidence_OrderDoubled",
        "received_OrderDoubled",
    ),
    "tests/trading/test_orders.py": ("exit", "entry_ended_first"),
    "tests/trading/test_overdue.py": ("message_raised", "order_raised", "change_raised", "raised_settled"),
    "tests/trading/test_protection.py": ("naked_raised", "naked_settled", "protect", "surplus_raised"),
    "tests/trading/test_requests.py": ("request_given_up", "refusal"),
    "tests/trading/test_executions.py": ("wait",),
    "tests/trading/test_cycles.py": ("failure",),
    "tests/crash/test_halt.py": (
        "halt_file",
        "halt_cancels_proven",
        "halt_release",
        "halt_row",
        "halt_sync",
        "halt_loosening",
    ),
    "tests/trading/test_halts.py": ("halt_refused", "evidence_CancelsReport", "received_CancelsReport"),
    "tests/crash/test_kill.py": ("model_open", "model_close"),
    "tests/broker_service/test_writer.py": ("retry", "evidence_PositionMismatch", "received_PositionMismatch"),
    "tests/broker_service/test_comparing.py": ("void", "void_claim", "evidence_OrderMissing", "received_OrderMissing"),
}
COVERED = {point: test for test, points in _TESTS.items() for point in points}


def cells(operation: str, passes: Passes, databases: Sequence[str]) -> Iterator[Cell]:
    """The cells of an operation; `passes`: how often each role was seen at each point, on any database."""
    turn = OPERATIONS.index(operation)
    for role, points in sorted(passes.items()):
        for place, (point, count) in enumerate(sorted(points.items())):
            if point not in ONLY.get(operation, points):
                continue
            most = min(count, MOST_OCCURRENCES) if point in BY_LEG else 1
            yield from (Cell(operation, role, point, "kill", name) for name in databases)
            for occurrence in range(2, most + 1):
                chosen = databases[(turn + occurrence) % len(databases)]
                yield Cell(operation, role, point, "kill", chosen, occurrence)
            for number, fault in enumerate(_others(operation, point)):
                yield Cell(operation, role, point, fault, databases[(turn + place + number) % len(databases)])


def _others(operation: str, point: str) -> Sequence[str]:
    """The faults other than SIGKILL."""
    return [fault for fault in _by_turn(operation, point) if fault != "halt" or point not in PAST_THE_LAST_LOOK]


def _by_turn(operation: str, point: str) -> Sequence[str]:
    step = POINTS[point].step
    if operation in ONLY:
        return EARLY_FAULTS
    if point in DEATH_ONLY:
        return ()
    if (operation in FULL and step in SENDING) or point in EACH_ONCE:
        return OTHERS
    if operation not in IN_TURN:
        return ()
    turn = IN_TURN.index(operation) + list(POINTS).index(point)
    return [fault for number, fault in enumerate(OTHERS) if (turn + number) % TURNS == 0 and _strikes(step, fault)]


def _strikes(step: str, fault: str) -> bool:
    return step not in EARLY or fault in EARLY_FAULTS
