"""Strategies as their pages show them: what each runs, when it is due, what it did last and what it has gained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Prefetch, QuerySet, Subquery

from trading.models import Account, Cycle, Instrument, Strategy, Trade, WorkflowExecution
from trading.models.account import AccountKind
from trading.selectors.pages.cycles import Tally, Work, step_names, works
from trading.selectors.performance import Performance, Question, performance
from trading.selectors.settings import strategy_named

FEW = 4
MOST = 200
SHOWN_EXECUTIONS = 20
SHOWN_TRADES = 50
SHOWN_LEDGERS = 3
NAMED_LEDGERS = 20
PARTS = ("period", "bar")
UNITS = {"S": "second", "D": "day", "W": "week", "M": "month", "Y": "year"}


@dataclass(frozen=True, slots=True)
class Schedule:
    """When cycles begin: `every` None is never; `due` is the next time, None where none will come by itself."""

    every: timedelta | None
    own: bool
    last: datetime | None
    due: datetime | None
    now: datetime

    @property
    def words(self) -> str:
        """How often, in words."""
        if self.every is None:
            return "never by schedule"
        return f"every {_length(self.every)}" + ("" if self.own else ", as the desk is set")

    @property
    def is_due(self) -> bool:
        """Whether the next cycle begins as soon as a worker looks."""
        return self.due is not None and self.due <= self.now


@dataclass(frozen=True, slots=True)
class LastCycle:
    """The newest cycle that it took part in, and what its own part came to."""

    cycle: Cycle
    tally: Tally


@dataclass(frozen=True, slots=True)
class StrategyLine:
    """A strategy in the list: `symbols` are the first few of its `instruments`."""

    strategy: Strategy
    symbols: list[str]
    instruments: int
    schedule: Schedule
    last: LastCycle | None

    @property
    def timeframes(self) -> list[str]:
        """The charts it looks at, in words."""
        return timeframes(self.strategy.parameters)

    @property
    def others(self) -> int:
        """Instruments beside those that are named."""
        return self.instruments - len(self.symbols)


@dataclass(frozen=True, slots=True)
class StrategyPage:
    """All that is set up of a strategy."""

    strategy: Strategy
    symbols: list[str]
    parameters: list[tuple[str, Any]]
    steps: list[tuple[str, list[tuple[str, Any]], int]]

    @property
    def timeframes(self) -> list[str]:
        """The charts it looks at, in words."""
        return timeframes(self.strategy.parameters)

    @property
    def blocked(self) -> str:
        """Why no cycle of it can begin; "" where one can."""
        version = self.strategy.workflow_version
        if version.published_at is None:
            return f"{version} is not published: publish it, or choose a published version."
        return "" if self.symbols else "It has no instruments: add at least one."


@dataclass(frozen=True, slots=True)
class StrategyWork:
    """What a strategy did: its schedule, its last cycle and its newest executions."""

    strategy: Strategy
    schedule: Schedule
    last: LastCycle | None
    work: list[Work]


@dataclass(frozen=True, slots=True)
class StrategyTrades:
    """What a strategy holds and has gained, by our records; `more`: there are more open trades than are shown.

    `results` are of the newest ledgers; `others` names further ones, `uncounted` how many there are beside those.
    """

    strategy: Strategy
    open: list[Trade]
    more: bool
    results: list[Performance]
    others: list[str]
    uncounted: int


@dataclass(frozen=True, slots=True)
class StrategyLines:
    """A page of the list, by name: `first` and `last` number its lines among all `count`, from 1 on."""

    lines: list[StrategyLine]
    count: int
    page: int

    @property
    def first(self) -> int:
        """The number of the first line."""
        return (self.page - 1) * MOST + 1

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + len(self.lines) - 1

    @property
    def before(self) -> int | None:
        """The page before, if there is one."""
        return self.page - 1 if self.page > 1 else None

    @property
    def after(self) -> int | None:
        """The page after, if there is one."""
        return self.page + 1 if self.last < self.count else None


def strategies_listed(now: datetime, page: int = 1) -> StrategyLines:
    """A page of all strategies by name, MOST on each; one beyond the last is the last."""
    count = Strategy.objects.count()
    page = min(max(page, 1), max(-(-count // MOST), 1))
    return StrategyLines(strategies_page(now, page), count, page)


def strategies_page(now: datetime, page: int = 1) -> list[StrategyLine]:
    """The strategies of a page, each with its schedule and its last cycle, in five queries."""
    begin = (page - 1) * MOST
    rows = list(_with_times().annotate(instrument_count=Count("instruments")).order_by("name")[begin : begin + MOST])
    last = _last_cycles(rows)
    return [
        StrategyLine(
            strategy=row,
            symbols=[instrument.symbol for instrument in row.few],
            instruments=row.instrument_count,
            schedule=schedule_of(row, row.scheduled_at, now),
            last=last.get(row.pk),
        )
        for row in rows
    ]


def strategy_page(pk: int) -> StrategyPage:
    """What is set up of one strategy. Raises StrategyUnknown."""
    row = strategy_named(pk)
    told = row.workflow_version.steps if isinstance(row.workflow_version.steps, list) else []
    return StrategyPage(
        strategy=row,
        symbols=[instrument.symbol for instrument in row.instruments.all()],
        parameters=_others(row.parameters),
        steps=[_step(step) for step in told if isinstance(step, dict)],
    )


def strategy_work(pk: int, now: datetime) -> StrategyWork:
    """What one strategy did, in a fixed number of queries. Raises StrategyUnknown."""
    strategy = strategy_named(pk)
    rows = WorkflowExecution.objects.filter(strategy=strategy).order_by("-id")
    near = rows.select_related("strategy", "instrument", "decision", "cycle").prefetch_related("workflow_version")
    scheduled = _scheduled(strategy.pk).values_list("cycle__created_at", flat=True).first()
    found = list(near[:SHOWN_EXECUTIONS])
    last = None
    if found:
        tallies = _tallies({found[0].cycle_id}, {strategy.pk})
        last = LastCycle(found[0].cycle, tallies[found[0].cycle_id, strategy.pk])
    return StrategyWork(strategy, schedule_of(strategy, scheduled, now), last, works(found))


def strategy_trades(pk: int) -> StrategyTrades:
    """What one strategy holds and has gained, with results of its newest ledgers. Raises StrategyUnknown."""
    strategy = strategy_named(pk)
    rows = Trade.objects.filter(strategy=strategy, state="OPEN").exclude(account__kind=AccountKind.REPLAY)
    found = list(rows.select_related("instrument", "account", "decision").order_by("-id")[: SHOWN_TRADES + 1])
    traded = Trade.objects.filter(account=OuterRef("pk"), strategy=strategy)
    ledgers = Account.objects.exclude(kind=AccountKind.REPLAY).filter(Exists(traded)).order_by("-created_at", "id")
    asked = ((strategy.pk, strategy.name),)
    results = [performance(Question(account, strategies=asked)) for account in ledgers[:SHOWN_LEDGERS]]
    others = list(ledgers[SHOWN_LEDGERS:].values_list("pk", flat=True))
    named, uncounted = others[:NAMED_LEDGERS], max(len(others) - NAMED_LEDGERS, 0)
    return StrategyTrades(strategy, found[:SHOWN_TRADES], len(found) > SHOWN_TRADES, results, named, uncounted)


def schedule_of(strategy: Strategy, last: datetime | None, now: datetime) -> Schedule:
    """When it is due: an interval after its last scheduled cycle, at once where there was none, never while off."""
    own = strategy.interval_seconds is not None
    seconds = strategy.interval_seconds if own else settings.AUTOTRADER_CYCLE_INTERVAL_SECONDS
    every = timedelta(seconds=seconds) if seconds else None
    due = None
    if strategy.enabled and every is not None:
        due = now if last is None else last + every
    return Schedule(every, own, last, due, now)


def timeframes(parameters: Any) -> list[str]:
    """The charts that `period_1`, `bar_1`, `period_2`, … name, such as "1 day bars over 2 years"."""
    told = parameters if isinstance(parameters, dict) else {}
    numbers = sorted({name.rpartition("_")[2] for name in told if _is_timeframe(str(name))}, key=int)
    found = []
    for number in numbers:
        size, period = told.get(f"bar_{number}"), told.get(f"period_{number}")
        bars = f"{size} bars" if size else "bars of the workflow's size"
        found.append(bars + (f" over {_period(str(period))}" if period else ""))
    return found


def _is_timeframe(name: str) -> bool:
    part, _, number = name.rpartition("_")
    return part in PARTS and number.isascii() and number.isdigit() and len(number) < 4


def _period(text: str) -> str:
    """The broker's "2 Y" as "2 years"; what is not written so stays."""
    count, _, unit = text.partition(" ")
    word = UNITS.get(unit)
    return text if word is None or not count.isdigit() else f"{count} {word}{'' if count == '1' else 's'}"


def _length(every: timedelta) -> str:
    seconds = round(every.total_seconds())
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return word if count == 1 else f"{count} {word}s"
    return f"{seconds:,} seconds"


def _others(parameters: Any) -> list[tuple[str, Any]]:
    """The parameters that name no chart."""
    told = parameters if isinstance(parameters, dict) else {}
    return [(str(name), value) for name, value in told.items() if not _is_timeframe(str(name))]


def _step(step: dict[str, Any]) -> tuple[str, list[tuple[str, Any]], int]:
    """A step's name, what it is told, and the seconds to wait before it."""
    told, delay = step.get("parameters"), step.get("delay_s")
    name = step_names([step])[0]
    return name, list(told.items()) if isinstance(told, dict) else [], delay if isinstance(delay, int) else 0


def _scheduled(strategy: Any) -> QuerySet[WorkflowExecution]:
    """Its executions of scheduled cycles, the newest first."""
    return WorkflowExecution.objects.filter(strategy=strategy, cycle__trigger="schedule").order_by("-id")


def _with_times() -> QuerySet[Any]:
    """Strategies with what a list shows, when a schedule last started one, and their newest cycle's id."""
    few = Prefetch("instruments", Instrument.objects.order_by("symbol", "id")[:FEW], to_attr="few")
    newest = WorkflowExecution.objects.filter(strategy=OuterRef("pk")).order_by("-id")
    rows = Strategy.objects.select_related("workflow_version__workflow", "risk_profile").prefetch_related(few)
    return rows.annotate(
        scheduled_at=Subquery(_scheduled(OuterRef("pk")).values("cycle__created_at")[:1]),
        newest_cycle=Subquery(newest.values("cycle_id")[:1]),
    )


def _last_cycles(rows: Collection[Any]) -> dict[int, LastCycle]:
    ids = {row.newest_cycle for row in rows if row.newest_cycle is not None}
    cycles = Cycle.objects.in_bulk(ids)
    tallies = _tallies(ids, {row.pk for row in rows})
    return {
        row.pk: LastCycle(cycles[row.newest_cycle], tallies[row.newest_cycle, row.pk])
        for row in rows
        if row.newest_cycle in cycles
    }


def _tallies(cycles: Collection[int], strategies: Collection[int]) -> defaultdict[tuple[int, int], Tally]:
    found: defaultdict[tuple[int, int], Tally] = defaultdict(Tally)
    rows = WorkflowExecution.objects.filter(cycle_id__in=cycles, strategy_id__in=strategies)
    counted = rows.values_list("cycle_id", "strategy_id", "state", "outcome").annotate(count=Count("id")).order_by()
    for cycle, strategy, state, outcome, count in counted:
        found[cycle, strategy].add(state, outcome, count)
    return found
