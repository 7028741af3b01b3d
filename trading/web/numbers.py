"""What the broker says at this moment, asked once a second for all the pages that look, and never while none does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from autotrader.core.errors import AutoTraderError
from broker import get_broker, types
from broker.errors import AccountError
from broker.port import Broker

KEPT_S = 1.0
WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """The broker's answer. Where `problem` says why there is none, nothing else is set but perhaps `status`.

    `orders` are those of the connected account only. `pnl` is None where the broker tells no results.
    """

    status: types.BrokerStatus | None = None
    account: types.AccountSummary | None = None
    positions: tuple[types.Position, ...] = ()
    orders: tuple[types.OrderReport, ...] = ()
    pnl: types.ProfitAndLoss | None = None
    problem: str = ""

    @property
    def is_live(self) -> bool:
        """Whether the numbers are the broker's, of this second."""
        return not self.problem


class Numbers:
    """One question at a time, by a thread of its own: a broker that is silent holds up no page for longer than WAIT_S.

    Who asks within a second of the last answer is told the same. For any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="numbers")
        self._asked: Future[Told] | None = None
        self._asked_at = self._until = float("-inf")
        self._told = Told(problem="not asked yet")

    def get(self) -> Told:
        """The broker's numbers, or why there are none. Never raises."""
        with self._lock:
            if self._asked is None:
                if time.monotonic() < self._until:
                    return self._told
                self._asked_at = time.monotonic()
                self._asked = self._pool.submit(lambda: _ask())
            asked, asked_at = self._asked, self._asked_at
        try:
            told = asked.result(max(0.0, asked_at + WAIT_S - time.monotonic()))
        except TimeoutError:
            return Told(problem=f"The broker has not answered for {time.monotonic() - asked_at:.0f} s.")
        with self._lock:
            if self._asked is asked:
                self._told, self._asked, self._until = told, None, time.monotonic() + KEPT_S
            return self._told


NUMBERS = Numbers()


def _ask() -> Told:
    status = None
    try:
        with get_broker(own=False) as broker:
            status = broker.status()
            if not status.connected or not status.account:
                return Told(status, problem=f"The broker is not ready: {status.reason or status.phase}.")
            orders = tuple(order for order in broker.open_orders() if order.account == status.account)
            return Told(status, broker.account(), broker.positions(), orders, _pnl(broker))
    except AutoTraderError as error:
        return Told(status, problem=error.message)


def _pnl(broker: Broker) -> types.ProfitAndLoss | None:
    try:
        return broker.pnl()
    except AccountError:
        return None
