"""The simulated exchange: joins prices, orders, ledger and store, and answers everything a wire session may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from .account import Valuation, account_values
from .clock import RunningClock, SetClock, as_utc
from .engine import Engine
from .feeds import Feeds
from .history import History
from .identity import RUNNING, SET, clock_facts, settle_account, settle_clock, settle_seed
from .ids import OrderIds
from .intake import Intake
from .keeper import DayStart, Keeper
from .ledger import Ledger
from .market import MarketData
from .orders import OrderBook
from .player import Player
from .prices.calendar import eastern_day, instant, midnight
from .prices.csv_replay import CsvReplay
from .prices.seeded import SeededMarket
from .prices.shapes import HoursMode
from .quotes import as_price, is_price
from .store import Store
from .timeline import Moment, timeline
from .types import (
    AccountChanged,
    AccountValue,
    ClockMoved,
    Commission,
    ContractFilter,
    EngineEvent,
    Execution,
    Listener,
    OrderRefused,
    OrderTerms,
    OrderView,
    PositionView,
    Preview,
    SymbolSpec,
)
from .universe import Universe, seeded_start

ZERO = Decimal(0)
COMPLETED_SHOWN_FOR = timedelta(days=7)
LONGEST_PAUSE = 30  # days between two sessions
LONGEST_LEAP = timedelta(hours=6)


class PaperExchange(MarketData):
    """One account on one market: replayed files where a data folder is given, else seeded prices."""

    base_currency = "USD"

    def __init__(
        self,
        *,
        data_folder: Path | None,
        store_path: Path | None,
        account: str | None = None,
        seed: int = 1,
        set_clock: datetime | None = None,
        cash: Decimal = Decimal(1_000_000),
        system_clock: Callable[[], datetime],
        start: datetime | None = None,
        speed: float | None = None,
        hours: HoursMode = "always",
        delayed: Sequence[str] = (),
    ) -> None:
        """`cash` is what a new account starts with; `start` and `speed` make a running clock go its own way.

        Raises PriceDataError or StoreMismatch.
        """
        self._replay = CsvReplay(data_folder) if data_folder is not None else None
        self._seeded = SeededMarket(seed, seeded_start, hours)
        self._source = self._replay or self._seeded
        self._universe = Universe(self._replay.symbols if self._replay else ())
        self._store = Store(store_path)
        self.account = settle_account(self._store, account)
        if self._replay is None:
            settle_seed(self._store, seed)
        self._clock = settle_clock(self._store, set_clock, system_clock, start=start, speed=speed)
        self.clock_is_set = self._clock.is_set
        self.history = History(self._source, self.now, live=not self.clock_is_set)
        self.feeds = Feeds(delayed)
        self._seed = seed
        self._listeners: list[Listener] = []
        self._events: list[EngineEvent] = []
        self._last_prices: dict[int, Decimal] = {}
        self._told = self.now()
        self._join(cash)
        self._beat_at = self.now()
        with self._step():
            self._expire(self._beat_at)  # what ended while the gateway was down
        if set_clock is not None and as_utc(set_clock) > self.now():
            self.advance(set_clock)

    def _join(self, cash: Decimal) -> None:
        """Build the parts and give them what the store holds."""
        self._book, self._ledger = OrderBook(), Ledger(cash)
        self._engine = Engine(self.account, self._book, self._ledger, self._events_append)
        self._ids = OrderIds(self._store.clients())
        self._valuation = Valuation(self._ledger, self._book, self._price)
        self._player = Player(self._engine, self._source, self._spec)
        self._intake = Intake(
            engine=self._engine,
            ids=self._ids,
            valuation=self._valuation,
            spec_of=self._universe.by_con_id,
            has_price=self._has_price,
            expiry_of=self._expiry,
            emit=self._events_append,
        )
        self._day_start = DayStart(cash, eastern_day(self.now()))
        self._keeper = Keeper(self._store, self._engine, self._ids, self._player, self._day_start)
        self._keeper.load()
        self._save()

    def close(self) -> None:
        """Let go of the store file; a clock that went its own way goes on from here."""
        self._save()
        self._store.close()

    # What time it is, who listens, which ids are free

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def next_order_id(self, client_id: int) -> int:
        return self._ids.next(client_id)

    def note_order_id(self, client_id: int, order_id: int) -> None:
        self._ids.note(client_id, order_id)
        if self._ids.changed:
            self._save()

    # Contracts and prices

    def find(self, wanted: ContractFilter) -> Sequence[SymbolSpec]:
        return self._universe.find(wanted, eastern_day(self.now()), self._price)

    def search(self, pattern: str) -> Sequence[SymbolSpec]:
        return self._universe.search(pattern)

    # Orders

    def submit(self, terms: OrderTerms) -> None:
        with self._step():
            self._catch_up()
            ready = self._intake.submit(terms, self.now())
            if not self.clock_is_set and self._replay is None:
                self._player.meet_quote(ready, self.now(), self._seeded)

    def preview(self, terms: OrderTerms) -> Preview:
        preview = self._intake.preview(terms, self.now())
        self._save()
        return preview

    def cancel(self, client_id: int, order_id: int) -> None:
        with self._step():
            self._catch_up()
            refusal = self._intake.cancel(client_id, order_id, self.now())
            if refusal is not None:
                self._events_append(OrderRefused(client_id, order_id, *refusal))

    def cancel_all(self) -> None:
        with self._step():
            self._catch_up()
            self._intake.cancel_all(self.now())

    def open_orders(self, client_id: int | None) -> Sequence[OrderView]:
        return [order.view() for order in self._book.working() if client_id in (None, order.terms.client_id)]

    def completed_orders(self) -> Sequence[OrderView]:
        """Filled and cancelled orders of the last seven days, oldest first."""
        since = self.now() - COMPLETED_SHOWN_FOR
        ended = [order for order in self._book.all() if order.completed_at and order.completed_at >= since]
        ended.sort(key=lambda order: (order.completed_at, order.perm_id))
        return [order.view() for order in ended if order.status != "Inactive"]

    def executions(self) -> Sequence[tuple[Execution, Commission]]:
        return list(self._todays())[::-1]

    # The account

    def positions(self) -> Sequence[PositionView]:
        """What is held now, in the order of contract ids."""
        realized = self._realized_today()
        return [
            self._valuation.position(self.account, con_id, self._spec(con_id).symbol, realized.get(con_id, ZERO))
            for con_id in sorted(self._ledger.holdings)
        ]

    def account_values(self) -> Sequence[AccountValue]:
        self._roll_day()
        return account_values(
            cash=self._ledger.cash,
            valuation=self._valuation,
            realized_today=sum(self._realized_today().values(), ZERO),
            previous_equity=self._day_start.equity,
            clock=SET if self.clock_is_set else RUNNING,
        )

    # Time

    def advance(self, to: datetime) -> None:
        clock = self._clock
        if not isinstance(clock, SetClock):
            raise ValueError("a running clock is not advanced")
        now, until = clock.now(), as_utc(to)
        if until < now:
            clock.move(until)
        with self._step():
            for moment in timeline(self._player, self._book, self._source, self._traded_symbols(), now, until):
                clock.move(instant(moment.at))
                self._play(moment)
            clock.move(until)
            self._roll_day()
            self._events_append(AccountChanged(self.account, tuple(sorted(self._ledger.holdings))))

    def tick(self) -> None:
        if self.clock_is_set:
            raise ValueError("a set clock does not tick")
        with self._step():
            self._catch_up()

    def clock_speed(self, speed: float) -> None:
        """A running clock goes this fast from now on, in market seconds a second; raises ValueError."""
        clock = self._running_clock()
        with self._step():
            self._catch_up()
            clock.set_speed(speed)

    def clock_jump(self, to: datetime) -> None:
        """Move a running clock forward, playing what happens between; raises ValueError."""
        clock, until = self._running_clock(), as_utc(to)
        if until < clock.now():
            clock.jump(until)
        while (now := clock.now()) < until:
            with self._step():
                clock.jump(min(until, now + LONGEST_LEAP))
                self._catch_up()

    def _running_clock(self) -> RunningClock:
        if not isinstance(self._clock, RunningClock):
            raise ValueError("a set clock has no speed and does not jump; advance it")
        return self._clock

    def _catch_up(self) -> None:
        """Running clock: play what happened since the last beat, ending orders when their session ends."""
        now = self.now()
        if self.clock_is_set or now < self._beat_at:
            return
        self._roll_day()
        if self._replay is not None:
            for moment in timeline(self._player, self._book, self._source, self._traded_symbols(), self._beat_at, now):
                self._play(moment)
        else:
            self._beat_seeded(now)
        self._expire(now)
        self._beat_at = now

    def _beat_seeded(self, now: datetime) -> None:
        """Walk the seeded path, stopping where a session ends, so that no order outlives its own."""
        ends = {order.expires_at for order in self._book.live() if order.expires_at is not None}
        since = self._beat_at
        for until in sorted(end for end in {*ends, now} if since < end <= now):
            self._expire(since)
            self._player.beat(since, until, self._seeded)
            since = until

    def _expire(self, now: datetime) -> None:
        for order in self._book.live():
            if order.expires_at is not None and order.expires_at <= now:
                self._player.expire(order, now)

    def _play(self, moment: Moment) -> None:
        if moment.split is not None:
            self._split(moment)
        elif moment.bar is not None:
            self._player.play_corner(moment.corner, moment.bar, moment.at)
        elif moment.order is not None:
            self._player.expire(moment.order, instant(moment.at))
        else:
            self._roll_day()

    def _split(self, moment: Moment) -> None:
        """Multiply the holding, pay out fractions, and cancel the orders whose prices mean nothing any more."""
        split, at = moment.split, instant(moment.at)
        if split is None:
            return
        con_id = next(spec.con_id for spec in self._universe.all() if spec.symbol == split.symbol)
        if con_id in self._ledger.holdings:
            self._ledger.split(con_id, split.ratio, self._price(con_id))
            self._keeper.holdings_changed = True
            self._events_append(AccountChanged(self.account, (con_id,)))
        for order in self._book.live():
            if order.is_live and order.terms.con_id == con_id:
                self._engine.cancel(order, at, f"{split.symbol} splits {split.ratio} for 1", "Cancelled by system")

    def _roll_day(self) -> None:
        """At the first look after midnight in US/Eastern, keep the equity with which the new day began."""
        day = eastern_day(self.now())
        if day <= self._day_start.day:
            return
        start = instant(midnight(day))
        worth = (h.quantity * self._price(con_id, start) for con_id, h in self._ledger.holdings.items())
        self._day_start.equity, self._day_start.day = self._ledger.cash + sum(worth, ZERO), day

    # Inner workings

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Commit what a step did, then tell the listeners: nothing that was told can be forgotten."""
        yield
        self._save()
        events, self._events[:] = list(self._events), []
        for event in events:
            for listener in self._listeners:
                listener(event)

    def _save(self) -> None:
        kind = SET if self.clock_is_set else RUNNING
        identity = {"account": self.account, "seed": str(self._seed), "clock_kind": kind}
        self._keeper.save({**identity, **clock_facts(self._clock)})

    def _events_append(self, event: EngineEvent) -> None:
        now = self.now()
        if self.clock_is_set and now != self._told:
            self._told = now
            self._events.append(ClockMoved(now))
        self._events.append(event)

    def _traded_symbols(self) -> set[str]:
        ids = {*self._ledger.holdings, *(order.terms.con_id for order in self._book.live())}
        return {self._spec(con_id).symbol for con_id in ids}

    def _has_price(self, con_id: int) -> bool:
        snapshot = self._source.snapshot(self._spec(con_id).symbol, self.now())
        return snapshot is not None and is_price(snapshot.last)

    def _price(self, con_id: int, at: datetime | None = None) -> Decimal:
        """The last price that can be one; where the newest bar holds none, the one known before it."""
        spec = self._spec(con_id)
        snapshot = self._source.snapshot(spec.symbol, at or self.now())
        if snapshot is not None and is_price(snapshot.last):
            self._last_prices[con_id] = as_price(snapshot.last, spec.min_tick)
        holding = self._ledger.holdings.get(con_id)
        return self._last_prices.get(con_id, abs(holding.average_cost) if holding else ZERO)

    def _expiry(self, con_id: int, now: datetime) -> datetime:
        """The close of the session that `now` lies in, or of the next one."""
        symbol, today = self._spec(con_id).symbol, eastern_day(now)
        for ahead in range(LONGEST_PAUSE):
            close = self._source.session(symbol, today + timedelta(days=ahead)).close
            if close is not None and close > now:
                return close
        return now + timedelta(days=LONGEST_PAUSE)

    def _todays(self) -> Iterator[tuple[Execution, Commission]]:
        """Executions of today in US/Eastern, newest first."""
        start = instant(midnight(eastern_day(self.now())))
        for execution, commission in reversed(self._engine.executions):
            if execution.time < start:
                return
            yield execution, commission

    def _realized_today(self) -> dict[int, Decimal]:
        totals: dict[int, Decimal] = {}
        for execution, commission in self._todays():
            totals[execution.con_id] = totals.get(execution.con_id, ZERO) + (commission.realized_pnl or ZERO)
        return totals
