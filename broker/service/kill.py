"""The kill switch's cancels by one connection: ask, look at the book, ask again, until none of them works."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

from autotrader.core.clock import system_now
from autotrader.core.ops.crashpoints import crashpoint
from autotrader.core.ops.pace import paced
from broker import gates, types
from broker.errors import BrokerError, BrokerUnavailable, OrderInvalid
from broker.ib.client import IbClient
from broker.latch import Cancel, Latch
from broker.service import cancelling

LOOK_LIMIT = 5.0
AGAIN = 2.0  # seconds until an order that still works is asked once more
ENDED = frozenset({"Cancelled", "ApiCancelled", "Filled"})
# An order that was written a moment before the halt may be missing from the first look.
CLEAN_LOOKS = 2
BETWEEN_LOOKS = 0.2


class Run:
    """One run of cancels. Needs no database: names, parents and holdings tell entries from protection."""

    def __init__(self, client: IbClient, found: Latch, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`found`: the wish in the file, with what an owner before this one has come to."""
        self._client = client
        self.cancel: Cancel = found.cancel
        self._clock = clock
        # Those in doubt are asked once more at once; the others had ended.
        self._asked_at = dict.fromkeys(found.working, float("-inf"))
        self._ended = max(found.asked - len(found.working), 0)
        self._clean = 0
        self.working, self.kept = found.working, found.kept

    @property
    def asked(self) -> int:
        """How many orders were asked to end."""
        return self._ended + len(self._asked_at)

    @property
    def confirmed(self) -> int:
        """How many of those the last look showed no more."""
        return self._ended + len(self._asked_at.keys() - set(self.working))

    def step(self) -> bool:
        """Look once and ask what must end; True where it is proven that nothing is left to end.

        Raises BrokerError where the broker cannot be asked, or the account does not prove to be ours to trade.
        """
        state = self._client.state()
        if not state.connected:
            raise BrokerUnavailable(f"no connection to the broker: {state.reason}")
        gates.check_kill(state.account)
        book = self._client.read("open_orders", types.Nothing(), LOOK_LIMIT)
        working = [report for report in book if report.account == state.account and report.status not in ENDED]
        ending, kept = self._chosen(working, state.account)
        self.working, self.kept = tuple(map(_name, ending)), tuple(map(_name, kept))
        self._clean = 0 if ending else self._clean + 1
        self._ask([report for report in ending if self._is_due(report)])
        return self._clean >= CLEAN_LOOKS

    def _chosen(self, working: cancelling.Reports, account: str) -> tuple[cancelling.Reports, cancelling.Reports]:
        if self.cancel == "all":
            return working, []
        ours = [report for report in working if report.origin == "ours"]
        is_told = all(cancelling.is_named(report) or report.parent_perm_id for report in ours)
        return cancelling.choose(ours, {}, {} if is_told else self._held(account), "entries")

    def _held(self, account: str) -> dict[int, Decimal]:
        positions = self._client.read("positions", types.Nothing(), LOOK_LIMIT)
        return {row.con_id: row.quantity for row in positions if row.account == account}

    def _is_due(self, report: types.OrderReport) -> bool:
        asked_at = self._asked_at.get(_name(report))
        return asked_at is None or self._clock() - asked_at >= AGAIN

    def _ask(self, due: cancelling.Reports) -> None:
        """Ask each, also after one that was refused. Raises the last refusal; what was not asked stays due."""
        if due and self.cancel == "all":
            self._client.cancel_everything()
        refusal: BrokerError | None = None
        for report in due:
            try:
                if self.cancel != "all":
                    self._ask_one(report)
            except BrokerUnavailable:  # nobody answers: each of the others would wait as long
                raise
            except BrokerError as error:
                refusal = error
            else:
                self._asked_at[_name(report)] = self._clock()
        if refusal is not None:
            raise refusal

    def _ask_one(self, report: types.OrderReport) -> None:
        try:
            self._client.cancel(report.order_ref, lambda: None, report.perm_id)
        except OrderInvalid:
            return  # it ended since the look; if not, the next look shows it


def run_to_end(run: Run, until: float, note: Callable[[], object]) -> str:
    """Step until all is proven or `until` by `time.monotonic` has passed; empty, or why it is not proven.

    `note` is called after each step.
    """
    problem = ""
    while True:
        try:
            if run.step():
                note()
                return ""
            problem = f"{len(run.working)} still work by the broker's book" if run.working else "not proven yet"
        except BrokerError as error:  # a socket that closes or is full; whatever it is, the next look may succeed
            problem = error.message
        note()
        if time.monotonic() > until:
            return problem
        time.sleep(paced(BETWEEN_LOOKS))


def progress_of(run: Run) -> dict[str, object]:
    """What the file keeps of a run."""
    return {"asked": run.asked, "confirmed": run.confirmed, "working": run.working, "kept": run.kept}


def report_of(latch: Latch, problem: str = "") -> types.KillReport:
    """What the file tells of its run."""
    done = not latch.is_cancelling
    return types.KillReport(
        latch.run,
        latch.cancel,
        latch.owner,
        latch.asked,
        latch.confirmed,
        latch.working,
        latch.kept,
        done,
        "" if done else problem or "it is not proven yet that all of them ended",
    )


def end_of_run() -> dict[str, object]:
    """What the file keeps when nothing is left to end."""
    crashpoint("halt_cancels_proven")
    return {"cancelled_at": system_now()}


def _name(report: types.OrderReport) -> str:
    return report.order_ref or f"permId {report.perm_id}"
