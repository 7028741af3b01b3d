"""Who waits for room, and whose turn is next: callers are served in turn, each by the order of its requests."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

# Both travel with a call into the connection's thread: who asks, and until when (by `time.monotonic`).
CALLER: ContextVar[str] = ContextVar("broker_caller", default="")
DEADLINE: ContextVar[float | None] = ContextVar("broker_deadline", default=None)


class Budget(Protocol):
    """A limit on what may leave."""

    def delay(self, now: float) -> float:
        """Seconds until there is room; 0 = now."""
        ...

    def take(self, now: float) -> None:
        """Use the room."""
        ...


@dataclass(eq=False, slots=True)
class Ticket:
    """One request that waits for room in a budget; `granted` is called when it is `served`.

    `lane` names what it waits for: only tickets of one lane count as being ahead of each other.
    """

    caller: str
    lane: str
    budget: Budget
    granted: Callable[[], object] = lambda: None
    served: bool = False


class Turns:
    """The waiting tickets of every caller. No clock, no loop: `serve` is called with the time."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, list[Ticket]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def add(self, ticket: Ticket) -> None:
        """Stand at the end of the caller's line."""
        self._lines.setdefault(ticket.caller, []).append(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Leave the line; nothing happens where the ticket was served."""
        line = self._lines.get(ticket.caller, [])
        if ticket in line:
            line.remove(ticket)
        if not line:
            self._lines.pop(ticket.caller, None)

    def ahead_of(self, caller: str, lane: str) -> int:
        """How many tickets of a lane will be served before one that this caller adds to it now."""
        waiting = Counter(ticket.caller for ticket in self._tickets() if ticket.lane == lane)
        own = waiting.pop(caller, 0)
        return own + sum(min(count, own + 1) for count in waiting.values())

    def serve(self, now: float) -> float | None:
        """Grant all that have room, in turn; seconds until the next one may have it, None where nobody waits."""
        while (ticket := self._next(now)) is not None:
            self.remove(ticket)
            if ticket.caller in self._lines:
                self._lines.move_to_end(ticket.caller)
            ticket.budget.take(now)
            ticket.served = True
            ticket.granted()
        return min((ticket.budget.delay(now) for ticket in self._tickets()), default=None)

    def _next(self, now: float) -> Ticket | None:
        return next((ticket for ticket in self._tickets() if ticket.budget.delay(now) <= 0), None)

    def _tickets(self) -> Iterator[Ticket]:
        for line in self._lines.values():
            yield from line
