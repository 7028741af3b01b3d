"""Look at the broker's whole book and settle what our own record leaves open: adopt, else UNKNOWN, else VOID."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import connections

from autotrader.core.clock import system_now
from autotrader.core.ops.crashpoints import crashpoint
from broker import types
from broker.errors import BrokerError, BrokerUnavailable
from broker.ib.client import IbClient
from broker.models import Submission
from broker.service import desk as desks
from broker.service import evidence, submissions
from broker.service.comparing import Look, Record, Timing, Verdict, compared, judge, submission_report
from broker.service.doubles import Doubles
from broker.service.holdings import Holdings
from broker.service.in_flight import InFlight
from broker.service.watching import Watch
from broker.service.writer import Writer

__all__ = ["Look", "Reconciler", "Record", "Timing", "judge", "submission_report"]

logger = logging.getLogger(__name__)
NEVER_RECORDED = "no frame was ever recorded for this order; none will leave"


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
        protect: Callable[[types.PlaceOrder], object],
        may_protect: Callable[[str], None],
        now: Callable[[], datetime] = system_now,
    ) -> None:
        """`gate` raises TradingDisabled where no cancel may leave for an account, `may_protect` where no protective
        order may; `protect` sends one."""
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
        self._protect, self._may_protect = protect, may_protect
        self._wishes = types.Wishes()
        self._last: Look | None = None
        self._watch = Watch(writer, timing.watch, now)
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()
        self._watch.start()

    def stop(self, timeout: float) -> None:
        """End the thread."""
        self._stopping = True
        self._wake.set()
        self._watch.stop(timeout)
        self._thread.join(timeout)

    def wake(self) -> None:
        """Ask for a look now; never blocks."""
        self._wake.set()

    def look_now(self, timeout: float) -> Look:
        """The next look that is asked for from here on, once it is compared. Raises BrokerUnavailable."""
        asked = self._now()
        self.wake()

        def compared_since() -> bool:
            return self._last is not None and self._last.started >= asked

        with self._changed:
            if not self._changed.wait_for(compared_since, timeout) or self._last is None:
                reason = self._client.state().reason or "it did not answer"
                raise BrokerUnavailable(f"No complete look at the broker's book within {timeout:g} s: {reason}")
            return self._last

    def refused(self, order_refs: Sequence[str], revision: int, detail: str) -> None:
        """These frames were refused before they were on record: void their intents now instead of at a later look."""
        self._writer.submit(lambda: self._void_refused(frozenset(order_refs), revision, detail))

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
        self._place_protection()

    def _place_protection(self) -> None:
        """The intents are committed; what a send refuses or leaves unknown is told by evidence."""
        wishes, self._wishes = self._wishes, types.Wishes()
        for request in wishes.place:
            try:
                self._protect(request)
            except BrokerError as error:
                logger.warning("%s was not placed: %s", request.legs[0].order_ref, error)

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
        account = self._account()
        market_now = self._client.market_now()
        if self._client.state().since != before.since:
            self._wake.set()
            return None
        return Look(book, started, before, market_now, in_flight, positions, account)

    def _account(self) -> types.AccountSummary | None:
        """The account's values; a look is complete without them, but then compares no cash."""
        try:
            values: types.AccountSummary = self._client.read("account", types.Nothing(), self._timing.book_timeout)
        except BrokerError as error:
            logger.info("the account's values were not read: %s", error)
            return None
        return values

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
        self._wishes = desks.registered().compared(compared(look, self._unprotectable(look.state.account)))
        crashpoint("look_compared")
        unsettled = self._holdings.unsettled or self._doubles.unsettled or self._wishes.soon
        hurry = absent or changes or unsettled
        self._pause = self._timing.hurry if hurry else self._timing.interval
        self._become_ready(look)
        self.looks += 1
        with self._changed:
            self._last = look
            self._changed.notify_all()

    def _unprotectable(self, account: str) -> str:
        try:
            self._may_protect(account)
        except BrokerError as error:
            return f"{error.reason}: {error.message}"
        return ""

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

    def _void(self, intent: types.UnresolvedIntent, detail: str = NEVER_RECORDED) -> Submission | None:
        """Race for the intent's key; the row where it is VOID now, None where the sender was first."""
        claim = submissions.claim([submissions.void_row(intent, detail, self._now())], point="void_claim")
        return claim.rows[0] if claim.void else None

    def _void_refused(self, order_refs: frozenset[str], revision: int, detail: str) -> None:
        for intent in desks.registered().unresolved(self._now()):
            if intent.order_ref in order_refs and intent.revision == revision:
                row = self._void(intent, f"refused before it was sent: {detail}")
                if row is not None:
                    self._writer.apply(submission_report(row, self._client.known_now()))

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
