"""The thread `writer`: the only writer of broker evidence, in order and in transactions, none dropped within its bound.

Events that wait share a transaction where that is safe. If anything in it raises, all of it is rolled back and each has
its own: so an event that cannot be applied fails by itself, and what is out of the ordinary is booked by itself.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connections

from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from autotrader.core.ops.crashpoints import crashpoint
from autotrader.core.ops.pace import paced
from broker import types
from broker.errors import BrokerUnavailable
from broker.service import desk as desks
from broker.service import evidence
from broker.service.heard import Heard

logger = logging.getLogger(__name__)
T = TypeVar("T")
Job = Callable[[], None]
BOUND = 10_000
TOGETHER = 16  # events of one transaction at most: others wait for its locks
IDLE = 30.0
FIRST_PAUSE = paced(0.05)
SHORT_PAUSE = paced(0.2)  # up to here it is a delay, no outage
LONGEST_PAUSE = paced(2)
# What another try may mend; where it comes back this often although the database answers, it belongs to the message.
PASSING = (OperationalError, InterfaceError, Conflict)
PATIENCE = 5


class Stopped(Exception):
    """The writer was stopped while the database did not answer; what it held is read again at the next start."""


class Writer:
    """Takes events from any thread, applies them in order in its own.

    `look_again` is called after events were refused at the bound and after an outage of the database; it must only
    ask for a new look at the book.
    """

    def __init__(
        self,
        *,
        look_again: Callable[[], None],
        now: Callable[[], datetime] = system_now,
        bound: int = BOUND,
    ) -> None:
        self._look_again = look_again
        self._now = now
        self._bound = bound
        self._queue: queue.SimpleQueue[types.BrokerEvent | Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._stopping = threading.Event()
        self._outage = False
        self._lost = 0
        self._blocked: set[str] = set()
        self._heard = Heard()

    def start(self) -> None:
        """Start the thread; it first takes up what an earlier owner could not apply, and what was booked last."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Apply what is queued, as long as the database answers and the time lasts; then end the thread."""
        self._queue.put(None)
        deadline = time.monotonic() + timeout
        while self._thread.is_alive() and not self._outage and time.monotonic() < deadline:
            self._thread.join(SHORT_PAUSE)
        self._stopping.set()
        self._thread.join(LONGEST_PAUSE + 1)

    def put(self, event: types.BrokerEvent) -> None:
        """Queue an event; never blocks."""
        if self._queue.qsize() >= self._bound:
            self._lost += 1
            return
        self._queue.put(event)

    def submit(self, job: Callable[[], None]) -> None:
        """Queue work for the writer's thread."""
        self._queue.put(job)

    def drain(self, timeout: float) -> None:
        """Wait until everything queued so far is applied or stored; raises BrokerUnavailable after `timeout` s."""
        reached = threading.Event()
        self._queue.put(reached.set)
        if not reached.wait(timeout):
            raise BrokerUnavailable(f"The broker's events were not applied within {timeout:g} s.", code="NOT_DRAINED")

    @property
    def is_out(self) -> bool:
        """True while the database does not answer."""
        return self._outage

    @property
    def healthy(self) -> bool:
        """False while evidence cannot be stored: then nothing may be sent."""
        return self._thread.is_alive() and not self._outage and self._queue.qsize() < self._bound // 2

    def blocks(self, key: str) -> bool:
        """True where an earlier event of this order could not be applied yet."""
        return key in self._blocked

    def apply(self, event: types.BrokerEvent, *, again: bool = False) -> bool:
        """In the writer's thread: apply what is news, or store as ERROR and answer False.

        `again`: it was tried with others, which left nothing behind.
        """
        key = evidence.key_of(event)
        if self._knows(event):
            return True
        if key and key in self._blocked:
            self._heard.forget(event)
            self._keep(
                lambda: evidence.store_failed(event, f"{key} waits for an earlier message", self._now(), alarm=False)
            )
            return False
        if not again:
            crashpoint(f"received_{type(event).__name__}")
        problem = self._attempt(event)
        if problem and key:
            self._blocked.add(key)
        (self._heard.forget if problem else self._heard.note)(event)
        return not problem

    def retry_blocked(self) -> None:
        """In the writer's thread: apply again what failed, order by order."""
        waiting = self._keep(evidence.failed)
        still = set()
        for key, rows in waiting.items():
            problem = self._keep(lambda rows=rows: evidence.retry(rows, desks.registered()))  # type: ignore[misc]
            if problem:
                logger.error("%s stays blocked: %s", key or "a message", problem)
                still.add(key)
        self._blocked = still - {""}

    def set_aside(self, messages: Collection[int]) -> None:
        """In the writer's thread: apply these no more, nor what says the same; what waited behind them goes on."""
        for event in self._keep(lambda: evidence.set_aside(messages)):
            self._heard.note(event)
        self.retry_blocked()

    def _run(self) -> None:
        try:
            self.retry_blocked()
            self._do(self._recall)
            while self._step():
                pass
        except Stopped:
            logger.error("the writer ends with events that were not stored; the next start reads them again")
        finally:
            connections.close_all()

    def _recall(self) -> None:
        """Know what an earlier owner booked last, but for orders of which the desk still waits to hear."""
        waiting = self._keep(lambda: desks.registered().unresolved(self._now()))
        self._heard.recall(self._keep(lambda: evidence.recent(self._now())))
        for intent in waiting:
            self._heard.forget_order(intent.order_ref)

    def _step(self) -> bool:
        try:
            item = self._queue.get(timeout=IDLE)
        except queue.Empty:
            close_old_connections()
            return True
        events, then = self._waiting(item)
        self._apply_in_order(events)
        if callable(then):
            self._do(then)
        if self._lost:
            self._report_lost()
        return then is not None

    def _waiting(self, item: types.BrokerEvent | Job | None) -> tuple[list[types.BrokerEvent], Job | None]:
        """The events that wait, this one first, up to the first job; the job, or None where the writer is to end."""
        events: list[types.BrokerEvent] = []
        while item is not None and not callable(item):
            events.append(item)
            if len(events) == TOGETHER or self._queue.empty():
                return events, _nothing
            item = self._queue.get()
        return events, item

    def _apply_in_order(self, events: Sequence[types.BrokerEvent]) -> None:
        """A run of events that may share a transaction ends with a fill: nobody waits for it longer than needed."""
        run: list[types.BrokerEvent] = []
        for event in events:
            if not evidence.may_go_together(event) or evidence.key_of(event) in self._blocked:
                self._apply_together(run)
                run = []
                self.apply(event)
                continue
            run.append(event)
            if isinstance(event, types.ExecutionReport):
                self._apply_together(run)
                run = []
        self._apply_together(run)

    def _apply_together(self, run: Sequence[types.BrokerEvent]) -> None:
        """What is news of these in one transaction; each in its own where that is refused."""
        news, before = [], []
        for event in run:
            if not self._knows(event):
                before.append(self._heard.of(event))
                self._heard.note(event)
                news.append(event)
        if len(news) > 1 and self._at_once(news):
            return
        for known in reversed(before):
            self._heard.restore(known)
        for event in run:
            self.apply(event, again=len(news) > 1)

    def _knows(self, event: types.BrokerEvent) -> bool:
        """True where it says what was booked last of the same, and nothing of its order waits to be booked."""
        return evidence.key_of(event) not in self._blocked and self._heard.is_known(event)

    def _at_once(self, events: Sequence[types.BrokerEvent]) -> bool:
        """True where all of them are committed, False where none is."""
        for event in events:
            crashpoint(f"received_{type(event).__name__}")
        try:
            evidence.apply_together(events, desks.registered(), self._now())
        except Exception as error:
            logger.info("%s events are applied one by one: %s", len(events), evidence.describe(error))
            if isinstance(error, (OperationalError, InterfaceError)):
                connections.close_all()
            return False
        return True

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Stopped:
            raise
        except Exception:
            logger.exception("work in the writer failed")
            close_old_connections()

    def _report_lost(self) -> None:
        if self._queue.qsize() >= self._bound:
            return
        lost, self._lost = self._lost, 0
        self._keep(lambda: evidence.record_overflow(lost))
        self._look_again()

    def _attempt(self, event: types.BrokerEvent) -> str:
        """Empty once applied; the problem once stored as ERROR. Waits while the database does not answer."""
        for attempt, _ in enumerate(self._pauses()):
            try:
                evidence.apply(event, desks.registered(), self._now())
                return ""
            except PASSING as error:
                problem = evidence.describe(error)
                if attempt < PATIENCE:
                    continue
            except Exception as error:
                problem = evidence.describe(error)
            if self._stored_as_failed(event, problem):
                return problem
        raise Stopped

    def _stored_as_failed(self, event: types.BrokerEvent, problem: str) -> bool:
        try:
            evidence.store_failed(event, problem, self._now(), alarm=True)
        except DatabaseError:
            logger.warning("the database takes no evidence; it is kept in memory")
            return False
        logger.error("%s could not be applied: %s", type(event).__name__, problem)
        return True

    def _keep(self, work: Callable[[], T]) -> T:
        """Do `work`, again and again while the database does not answer."""
        for _ in self._pauses():
            try:
                return work()
            except DatabaseError:
                logger.warning("the database does not answer; the writer waits")
        raise Stopped

    def _pauses(self) -> Iterator[None]:
        """One turn at once, then turns with growing pauses until stopped; says when it has become an outage."""
        pause = FIRST_PAUSE
        try:
            while True:
                yield
                self._outage = pause > SHORT_PAUSE
                connections.close_all()
                if self._stopping.wait(pause):
                    return
                pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            if self._outage:
                self._outage = False
                self._look_again()


def _nothing() -> None:
    """Stands for a job where none waits."""
