"""What the broker says at this moment, asked once a second for all the pages that look, and else at the start alone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.db import connection

from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from broker import get_broker, types
from broker.errors import AccountError
from broker.port import Broker

logger = logging.getLogger(__name__)

KEPT_S = 1.0
WAIT_S = 1.0
MOST_PRICES = 100
HISTORY_SHOWN = 100
# How long what the broker sends by itself may be silent, and what it does by its own account.
VALUES_EVERY = timedelta(seconds=200)
VALUES_SAY = "TWS renews them every 3 minutes"
RESULTS_EVERY = timedelta(seconds=200)
RESULTS_SAY = "the broker tells them when they change"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When the owner of the connection received some numbers. `late`: they are older than they should be, and why."""

    name: str
    at: datetime
    late: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The broker's answer. Where `problem` says why there is none, nothing else is set but perhaps `status`.

    `is_asked`: there is none yet, it is on its way.

    `orders` are those of the connected account only. `pnl` is None where the broker tells no results. `asked_at` is
    when the answer came; the numbers that the broker sends by itself may be older: see the stamps.
    """

    status: types.BrokerStatus | None = None
    account: types.AccountSummary | None = None
    positions: tuple[types.Position, ...] = ()
    orders: tuple[types.OrderReport, ...] = ()
    pnl: types.ProfitAndLoss | None = None
    problem: str = ""
    is_asked: bool = False
    asked_at: datetime = field(default_factory=system_now)

    @property
    def is_live(self) -> bool:
        """Whether the numbers are the broker's, of this second."""
        return not self.problem and not self.is_asked

    @property
    def account_stamps(self) -> list[Stamp]:
        """Of the account's values and its results, which need not change where nothing is held."""
        values = self.account.received_at if self.account else None
        results = self.pnl.received_at if self.pnl else None
        return [
            *_stamps("values", [values], VALUES_EVERY, VALUES_SAY),
            *_stamps("results", [results], RESULTS_EVERY if self.positions else None, RESULTS_SAY),
        ]

    @property
    def holding_stamps(self) -> list[Stamp]:
        """Of the holdings and of their prices: the oldest of each."""
        return [
            *_stamps("holdings", [one.received_at for one in self.positions] or [self.asked_at], None, ""),
            *_stamps("prices", [one.priced_at for one in self.positions], VALUES_EVERY, VALUES_SAY),
        ]

    @property
    def position_stamps(self) -> list[Stamp]:
        """The same, and of the day's results."""
        results = [one.received_at for one in self.pnl.positions] if self.pnl else []
        return [*self.holding_stamps, *_stamps("day’s results", results, RESULTS_EVERY, RESULTS_SAY)]

    @property
    def order_stamps(self) -> list[Stamp]:
        """Of the working orders, which are asked for anew."""
        return [Stamp("", self.asked_at)]


@dataclass(frozen=True, slots=True)
class Price:
    """The quote of a contract; None where `problem` says why, or where the market has none."""

    quote: types.Quote | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What happened to the connection by its owner's word, newest first; None where `problem` says why."""

    notes: tuple[types.ConnectionNote, ...] | None = None
    problem: str = ""


class Shared(Generic[T]):
    """One question at a time, by a thread of the pool: a broker that is silent holds up no page for longer than WAIT_S.

    Who asks within a second of the last answer is told the same; `silent` makes an answer of why there is none. For any
    thread.
    """

    def __init__(self, ask: Callable[[], T], silent: Callable[[str], T], pool: ThreadPoolExecutor) -> None:
        self._ask = ask
        self._silent = silent
        self._pool = pool
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None
        self._asked_at = self._came_at = self._until = float("-inf")
        self._told = silent("not asked yet")

    def get(self) -> T:
        """The broker's answer, or why there is none. Never raises."""
        told, asked, asked_at = self._question()
        if asked is None:
            return told
        try:
            told = asked.result(max(0.0, asked_at + WAIT_S - time.monotonic()))
        except Exception as error:
            if not (asked.done() and asked.exception() is error):
                return self._silent(f"The broker has not answered for {time.monotonic() - asked_at:.0f} s.")
            # Whatever it is, the next one asks anew.
            logger.exception("the broker's answer cannot be read")
            told = self._silent(f"The broker's answer cannot be read: {type(error).__name__}.")
        with self._lock:
            if self._asked is asked:
                self._told, self._asked, self._until = told, None, time.monotonic() + KEPT_S
        return told  # our own answer, however long this thread was held up since

    def soon(self, within: float) -> T | None:
        """The same where it is known within so many seconds; None where the answer is on its way. Never raises."""
        _, asked, asked_at = self._question()
        if asked is not None:
            wait([asked], within)
            if not asked.done() and time.monotonic() < asked_at + WAIT_S:
                return None
        return self.get()

    def _question(self) -> tuple[T, Future[T] | None, float]:
        """The last answer where it is kept, else also the question that is asked now, and since when."""
        with self._lock:
            self._drop_old()
            if self._asked is None and time.monotonic() >= self._until:
                self._asked_at = time.monotonic()
                self._asked = self._pool.submit(self._timed)
            return self._told, self._asked, self._asked_at

    def _drop_old(self) -> None:
        """An answer that nobody fetched while it was new is none of now: who looks later asks anew."""
        is_old = time.monotonic() > self._came_at + WAIT_S + KEPT_S
        if self._asked is not None and self._asked.done() and is_old:
            self._asked = None

    def _timed(self) -> T:
        try:
            return self._ask()
        finally:
            self._came_at = time.monotonic()


class Numbers(Shared[Told]):
    """The account, its holdings, its working orders and its results."""

    def __init__(self) -> None:
        super().__init__(lambda: _ask(), lambda problem: Told(problem=problem), _pool("numbers"))


class Histories(Shared[History]):
    """What happened to the connection."""

    def __init__(self) -> None:
        super().__init__(lambda: _ask_history(), lambda problem: History(problem=problem), _pool("history"))


class Prices:
    """The quotes of contracts, each asked once for all the pages that show it; those asked longest ago are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="prices")
        self._shared: dict[int, Shared[Price]] = {}

    def get(self, con_id: int) -> Price:
        """The contract's quote, or why there is none. Never raises."""
        with self._lock:
            shared = self._shared.pop(con_id, None) or self._of(con_id)
            self._shared[con_id] = shared
            while len(self._shared) > MOST_PRICES:
                del self._shared[next(iter(self._shared))]
        return shared.get()

    def _of(self, con_id: int) -> Shared[Price]:
        return Shared(lambda: _ask_price(con_id), lambda problem: Price(problem=problem), self._pool)


def _pool(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix=name)


NUMBERS = Numbers()
HISTORY = Histories()
PRICES = Prices()


def _stamps(name: str, times: Iterable[datetime | None], every: timedelta | None, says: str) -> list[Stamp]:
    """The oldest of the times as a stamp; none where nothing has come."""
    known = [at for at in times if at is not None]
    if not known:
        return []
    at = min(known)
    silent = system_now() - at
    is_late = every is not None and silent > every
    return [Stamp(name, at, f"not renewed for {int(silent.total_seconds() // 60)} min: {says}" if is_late else "")]


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


def _ask_history() -> History:
    try:
        with get_broker(own=False) as broker:
            return History(broker.connection_history(types.HistoryQuery(HISTORY_SHOWN)))
    except AutoTraderError as error:
        return History(problem=error.message)


def _ask_price(con_id: int) -> Price:
    try:
        with get_broker(own=False) as broker:
            return Price(broker.quote(types.ConId(con_id)))
    except AutoTraderError as error:
        return Price(problem=error.message)
    finally:
        connection.close()  # an owner in this process may have looked the contract up
