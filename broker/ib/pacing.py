"""Waiting for room before a request leaves: orders first, callers in turn, none beyond its deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from broker import types
from broker.errors import BrokerError, BrokerUnavailable, MarketDataError
from broker.ib import codes
from broker.ib.budgets import HISTORY, History, HistoryLimits, HistoryRoom, MessageBudget
from broker.ib.fairness import CALLER, DEADLINE, Budget, Ticket, Turns

Limits = Literal["none", "real"]
PACED = "PACED"


class Pacer:
    """Counts what leaves and makes callers wait for room; with `limits` "none" nobody waits."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limited = limits == "real"
        self._clock = clock
        self._messages = MessageBudget()
        self._history = HistoryLimits()
        self._turns = Turns()
        self._timer: asyncio.TimerHandle | None = None
        self.order_frames = 0
        self.violations = 0

    def note(self, *, is_order: bool) -> None:
        """One message leaves now."""
        self.order_frames += is_order
        self._messages.sent(self._clock())

    def refused(self, code: int, text: str) -> None:
        """Slow down where an error says that we asked too much."""
        if not codes.is_pacing_violation(code, text):
            return
        self.violations += 1
        (self._messages if code == codes.TOO_MANY_MESSAGES else self._history).violated(self._clock())

    def use(self) -> types.PacingUse:
        """The budgets as they stand; a limit of 0 is none. From any thread."""
        now = self._clock()
        return types.PacingUse(
            messages=self._messages.seen(now),
            message_limit=self._messages.limit(now) if self._limited else 0,
            history=self._history.seen(now),
            history_limit=HISTORY if self._limited else 0,
            waiting=len(self._turns) + self._messages.orders_waiting,
            violations=self.violations,
        )

    async def room_for_data(self) -> None:
        """Wait until one data request may leave. Raises BrokerUnavailable PACED where that is after the deadline."""
        if self._limited:
            _refuse_late(BrokerUnavailable, self._messages.delay(self._clock()), self._clock())
            await self._wait(self._ticket("messages", self._messages))

    @asynccontextmanager
    async def history(self, request: History) -> AsyncIterator[None]:
        """Wait until a historical request may leave, and count it as open until the block ends.

        Raises MarketDataError PACED, with the seconds to wait, where that is after the deadline.
        """
        if not self._limited:
            yield
            return
        ahead = self._turns.ahead_of(CALLER.get(), "history")
        _refuse_late(MarketDataError, self._history.delay(request, self._clock(), ahead), self._clock())
        ticket = self._ticket("history", HistoryRoom(self._history, request))
        try:
            await self._wait(ticket)
            yield
        finally:
            if ticket.served:
                self._history.open -= 1
                self._serve()

    async def room_for_orders(self, messages: int) -> None:
        """Wait until so many order messages may leave; a burst above a whole second's budget counts as one second."""
        if not self._limited:
            return
        self._messages.orders_waiting += 1
        try:
            while (delay := self._messages.order_delay(self._clock(), messages)) > 0:
                await asyncio.sleep(delay)
        finally:
            self._messages.orders_waiting -= 1
            self._serve()

    def _ticket(self, lane: str, budget: Budget) -> Ticket:
        return Ticket(CALLER.get(), lane, budget)

    async def _wait(self, ticket: Ticket) -> None:
        granted = asyncio.Event()
        ticket.granted = granted.set
        self._turns.add(ticket)
        self._serve()
        try:
            await granted.wait()
        finally:
            self._turns.remove(ticket)

    def _serve(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        delay = self._turns.serve(self._clock())
        if delay is not None and not math.isinf(delay):
            self._timer = asyncio.get_running_loop().call_later(delay, self._serve)


def _refuse_late(refusal: type[BrokerError], expected: float, now: float) -> None:
    """Tell a caller at once that its turn comes too late; how long an open request will take is not known."""
    deadline = DEADLINE.get()
    if deadline is None or expected <= 0 or math.isinf(expected) or now + expected <= deadline:
        return
    raise refusal(
        f"the broker's pacing limits leave no room for {expected:.0f} s, longer than this call waits",
        code=PACED,
        details={"wait_s": round(expected, 1)},
    )
