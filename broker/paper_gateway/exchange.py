"""The simulated exchange: joins prices, orders, ledger and store, and answers everything a wire session may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from .account import account_values, position
from .amendments import Amendments
from .book import OrderBook
from .clock import RunningClock, SetClock, Told, as_utc
from .engine import Booked, Engine
from .feeds import Feeds
from .history import History
from .identity import RUNNING, SET, clock_facts, settle_account, settle_clock, settle_seed
from .ids import OrderIds
from .intake import Intake
from .keeper import DayStart, Keeper
from .ledger import ZERO, Ledger
from .life import Lives
from .manual import ManualOrders
from .margin import MarginDesk, Valuation
from .market import MarketData
from .playback import Playback
from .player import Player
from .prices.calendar import eastern_day, instant, midnight
from .prices.csv_replay import CsvReplay
from .prices.seeded import SeededMarket
from .prices.shapes import HoursMode
from .pricing import Pricing
from .short_sales import ShortSales
from .store import Store
from .tariff import Tariff
from .types import (
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

COMPLETED_SHOWN_FOR = timedelta(days=7)
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
        self._keeps_hours = hours == "exchange" and self._replay is None
        self._seed = seed
        self._listeners: list[Listener] = []
        self._events: list[EngineEvent] = []
        self._commits_itself = True
        self._uncommitted = False
        self._told = Told(self._clock)
        self._join(cash)
        self._join_orders(cash)
        with self._step():
            self._playback.expire(self.now())  # what ended while the gateway was down
        if set_clock is not None and as_utc(set_clock) > self.now():
            self.advance(set_clock)

    def _join(self, cash: Decimal) -> None:
        """Build what holds the account: market, book, ledger, engine."""
        self._ledger = Ledger(cash, self.base_currency)
        self._market = Pricing(self._source, self._universe, self.now, self.base_currency, self._cost_of)
        self._valuation = Valuation(self._ledger, self._market)
        self._book = OrderBook(self._store.order, self._store.order_by_key)
        tariff = Tariff(self._market, self.base_currency)
        self._engine = Engine(self.account, self._book, self._ledger, tariff, self._emit)
        self._margin = MarginDesk(self._valuation, self._book, tariff)
        self._amendments = Amendments(self._engine, self._market)

    def _join_orders(self, cash: Decimal) -> None:
        """Build what takes and plays orders, and give all parts what the store holds."""
        self._ids = OrderIds(self._store.clients())
        self._shorts = ShortSales(self._market, self._ledger)
        lives = Lives(self._market, keeps_hours=self._keeps_hours, halted=self.feeds.halted)
        self._player = Player(self._engine, self._source, self._market, lives.may_trade)
        self._intake = Intake(
            engine=self._engine,
            ids=self._ids,
            market=self._market,
            margin=self._margin,
            lives=lives,
            shorts=self._shorts,
            emit=self._emit,
        )
        day_start = DayStart(cash, eastern_day(self.now()))
        self._day_start = day_start
        self._keeper = Keeper(self._store, self._engine, self._ids, self._player, self._shorts, day_start)
        self._keeper.load(self._midnight())
        for order in self._book.working():
            self._margin.reserve(order)
        self._manual = ManualOrders(self._engine, self._intake, self._keeper, self._emit)
        self._playback = Playback(
            clock=self._clock,
            engine=self._engine,
            player=self._player,
            market=self._market,
            valuation=self._valuation,
            source=self._source,
            ticking=None if self._replay else self._seeded,
            keeper=self._keeper,
            day_start=day_start,
            emit=self._emit,
        )
        self._save()

    def leave_commits(self) -> None:
        self._commits_itself = False

    def commit(self) -> None:
        if self._uncommitted:
            self._save()
            self._uncommitted = False

    def close(self) -> None:
        """Let go of the store file; a clock that went its own way goes on from here."""
        self._save(closing=True)
        self._store.close()

    # What time it is, who listens, which ids are free

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def next_order_id(self, client_id: int) -> int:
        return self._ids.next(client_id)

    def note_order_id(self, client_id: int, order_id: int) -> None:
        self._ids.note(client_id, order_id)
        if self._ids.changed:
            self._changed()

    # Contracts and prices

    def find(self, wanted: ContractFilter) -> Sequence[SymbolSpec]:
        return self._universe.find(wanted, eastern_day(self.now()), self._market.price)

    def search(self, pattern: str) -> Sequence[SymbolSpec]:
        return self._universe.search(pattern)

    def listed(self) -> Sequence[SymbolSpec]:
        return self._universe.all()

    def rate(self, currency: str) -> Decimal:
        return self._market.rate(currency)

    def shortable(self, con_id: int) -> int:
        return self._shorts.shares(con_id)

    def set_shortable(self, con_id: int, shares: int) -> None:
        """From now on so many shares can be borrowed; short sales that were held for want of them come alive."""
        with self._step():
            self._playback.catch_up()
            self._market.spec(con_id)
            self._shorts.given[con_id] = shares
            self._playback.meet_quote(self._intake.shares_came(con_id))

    # Orders

    def submit(self, terms: OrderTerms) -> None:
        with self._step():
            self._playback.catch_up()
            self._playback.meet_quote(self._intake.submit(terms, self.now()))

    def place_manual(self, terms: OrderTerms) -> None:
        """Enter an order as a person at the platform does: it belongs to client 0 and has no order id until bound."""
        with self._step():
            self._playback.catch_up()
            self._playback.meet_quote(self._manual.place(terms, self.now()))

    def bind_manual(self, *, now: bool, later: bool | None = None) -> None:
        """Give client 0 the manual orders there are (`now`), and those to come (`later`; None = as before)."""
        with self._step():
            if later is not None:
                self._manual.binds_new = later
            if now:
                self._manual.bind()

    def preview(self, terms: OrderTerms) -> Preview:
        preview = self._intake.preview(terms, self.now())
        self._changed()
        return preview

    def cancel(self, client_id: int, order_id: int) -> None:
        with self._step():
            self._playback.catch_up()
            refusal = self._intake.cancel(client_id, order_id, self.now())
            if refusal is not None:
                self._emit(OrderRefused(client_id, order_id, *refusal))

    def cancel_all(self) -> None:
        with self._step():
            self._playback.catch_up()
            self._intake.cancel_all(self.now())

    def open_orders(self, client_id: int | None) -> Sequence[OrderView]:
        return [order.view() for order in self._book.working() if client_id in (None, order.terms.client_id)]

    def has_open_orders(self) -> bool:
        """Whether any order works, without listing them."""
        return self._book.has_working()

    def completed_orders(self) -> Sequence[OrderView]:
        """Filled and cancelled orders of the last seven days, oldest first."""
        self.commit()  # they are read from the store
        return [order.view() for order in self._store.ended_orders(self.now() - COMPLETED_SHOWN_FOR)]

    def executions(self) -> Sequence[tuple[Execution, Commission]]:
        return list(self._todays())

    def all_orders(self) -> Sequence[OrderView]:
        """Parked and working orders, and those that ended within seven days, refused ones too."""
        return [*self.completed_orders(), *(order.view() for order in self._book.live())]

    # What goes wrong on purpose

    def correct_execution(self, exec_id: str, *, price: Decimal | None = None, shares: Decimal | None = None) -> str:
        """Correct one of today's executions; the id of the correction. Raises KeyError for any other."""
        with self._step():
            return self._amendments.correct(exec_id, price=price, shares=shares).exec_id

    def bust_execution(self, exec_id: str) -> str:
        """Take one of today's executions back: told as a correction to no shares. Raises KeyError for any other."""
        return self.correct_execution(exec_id, shares=ZERO)

    def double_order(self, terms: OrderTerms) -> None:
        """Take terms as one more order even where their id has a live one, as if two hosts had each taken them."""
        with self._step():
            self._playback.catch_up()
            self._playback.meet_quote(self._intake.enter(terms, self.now()))

    def split_fills(self, parts: int) -> None:
        """From now on every fill comes as that many executions; 1 = in one piece."""
        self._player.fill_parts = parts

    def roll_back_order_ids(self, client_id: int, to: int) -> None:
        """Let a client's order ids begin again at `to`: new orders get ids that old ones have too."""
        with self._step():
            self._ids.roll_back(client_id, to)

    # The account

    def positions(self) -> Sequence[PositionView]:
        """What is held now, in the order of contract ids."""
        realized = self._realized_today()
        specs = [self._market.spec(con_id) for con_id in sorted(self._ledger.holdings)]
        return [position(self._valuation, self.account, spec, realized.get(spec.con_id, ZERO)) for spec in specs]

    def account_values(self) -> Sequence[AccountValue]:
        self._playback.roll_day()
        realized: dict[str, Decimal] = {}
        for _, commission in self._todays():
            amount = commission.realized_pnl or ZERO
            realized[commission.currency] = realized.get(commission.currency, ZERO) + amount
        return account_values(
            self._valuation,
            realized_today=realized,
            previous_equity=self._day_start.equity,
            clock=SET if self._clock.is_own else RUNNING,
        )

    # Time

    def advance(self, to: datetime) -> None:
        clock = self._clock
        if not isinstance(clock, SetClock):
            raise ValueError("a running clock is not advanced")
        until = as_utc(to)
        if until < clock.now():
            clock.move(until)
        with self._step():
            self._playback.advance(clock, until)

    def tick(self) -> None:
        if self.clock_is_set:
            raise ValueError("a set clock does not tick")
        with self._step():
            self._playback.catch_up()

    def clock_speed(self, speed: float) -> None:
        """A running clock goes this fast from now on, in market seconds a second; raises ValueError."""
        clock = self._running_clock()
        with self._step():
            self._playback.catch_up()
            clock.set_speed(speed)
            self._tell_time()

    def clock_jump(self, to: datetime) -> None:
        """Move a running clock forward, playing what happens between; raises ValueError."""
        clock, until = self._running_clock(), as_utc(to)
        if until < clock.now():
            clock.jump(until)
        while (now := clock.now()) < until:
            with self._step():
                clock.jump(min(until, now + LONGEST_LEAP))
                self._tell_time()
                self._playback.catch_up()

    def _running_clock(self) -> RunningClock:
        if not isinstance(self._clock, RunningClock):
            raise ValueError("a set clock has no speed and does not jump; advance it")
        return self._clock

    # Inner workings

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Commit what a step did, then tell the listeners: nothing that was told can be forgotten."""
        yield
        self._changed()
        events, self._events[:] = list(self._events), []
        for event in events:
            for listener in self._listeners:
                listener(event)

    def _changed(self) -> None:
        self._uncommitted = True
        if self._commits_itself:
            self.commit()

    def _save(self, *, closing: bool = False) -> None:
        kind = SET if self.clock_is_set else RUNNING
        identity = {"account": self.account, "seed": str(self._seed), "clock_kind": kind}
        self._keeper.save({**identity, **clock_facts(self._clock, closing=closing)})

    def _emit(self, event: EngineEvent) -> None:
        self._tell_time()
        self._events.append(event)

    def _tell_time(self) -> None:
        if (news := self._told.news()) is not None:
            self._events.append(ClockMoved(news))

    def _cost_of(self, con_id: int) -> Decimal:
        """What a contract without any price yet is worth: what was paid for it."""
        holding = self._ledger.holdings.get(con_id)
        return abs(holding.average_cost) / self._market.spec(con_id).multiplier if holding else ZERO

    def _midnight(self) -> datetime:
        """The beginning of today in US/Eastern."""
        return instant(midnight(eastern_day(self.now())))

    def _todays(self) -> Iterator[Booked]:
        """Executions of today in US/Eastern, oldest first."""
        start = self._midnight()
        return (booked for booked in self._engine.executions.values() if booked.execution.time >= start)

    def _realized_today(self) -> dict[int, Decimal]:
        totals: dict[int, Decimal] = {}
        for execution, commission in self._todays():
            totals[execution.con_id] = totals.get(execution.con_id, ZERO) + (commission.realized_pnl or ZERO)
        return totals
