"""Named places at which a test can end or stop the process; inert unless AUTOTRADER_CRASH names one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

# C12 (a commit becomes readable for others) has no place of its own: events are rows of the same commit. C17 are
# migrations and restores, which nothing sends during.
STEPS = {
    "C1": "a request is received and kept",
    "C2": "the controls speak and their verdicts are kept",
    "C3": "a person's word is kept",
    "C4": "work is claimed, held and ended",
    "C5": "the intent is kept and handed to the owner",
    "C6": "the frame is recorded and its bytes leave",
    "C7": "the owner has written and waits for the broker's word",
    "C8": "the broker's word on an order is kept",
    "C9": "what our record says of frames is kept",
    "C10": "an execution is kept",
    "C11": "its cost and the account's values are kept",
    "C13": "the legs of a bracket leave one by one",
    "C14": "a working order is changed or cancelled",
    "C15": "trading is halted and orders are cancelled",
    "C16": "the broker's book is compared with our record",
    "C18": "a model is asked",
}


@dataclass(frozen=True, slots=True)
class Point:
    """Where a process can be ended: `step` is a key of STEPS, `process` is web, worker, broker, or any."""

    step: str
    process: str
    doc: str


EVIDENCE = {
    "OrderReport": "C8",
    "OrderMessage": "C8",
    "SubmissionReport": "C9",
    "OrderMissing": "C16",
    "ExecutionReport": "C10",
    "CommissionReport": "C11",
    "AccountSummary": "C11",
    "ConnectionReport": "C16",
    "PositionMismatch": "C16",
    "OrderDoubled": "C16",
    "CancelsReport": "C15",
}
STEP_NAMES = {
    "check_session": "C4",
    "fetch_data": "C4",
    "generate_chart": "C4",
    "ai_analyze": "C18",
    "consolidate": "C18",
    "decide": "C18",
    "validate_risk": "C2",
    "place_order": "C5",
}
# What is committed by `audit.recording(point=name)` or between two calls: before it `<name>_committing`, after it
# `<name>_committed`.
COMMITS = {
    "claim": Point("C4", "worker", "an execution is taken"),
    "lease": Point("C4", "worker", "a longer lease is taken before a call"),
    "bind": Point("C4", "worker", "the execution's ledger is named"),
    "cycle_start": Point("C4", "worker", "a cycle begins"),
    "wait": Point("C4", "worker", "an execution is given back until its delay has passed"),
    "failure": Point("C4", "worker", "an execution fails"),
    "cycle_cancel": Point("C4", "any", "a cycle is cancelled: what waits ends, what runs is fenced"),
    "intent": Point("C5", "worker", "an entry's rows are SENDING"),
    "exit": Point("C5", "worker", "an exit's row is SENDING"),
    "change": Point("C14", "worker", "a change of a working order is SENDING"),
    "cancel_wish": Point("C14", "worker", "the wish to cancel is kept"),
    "approval_ask": Point("C3", "worker", "a person is asked, an entry's rows are PENDING_APPROVAL"),
    "approval_vote": Point("C3", "any", "a person's word; the last yes queues the dispatch with it"),
    "approval_expiry": Point("C3", "any", "what nobody answered in time ends with its order"),
    "dispatch_claim": Point("C4", "any", "a dispatch is taken"),
    "dispatch_wait": Point("C4", "any", "a dispatch is left for a later wake"),
    "dispatch_end": Point("C4", "any", "a dispatch ends"),
    "submission": Point("C6", "broker", "the owner's record of the frames"),
    "void": Point("C6", "broker", "frames that are proven not to have left"),
    "void_claim": Point("C16", "broker", "an intent that was never sent can never be sent"),
    "retry": Point("C16", "broker", "a message that failed before is applied"),
    "model_open": Point("C18", "worker", "the money for a call to a model is taken; then it is asked"),
    "model_close": Point("C18", "worker", "what the model answered, and what it cost"),
    "request": Point("C1", "web", "a request is kept under its key"),
    "verdicts": Point("C2", "web", "what the controls said of a request"),
    "refusal": Point("C2", "web", "a request is refused"),
    "request_given_up": Point("C1", "any", "a request that nobody finished is refused"),
    "entry_ended_first": Point("C14", "worker", "an exit first ends the entry that still works"),
    "cancel_told": Point("C14", "any", "a cancel was told to the owner"),
    "cancel_unproven": Point("C14", "any", "a cancel that nothing shows is UNKNOWN"),
    "halt_release": Point("C15", "any", "a person lets trading go on"),
    "halt_sync": Point("C15", "any", "the row takes over what the latch says"),
    "halt_refused": Point("C15", "any", "a release is refused"),
    "vanished_ended": Point("C16", "broker", "an order that left the book ends"),
    "doubled_settled": Point("C16", "broker", "one of two orders is left"),
    "cash_compared": Point("C16", "broker", "cash differs, or agrees again"),
    "order_raised": Point("C16", "broker", "an order waits too long for proof"),
    "change_raised": Point("C16", "broker", "a change waits too long for proof"),
    "message_raised": Point("C16", "broker", "a message of the broker cannot be applied"),
    "raised_settled": Point("C16", "broker", "what waited too long has its proof"),
    "surplus_raised": Point("C16", "broker", "more closes than is held"),
    "naked_raised": Point("C16", "broker", "a position stands without its stop"),
    "naked_settled": Point("C16", "broker", "stops cover what is held again"),
    "protect": Point("C5", "broker", "a stop that is placed again is SENDING"),
    "halt_row": Point("C15", "any", "the Halt's row"),
    **{f"step_{name}": Point(step, "worker", f"the step {name}") for name, step in STEP_NAMES.items()},
    **{f"evidence_{kind}": Point(step, "broker", f"{kind} is applied") for kind, step in EVIDENCE.items()},
}
PLACES = {
    "place_asking": Point("C5", "worker", "before the owner is asked to send or change"),
    "place_answered": Point("C7", "worker", "the owner has answered, or failed to"),
    "send_asked": Point("C5", "broker", "the owner has a send before it, nothing is recorded"),
    "gates_passed": Point("C5", "broker", "every gate let the send pass, nothing is recorded"),
    "bracket_begins": Point("C6", "broker", "recorded and past the last look, before the first byte"),
    "frame_writing": Point("C13", "broker", "before each order frame: between two legs from the second pass on"),
    "frame_half": Point("C6", "broker", "half of an order frame is written"),
    "frame_written": Point("C13", "broker", "after each order frame"),
    "bracket_written": Point("C7", "broker", "after the last byte, before anybody is told"),
    "send_answered": Point("C7", "broker", "sent and told to the writer, before the caller is answered"),
    "cancel_writing": Point("C14", "broker", "before each cancel frame"),
    "cancel_half": Point("C14", "broker", "half of a cancel frame is written"),
    "cancel_written": Point("C14", "broker", "after each cancel frame"),
    **{f"received_{kind}": Point(step, "broker", f"{kind} is heard, not kept") for kind, step in EVIDENCE.items()},
    "look_open_orders": Point("C16", "broker", "the book's working orders are known"),
    "look_completed": Point("C16", "broker", "the book's finished orders are known"),
    "look_executions": Point("C16", "broker", "the day's executions are known"),
    "look_positions": Point("C16", "broker", "the holdings are known, nothing is compared"),
    "book_fed": Point("C16", "broker", "the book is applied, what it lacks is not judged"),
    "absent_judged": Point("C16", "broker", "what the book lacks is judged, changes and holdings are not"),
    "look_compared": Point("C16", "broker", "all is compared, trading is not yet open"),
    "halt_file": Point("C15", "any", "the latch is closed, the row is not written"),
    "halt_loosening": Point("C15", "any", "a release is committed, its file still halts"),
    "halt_cancels_proven": Point("C15", "any", "the book shows nothing left to end, the latch does not say so yet"),
}


def sides(commits: dict[str, Point]) -> dict[str, Point]:
    """The two points of each commit."""
    before = {f"{name}_committing": Point(row.step, row.process, f"before: {row.doc}") for name, row in commits.items()}
    return before | {
        f"{name}_committed": Point(row.step, row.process, f"after: {row.doc}") for name, row in commits.items()
    }


POINTS: dict[str, Point] = sides(COMMITS) | PLACES


class Watch:
    """Ends this process by a signal at the n-th pass of a point, and notes every pass where a test wants that.

    `text` is `name:n` or `name:n:SIGSTOP`, several with commas; n counts from 1. `trace` is a file to which each
    name that is passed is appended.
    """

    def __init__(self, text: str, trace: str = "") -> None:
        self._wanted = dict(_parsed(part) for part in text.split(",") if part)
        self._passes: dict[str, int] = {}
        self._trace = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if trace else None
        unknown = sorted(set(self._wanted) - set(POINTS))
        if unknown:
            raise ValueError(f"AUTOTRADER_CRASH: there is no point {', '.join(unknown)}")

    def passed(self, name: str, first: Callable[[], object] | None) -> None:
        """Count the pass; raises ValueError for a name that is not in POINTS."""
        if name not in POINTS:
            raise ValueError(f"crashpoint({name!r}) is not registered")
        if self._trace is not None:
            os.write(self._trace, f"{name}\n".encode())
        count, number = self._wanted.get(name, (0, signal.SIGKILL))
        if not count:
            return
        self._passes[name] = self._passes.get(name, 0) + 1
        if self._passes[name] == count:
            if first is not None:
                first()
            os.kill(os.getpid(), number)


def _parsed(part: str) -> tuple[str, tuple[int, signal.Signals]]:
    name, count, number = (*part.split(":"), "", "")[:3]
    return name, (int(count or 1), signal.Signals[number or "SIGKILL"])


def arm(text: str, trace: str = "") -> None:
    """Watch for these points from now on: for a process that was forked after this module was imported."""
    global _watch
    _watch = Watch(text, trace) if text or trace else None


def crashpoint(name: str, first: Callable[[], object] | None = None) -> None:
    """A named place. `first` is done right before the process is ended here, and only then."""
    if _watch is not None:
        _watch.passed(name, first)


def passes(trace: Path) -> Iterable[str]:
    """The names in a file of passes, in order."""
    return trace.read_text().split() if trace.exists() else ()


_watch: Watch | None = None
arm(os.environ.get("AUTOTRADER_CRASH", ""), os.environ.get("AUTOTRADER_CRASH_TRACE", ""))
