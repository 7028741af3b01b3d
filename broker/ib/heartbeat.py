"""Signs of life: an idle connection is asked for the time, a silent one is given up; and the broker's clock's skew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from autotrader.core.clock import system_now
from broker import types

if TYPE_CHECKING:
    from broker.ib.reads import Asking

HALF_SECOND = timedelta(seconds=0.5)  # the broker tells whole seconds, cut off
MILLISECOND = Decimal("0.001")
WEIGHT = Decimal("0.25")  # of the newest measure of the skew
STEP = Decimal("1.5")  # seconds: a measure that differs by more says that a clock was set, not that it was read badly


@dataclass(frozen=True, slots=True)
class Beat:
    """Seconds: silence after which the time is asked, and how much longer it may last.

    `set_patience` is the latter for a gateway whose clock is set, which answers nobody while it plays a stretch of
    time. `measure`: the skew is measured so often even where the connection is never idle.
    """

    idle: float = 5.0
    patience: float = 5.0
    set_patience: float = 9.0
    measure: float = 30.0


class Skew:
    """The broker's clock minus ours in seconds, smoothed over several measures; None before the first."""

    def __init__(self) -> None:
        self.value: Decimal | None = None

    def add(self, measure: Decimal) -> None:
        """Take one more measure."""
        if self.value is None or abs(measure - self.value) > STEP:
            self.value = measure
        else:
            self.value = (self.value + WEIGHT * (measure - self.value)).quantize(MILLISECOND)


def measured(broker: datetime, asked: datetime, answered: datetime) -> types.ServerTime:
    """The broker's time against ours, taken at the middle of the round trip."""
    middle = asked + (answered - asked) / 2
    return types.ServerTime(
        broker=broker,
        system=middle,
        skew_s=_seconds(broker + HALF_SECOND - middle),
        round_trip_s=_seconds(answered - asked),
    )


async def ask_time(connection: Any) -> types.ServerTime:
    """Ask the broker for its time; BrokerUnavailable where no answer comes."""
    asked = system_now()
    broker: datetime = await connection.current_time.ask()
    return measured(broker, asked, system_now())


async def server_time(asking: Asking, request: types.Nothing) -> types.ServerTime:
    """The broker's clock against ours."""
    return await ask_time(asking.connection)


class Heartbeat:
    """Watches one connection. `ask` makes the broker answer, `give_up` is told why the connection counts as dead."""

    def __init__(
        self,
        beat: Beat,
        ask: Callable[[], Awaitable[object]],
        give_up: Callable[[str], None],
        patience: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._beat = beat
        self._ask = ask
        self._give_up = give_up
        self._patience = patience
        self._clock = clock
        self._heard = self._asked = clock()
        self._question: asyncio.Future[object] | None = None

    @property
    def age(self) -> float:
        """Seconds since the last frame."""
        return self._clock() - self._heard

    def heard(self) -> None:
        """A frame has come."""
        self._heard = self._clock()

    async def run(self) -> None:
        """Beat until cancelled, or until the connection is given up."""
        try:
            while True:
                await asyncio.sleep(max(self._due() - self._clock(), 0.0))
                if self._due() <= self._clock() and not await self._is_alive():
                    self._give_up(f"the gateway has been silent for {self.age:.0f} s")
                    return
        finally:
            if self._question is not None:
                self._question.cancel()

    def _due(self) -> float:
        return min(max(self._heard, self._asked) + self._beat.idle, self._asked + self._beat.measure)

    async def _is_alive(self) -> bool:
        """Ask, and wait for the answer as long as any frames come; a question that fails ends its connection itself."""
        self._asked = self._clock()
        self._question = asyncio.ensure_future(self._ask())
        self._question.add_done_callback(_seen)
        while not self._question.done():
            left = self._heard + self._beat.idle + self._patience() - self._clock()
            if left <= 0:
                return False
            await asyncio.wait({self._question}, timeout=left)
        return True


def _seen(question: asyncio.Future[object]) -> None:
    """Mark a failure as seen: it ends the connection by another way."""
    if not question.cancelled():
        question.exception()


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(milliseconds=1)) / 1000
