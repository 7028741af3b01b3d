"""Runs one cell, or one random story, from its first row to the oracle's word."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connections

from autotrader.core.clock import system_now
from autotrader.core.ops.pace import paced
from broker.paper_gateway.control import ControlError
from tests.crash.harness.board import Action
from tests.crash.harness.cells import SELF, Cell, Outcome
from tests.crash.harness.databases import Database, Skipped
from tests.crash.harness.desk import Desk, NotStarted, desk, wait_for
from tests.crash.harness.faults import STRIKES, release
from tests.crash.harness.operations import OPERATIONS
from tests.crash.harness.processes import Zygote
from tests.crash.harness.seeds import Story, Strike
from tests.crash.harness.verdict import violations
from tests.crash.harness.world import Rows, rows
from trading.models import Discrepancy
from trading.models.discrepancy import DiscrepancyKind

REACH_LIMIT = 20.0
SETTLE_LIMIT = 40.0
LOOK_EVERY = 0.1
BLOCKED_LIMIT = 5.0
QUIET = 5.0  # seconds, before they are paced: a look in a hurry must have found nothing more
NESTED = ("look_executions", "look_open_orders")
# After these recovery is run once more, and must change nothing.
TWICE = frozenset({"kill-all", "nested", "rollback"})
EXCHANGE = ZoneInfo("America/New_York")
DAY_TURNED = "The exchange's day turned meanwhile, and the gateway's truth is what was done on one day."
HARNESS_ERRORS = (NotStarted, TimeoutError, OSError, RuntimeError, ControlError)


class Runner:
    """Runs cells one after another on one database."""

    def __init__(self, zygote: Zygote, database: Database, folder: Path, *, keep: bool = False) -> None:
        self._zygote = zygote
        self._database = database
        self._folder = folder
        self._keep = keep

    def run(self, cell: Cell) -> Outcome:
        """The cell's outcome."""
        strike = Strike(cell.fault, cell.role, cell.point, cell.occurrence, REACH_LIMIT)
        return self._play(cell.name, Story(cell.seed, ((cell.operation, (strike,)),), ()), strict=True)

    def probe(self, operation: str) -> Outcome:
        """The operation without any fault: which points it passes, and how often."""
        return self._play(f"probe:{operation}:{self._database.name}", Story(0, ((operation, ()),), ()))

    def tell(self, story: Story) -> Outcome:
        """A random story's outcome."""
        return self._play(f"seed:{story.seed}:{self._database.name}", story)

    def _play(self, name: str, story: Story, *, strict: bool = False) -> Outcome:
        """`strict`: a point that is not reached ends it as `unreached`. What the harness could not do is `error`."""
        began, day = time.monotonic(), _exchange_day()
        folder = self._folder / name.replace(":", "-")
        try:
            with desk(self._zygote, self._database, folder, keep=self._keep) as made:
                outcome = self._told(name, story, made, strict=strict)
        except Skipped as error:
            outcome = Outcome(name, "skipped", detail=(str(error),))
        except HARNESS_ERRORS as error:
            outcome = Outcome(name, "error", detail=(f"{type(error).__name__}: {error}",))
        if outcome.state == "failed" and _exchange_day() != day:
            outcome = Outcome(name, "error", detail=(DAY_TURNED, *outcome.detail))
        outcome.seconds = round(time.monotonic() - began, 3)
        return outcome

    def _told(self, name: str, story: Story, made: Desk, *, strict: bool) -> Outcome:
        before: dict[str, dict[str, int]] = {}
        unsettled: dict[str, Any] = {}
        again = any(strike.fault in TWICE for _, strikes in story.operations for strike in strikes)
        made.open()
        for link in story.links:
            made.gateway.control.fault(**link)
        for number, (operation, strikes) in enumerate(story.operations, start=1):
            begun = False
            with suppress(*(() if strict else (NotStarted,))):
                # A story's earlier faults may have left the desk where this cannot begin: that is for the oracle.
                made.operate(operation, number)
                begun = True
                before = made.passes()
                if not self._strike_all(made, strikes, strict=strict):
                    return Outcome(name, "unreached")
            unsettled = _recover(made, operation, number, may_ask=begun)
        found = [f"not settled: {unsettled}"] if unsettled else []
        found += violations(made, None if unsettled or not again else _recover_again(made))
        state = "failed" if found else "passed"
        return Outcome(name, state, detail=tuple(found), passes=_since(before, made.passes()))

    def _strike_all(self, made: Desk, strikes: tuple[Strike, ...], *, strict: bool) -> bool:
        """Let the operation begin and do what is to happen to it; False, if `strict`, where a point was not reached."""
        begun = False
        for strike in strikes:
            action: Action = "stop" if strike.fault == "stop" else "kill" if strike.fault in SELF else "meet"
            made.board.arm(strike.role, strike.point, occurrence=strike.occurrence, action=action)
            if not begun:
                made.begin()
                begun = True
            reached = wait_for(lambda: made.board.reached(strike.role), strike.latest)  # noqa: B023
            if strict and not reached:
                return False
            _strike(made, strike)
            made.board.disarm(strike.role)
            made.restore()
        if not begun:
            made.begin()
        return True


def _exchange_day() -> date:
    return system_now().astimezone(EXCHANGE).date()


def _strike(made: Desk, strike: Strike) -> None:
    connections.close_all()
    pid = made.board.reached(strike.role) or _instead(made, strike)
    known = STRIKES.get(strike.fault)
    if known is not None and (pid or strike.fault not in SELF):
        with suppress(ConnectionError):
            known(made, pid)
    release(made)
    if strike.fault == "nested":
        _nest(made)


def _instead(made: Desk, strike: Strike) -> int:
    """At no point, then wherever it is: the newest process of that role is killed or stopped."""
    processes = made.processes(strike.role)
    if not processes or strike.fault not in SELF:
        return 0
    processes[-1].signal(signal.SIGSTOP if strike.fault == "stop" else signal.SIGKILL)
    return processes[-1].pid


def _nest(made: Desk) -> None:
    """The recovery is killed as well, twice, each time a little further on."""
    for point in NESTED:
        for forked in made.processes("broker"):
            forked.end()
        made.board.arm("broker", point)
        made.restore()
        wait_for(lambda: not made.processes("broker"), REACH_LIMIT)
    made.board.disarm("broker")


def _recover_again(made: Desk) -> Rows:
    """The rows as they are, before everything is started once more and looks at the broker's book again."""
    wait_for(_nothing_blocked, BLOCKED_LIMIT)
    before = rows()
    connections.close_all()
    for forked in made.processes("broker"):
        forked.end()
    made.start_broker()
    made.await_broker()
    time.sleep(paced(QUIET))
    return before


def _nothing_blocked() -> bool:
    """The owner settles what was said to be blocked and was applied since, a little after all is quiet."""
    return not Discrepancy.objects.filter(state="OPEN", kind=DiscrepancyKind.BLOCKED).exists()


def _recover(made: Desk, operation: str, number: int, *, may_ask: bool) -> dict[str, Any]:
    """Start what is dead again, by the usual path, and wait until all is settled; what is not.

    `may_ask`: the operation had begun, so that its client asks again where it died.
    """
    asks_again = may_ask and OPERATIONS[operation].asks_again
    worker = None
    last: dict[str, Any] = {}
    quiet_since = 0.0
    with suppress(ConnectionError):
        if made.gateway.alive:
            made.gateway.control.heal()
    until = time.monotonic() + SETTLE_LIMIT
    while time.monotonic() < until:
        made.restore()
        ended = made.operator is None or not made.operator.alive
        if ended and (worker is None or not worker.alive):
            worker = made.start_worker()
        if ended and made.operator and made.operator.code and asks_again:
            made.operator = made.start_retry(operation, number)
            continue
        last = made.quiet() if ended else {"operator": "runs"}
        if last:
            quiet_since = 0.0
        elif not quiet_since:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > paced(QUIET):
            break
        time.sleep(LOOK_EVERY)
    for forked in made.processes("worker", "web"):
        forked.end()
    return last


def _since(before: dict[str, dict[str, int]], after: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """The passes of the operation itself, without those of what came before it."""
    return {
        role: {
            point: count - before.get(role, {}).get(point, 0)
            for point, count in points.items()
            if count > before.get(role, {}).get(point, 0)
        }
        for role, points in after.items()
    }
