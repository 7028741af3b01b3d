"""Look at the broker's whole book and settle what our own record leaves open: adopt, else UNKNOWN, else VOID."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from django.db import connections

from autotrader.core.clock import system_now
from autotrader.core.ops.crashpoints import crashpoint
from autotrader.core.ops.pace import paced
from broker import types
from broker.errors import BrokerError
from broker.ib.client import Book, ConnectionState, IbClient
from broker.models import Submission
from broker.service import desk as desks
from broker.service import evidence, submissions
from broker.service.doubles import Doubles
from broker.service.holdings import Holdings
from broker.service.in_flight import InFlight
from broker.service.writer import Writer

logger = logging.getLogger(__name__)
Verdict = Literal["leave", "void", "void_again", "missing", "proven"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `interval` between looks, `hurry` while an order is missing or a look failed.

    `void_after`: the age at which an intent without a Submission is voided; `grace`: how long after its Submission
    an order may be missing from a book; `proof_after` to `proof_until`: the age at which its absence can be proof,
    since a book tells finished orders and fills of the current day only.
    """

    interval: float = field(default_factory=lambda: paced(30))
    hurry: float = field(default_factory=lambda: paced(5))
    retry: float = field(default_factory=lambda: paced(1))
    book_timeout: float = 20
    void_after: float = field(default_factory=lambda: paced(10))
    grace: float = field(default_factory=lambda: paced(2))
    proof_after: float = field(default_factory=lambda: paced(10))
    proof_until: float = 3600


@dataclass(frozen=True, slots=True)
class Look:
    """One complete answer: `started` when it was asked for, `connection` when that connection began."""

    book: Book
    started: datetime
    state: ConnectionState
    market_now: datetime
    in_flight: frozenset[str]
    positions: tuple[types.Position, ...]

    @property
    def reports(self) -> tuple[types.OrderReport | types.ExecutionReport, ...]:
        """Orders first, then what filled them."""
        return (*self.book.open_orders, *self.book.completed_orders, *self.book.executions)


@dataclass(frozen=True, slots=True)
class Record:
    """What we know of an order: its Submission, and whether the broker ever told of it."""

    submission: Submission | None
    seen: bool = False


def judge(intent: types.UnresolvedIntent, record: Record, look: Look, earlier_misses: int, timing: Timing) -> Verdict:
    """What a book that does not know the intent's order says of it."""
    submission = record.submission
    age = (look.started - (submission.created_at if submission else intent.since)).total_seconds()
    if intent.order_ref in look.in_flight:
        return "leave"
    if submission is None:
        return "void" if age >= timing.void_after else "leave"
    if submission.state == Submission.State.VOID:
        return "void_again"
    if age < timing.grace:
        return "leave"
    # The sender is gone with the connection before; what the broker once told of was there, and may have filled.
    provable = look.state.since > submission.created_at and not record.seen
    provable = provable and timing.proof_after <= age <= timing.proof_until
    return "proven" if provable and earlier_misses > 0 else "missing"


class Reconciler:
    """The thread `reconcile` asks for the book; the writer's thread compares it with our record.

    `looks` counts the books that were compared.
    """

    def __init__(
        self,
        client: IbClient,
        writer: Writer,
        in_flight: InFlight,
        *,
        timing: Timing,
        gate: Callable[[str], None],
        now: Callable[[], datetime] = system_now,
    ) -> None:
        """`gate` raises TradingDisabled where no cancel may leave for an account."""
        self._client = client
        self._writer = writer
        self._in_flight = in_flight
        self._timing = timing
        self._now = now
        self.looks = 0
        self._wake = threading.Event()
        self._stopping = False
        self._changed = threading.Condition()
        self._ready_since: datetime | None = None
        self._pause = timing.interval
        self._misses: dict[str, int] = {}
        self._connection: datetime | None = None
        self._holdings = Holdings()
        self._doubles = Doubles(client, writer, gate)
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def wake(self) -> None:
        """Ask for a look now; never blocks."""
        self._wake.set()

    def ready(self) -> bool:
        """True once a look on the connection of this moment was compared."""
        state = self._client.state()
        return state.connected and state.synced and state.since == self._ready_since

    def wait_ready(self, timeout: float) -> bool:
        """Wait for `ready()`; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(self.ready, timeout)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._pause if self.ready() else self._timing.retry)
            self._wake.clear()
            if not self._stopping:
                self._look()
                # The book's prices are put on ticks by the contract cache, which may have asked the database.
                connections.close_all()

    def _look(self) -> None:
        try:
            look = self._ask()
        except BrokerError as error:
            # Not answered is not "not there": this was no look.
            logger.info("no look at the broker's book: %s", error)
            self._pause = self._timing.hurry
            return
        except Exception:
            # Whatever it is, the next look may succeed; without looks nothing would ever be settled.
            logger.exception("a look at the broker's book failed")
            self._pause = self._timing.hurry
            return
        if look is None:
            return
        done = threading.Event()
        self._writer.submit(lambda: self._compare_then(look, done))
        while not done.wait(0.2):
            if self._stopping:
                return
        self._doubles.end()

    def _ask(self) -> Look | None:
        """The book as one connection told it; None without a connection that has told its all."""
        before = self._client.state()
        if not (before.connected and before.synced):
            return None
        started, in_flight = self._now(), self._in_flight.refs()
        book = self._client.book(self._timing.book_timeout)
        # Last: what filled before this answer is told by then, unless it is never told.
        positions = self._client.read("positions", types.Nothing(), self._timing.book_timeout)
        crashpoint("look_positions")
        market_now = self._client.market_now()
        if self._client.state().since != before.since:
            self._wake.set()
            return None
        return Look(book, started, before, market_now, in_flight, positions)

    def _compare_then(self, look: Look, done: threading.Event) -> None:
        try:
            self.compare(look)
        finally:
            done.set()

    def compare(self, look: Look) -> None:
        """In the writer's thread: feed the book as evidence, judge what it does not know, then be ready."""
        if look.state.since != self._connection:
            self._connection = look.state.since
            self._misses.clear()
            self._holdings.forget()
        self._writer.retry_blocked()
        self._feed(look.reports)
        crashpoint("book_fed")
        intents = [i for i in desks.registered().unresolved(self._now()) if i.account == look.state.account]
        known = {report.order_ref for report in look.reports}
        absent = [intent for intent in intents if not intent.revision and intent.order_ref not in known]
        self._misses = {i.order_ref: self._misses[i.order_ref] for i in absent if i.order_ref in self._misses}
        self._judge_all(absent, look)
        crashpoint("absent_judged")
        # Asked again: what the book has just told may have settled a change.
        changes = [
            i for i in desks.registered().unresolved(self._now()) if i.account == look.state.account and i.revision
        ]
        self._judge_changes(changes, look)
        self._compare_positions(look)
        self._doubles.judge(look)
        crashpoint("look_compared")
        hurry = absent or changes or self._holdings.unsettled or self._doubles.unsettled
        self._pause = self._timing.hurry if hurry else self._timing.interval
        self._become_ready(look)
        self.looks += 1

    def _feed(self, reports: Iterable[types.OrderReport | types.ExecutionReport]) -> None:
        for report in reports:
            self._writer.apply(report)

    def _compare_positions(self, look: Look) -> None:
        """A fill that no frame and no list of executions ever told shows in what the broker holds."""
        booked = desks.registered().positions(look.state.account)
        if booked is None:
            return
        if not self._holdings.knows_what_was_told():
            self._holdings.remember(evidence.mismatches(look.state.account))
        now = self._client.known_now()
        for event in self._holdings.compare(look.state.account, look.positions, booked, now):
            self._writer.apply(event)

    def _judge_all(self, absent: Sequence[types.UnresolvedIntent], look: Look) -> None:
        refs = [intent.order_ref for intent in absent]
        rows, seen = submissions.of_orders(refs), evidence.seen(refs)
        for intent in absent:
            if self._writer.blocks(intent.order_ref):
                continue
            record = Record(rows.get(intent.order_ref), intent.order_ref in seen)
            verdict = judge(intent, record, look, self._misses.get(intent.order_ref, 0), self._timing)
            self._settle(intent, record.submission, verdict)

    def _judge_changes(self, changes: Sequence[types.UnresolvedIntent], look: Look) -> None:
        """A price change that was never sent is voided; one that was sent and does not show is unproven."""
        for change in changes:
            age = look.started - change.since
            if change.order_ref in look.in_flight or age < timedelta(seconds=self._timing.void_after):
                continue
            row = submissions.of_change(change) or self._void(change)
            if row is not None and row.state == Submission.State.VOID:
                self._writer.apply(submission_report(row, self._client.known_now()))
            elif row is not None and change.state != "UNKNOWN":
                detail = "the broker's book does not show the new price"
                self._writer.apply(
                    types.OrderMissing(
                        change.account,
                        change.order_ref,
                        proven=False,
                        detail=detail,
                        time=self._client.known_now(),
                        revision=change.revision,
                    )
                )

    def _settle(self, intent: types.UnresolvedIntent, row: Submission | None, verdict: Verdict) -> None:
        if verdict == "void":
            row = self._void(intent)
            verdict = "void_again" if row is not None else "leave"
        if verdict == "void_again" and row is not None:
            self._writer.apply(submission_report(row, self._client.known_now()))
        if verdict == "missing":
            self._misses[intent.order_ref] = self._misses.get(intent.order_ref, 0) + 1
            if intent.state != "UNKNOWN":
                self._report_missing(intent, proven=False, detail="the broker's book does not show this order")
        if verdict == "proven":
            self._report_missing(intent, proven=True, detail="two complete books of a new connection lack this order")

    def _void(self, intent: types.UnresolvedIntent) -> Submission | None:
        """Race for the intent's key; the row where it is VOID now, None where the sender was first."""
        detail = "no frame was ever recorded for this order; none will leave"
        claim = submissions.claim([submissions.void_row(intent, detail, self._now())], point="void_claim")
        return claim.rows[0] if claim.void else None

    def _report_missing(self, intent: types.UnresolvedIntent, *, proven: bool, detail: str) -> None:
        at = self._client.known_now()
        self._writer.apply(types.OrderMissing(intent.account, intent.order_ref, proven, detail, at))

    def _become_ready(self, look: Look) -> None:
        first = self._ready_since != look.state.since
        if first:
            state = look.state
            self._writer.apply(
                types.ConnectionReport(state.account, "READY", state.clock, look.market_now, "", self._now())
            )
        with self._changed:
            self._ready_since = look.state.since
            self._changed.notify_all()


def submission_report(row: Submission, now: datetime) -> types.SubmissionReport:
    """What our own record says of a frame."""
    terms = submissions.prices_of(row) if row.revision else {}
    return types.SubmissionReport(
        row.account,
        row.order_ref,
        row.revision,
        "VOID" if row.state == Submission.State.VOID else "SENT",
        now,
        row.detail,
        terms.get("limit_price"),
        terms.get("stop_price"),
    )
