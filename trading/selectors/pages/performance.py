"""How an account has done, as a page shows it: figures with the reasons of missing ones, curves, groups of trades."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from autotrader.core.formats import number
from trading.models import Account, Strategy, Trade
from trading.selectors.buy_and_hold import BuyAndHold, buy_and_hold
from trading.selectors.equity import last_snapshot
from trading.selectors.equity_curve import EquityPoint
from trading.selectors.exchange_days import account_zone, day_beginning, exchange_day
from trading.selectors.performance import Performance, Question, performance
from trading.selectors.pnl import Timeframe, first_day, market_time
from trading.selectors.remembered import Shelf, trades_mark
from trading.selectors.trade_figures import ClosedTrade, TradeFigures, trade_figures

CHUNK = 2000
BY_HAND = "a person or a program"
NO_STRATEGY = "no strategy"
GAPS_UP, MARKS_ALONG = 5, 5
WHOLE = 100  # the picture in its own units, in both directions: per cent of it
ZERO, HUNDRED = Decimal(0), Decimal(100)
Kind = Literal["percent", "gain", "money", "ratio"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure; `reason` says in words why there is none."""

    name: str
    kind: Kind
    value: Decimal | None
    note: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A number or a time beside an axis, in per cent from the top or from the left."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A curve in per cent of the picture; `line` and `area` are the points of a polyline and of a polygon, `beside`
    those of a second line in the same scale."""

    line: str
    area: str
    up: list[Mark]
    along: list[Mark]
    words: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The closed trades of one strategy, or of one decider."""

    name: str
    figures: TradeFigures


@dataclass(frozen=True, slots=True)
class PerformancePage:
    """`curve_reason` says why there is no curve. A group of trades is named by who made or decided them."""

    figures: Performance
    tiles: list[Tile]
    equity: Chart | None
    held: BuyAndHold
    drawdown: Chart | None
    curve_reason: str
    by_strategy: list[Group]
    by_decider: list[Group]


_groups: Shelf[tuple[list[Group], list[Group]]] = Shelf(64)


def performance_page(account: Account, timeframe: Timeframe, strategy: str, now: datetime) -> PerformancePage:
    """The account's figures of this week, month, year or of all time, or of one strategy in it; `now` by the system."""
    zone = account_zone(account.pk)
    first = first_day(timeframe, exchange_day(market_time(last_snapshot(account.pk), now), zone))
    strategies = tuple(Strategy.objects.filter(name=strategy).values_list("pk", "name")) if strategy else None
    figures = performance(Question(account, first, None, strategies))
    since = None if first is None else day_beginning(first, zone)
    key = (account.pk, account.base_currency, since, strategy)
    by_strategy, by_decider = _groups.remembered(key, trades_mark(), lambda: _grouped(account, since, strategy))
    points = figures.equity.points
    reasons = {one.field: one.reason for one in figures.missing}
    reason = reasons.get("equity.time_weighted_return") or reasons.get("equity.change", "")
    held = buy_and_hold(account, strategy, points)
    return PerformancePage(
        figures=figures,
        tiles=_tiles(figures, reasons),
        equity=_equity_chart(points, figures, held),
        held=held,
        drawdown=_drawdown_chart(points),
        curve_reason=reason,
        by_strategy=by_strategy,
        by_decider=by_decider,
    )


def _tiles(figures: Performance, reasons: dict[str, str]) -> list[Tile]:
    equity, trades, depth = figures.equity, figures.trades, figures.equity.drawdown
    in_r = "" if trades.expectancy_r is None else f"{number(trades.expectancy_r, 2)} R over {trades.r_count} trades"
    won = f"{trades.wins} won, {trades.losses} lost, {trades.even} even"
    pending = f"{figures.fees_pending} commissions still to come" if figures.fees_pending else "commissions"
    told: list[tuple[str, str, Kind, Decimal | None, str]] = [
        ("Time-weighted return", "equity.time_weighted_return", "percent", equity.time_weighted_return, "of equity"),
        ("Greatest drawdown", "equity.drawdown", "percent", depth.greatest if depth else None, "from the peak before"),
        ("Drawdown now", "equity.drawdown", "percent", depth.current if depth else None, "from the peak before"),
        ("Gained", "equity.change", "gain", equity.change, "equity, without money that came or went"),
        ("Closed trades", "trades.net", "gain", trades.net, f"net of {trades.count} trades"),
        ("Expectancy", "trades.expectancy", "gain", trades.expectancy, in_r or "a trade"),
        ("Win rate", "trades.win_rate", "percent", trades.win_rate, won),
        ("Profit factor", "trades.profit_factor", "ratio", trades.profit_factor, "gross profit over gross loss"),
        ("Fees", "trades.fees", "money", trades.fees, pending),
        ("In the market", "exposure.fraction", "percent", figures.exposure.fraction, "of the time, nights included"),
    ]
    return [
        Tile(name, kind, value, note, reasons.get(field) or "not known" if value is None else "")
        for name, field, kind, value, note in told
    ]


def _grouped(account: Account, since: datetime | None, strategy: str) -> tuple[list[Group], list[Group]]:
    """The closed trades by strategy and by decider, those that brought most first."""
    rows = Trade.objects.filter(
        account=account, state="CLOSED", pnl__isnull=False, instrument__currency=account.base_currency
    )
    rows = rows if since is None else rows.filter(closed_at__gte=since)
    rows = rows.filter(strategy__name=strategy) if strategy else rows
    names = ("strategy__name", "decision__decided_by")
    numbers = ("pnl", "commission", "quantity", "entry_price", "decision__stop_price")
    strategies: defaultdict[str, list[ClosedTrade]] = defaultdict(list)
    deciders: defaultdict[str, list[ClosedTrade]] = defaultdict(list)
    for name, decider, *values in rows.order_by().values_list(*names, *numbers).iterator(CHUNK):
        one = ClosedTrade(*values)
        strategies[name or NO_STRATEGY].append(one)
        deciders[_decider(decider)].append(one)
    return _ranked(strategies), _ranked(deciders)


def _decider(name: str | None) -> str:
    if not name:
        return BY_HAND
    return f"rules ({name})" if name.startswith("rules") else f"model ({name})"


def _ranked(groups: dict[str, list[ClosedTrade]]) -> list[Group]:
    found = [Group(name, trade_figures(trades)) for name, trades in groups.items()]
    return sorted(found, key=lambda group: (-(group.figures.net or ZERO), group.name))


# Curves


def _equity_chart(points: Sequence[EquityPoint], figures: Performance, held: BuyAndHold) -> Chart | None:
    """The account's equity over time, beside it what buying and holding came to; None where the first is no line."""
    told = [(point.at, point.equity) for point in points]
    if len(told) < 2:
        return None
    values = [value for _, value in told]
    words = (
        f"Equity of {figures.account} in {figures.currency}: begins at {number(values[0], 2)}, ends at "
        f"{number(values[-1], 2)}, lowest {number(min(values), 2)}, highest {number(max(values), 2)}."
    )
    beside = () if held.why else held.points
    both = [*values, *(value for _, value in beside)]
    if beside:
        words += f" Bought once and held: ends at {number(beside[-1][1], 2)}."
    return chart(told, min(both), max(both), words, "", beside)


def _drawdown_chart(points: Sequence[EquityPoint]) -> Chart | None:
    """The loss from the highest index before, in per cent below zero; None where that is no line."""
    told, highest = [], ZERO
    for point in points:
        if point.index is not None:
            highest = max(highest, point.index)
            told.append((point.at, (point.index / highest - 1) * HUNDRED if highest else ZERO))
    if len(told) < 2:
        return None
    deepest = min(value for _, value in told)
    words = f"Drawdown from the highest equity before: at most {number(-deepest, 2)} per cent."
    return chart(told, min(deepest, Decimal(-1)), ZERO, words, " %")


def chart(
    told: Sequence[tuple[datetime, Decimal]],
    low: Decimal,
    high: Decimal,
    words: str,
    unit: str,
    beside: Sequence[tuple[datetime, Decimal]] = (),
) -> Chart | None:
    """The points (time, value) between the values `low` and `high`; None where all are of one time. The points `beside`
    them, of a second line, lie within these times."""
    begin, end = min(at for at, _ in told), max(at for at, _ in told)  # a clock may have been set back
    length = (end - begin) / timedelta(seconds=1)
    if length <= 0:
        return None
    if low == high:
        low, high = low - (abs(low) / HUNDRED or 1), high + (abs(high) / HUNDRED or 1)
    spread = high - low

    def across(at: datetime) -> float:
        return round(WHOLE * ((at - begin) / timedelta(seconds=1)) / length, 2)

    def up(value: Decimal) -> float:
        return round(WHOLE * float((high - value) / spread), 2)

    line = [f"{across(at)},{up(value)}" for at, value in told]
    base = up(min(max(ZERO, low), high))
    area = [f"{across(told[0][0])},{base}", *line, f"{across(told[-1][0])},{base}"]
    marks = [Mark(up(value), f"{number(value)}{unit}") for value in _round_values(low, high)]
    second = " ".join(f"{across(at)},{up(value)}" for at, value in beside)
    return Chart(" ".join(line), " ".join(area), marks, _times(begin, end), words, second)


def _round_values(low: Decimal, high: Decimal) -> list[Decimal]:
    """Round numbers from `low` to `high`, one, two or five apart in some power of ten."""
    least = (high - low) / GAPS_UP
    power = Decimal(1).scaleb(least.adjusted())
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= least)
    value = (low / step).to_integral_value(ROUND_CEILING) * step
    found = []
    while value <= high:
        found.append(value)
        value += step
    return found


def _times(begin: datetime, end: datetime) -> list[Mark]:
    """Times at even distances, in UTC; with the hour where the whole is short."""
    form = "%Y-%m-%d" if end - begin > timedelta(days=MARKS_ALONG) else "%m-%d %H:%M"
    gap, wide = (end - begin) / (MARKS_ALONG - 1), WHOLE / (MARKS_ALONG - 1)
    return [Mark(wide * n, (begin + gap * n).strftime(form)) for n in range(MARKS_ALONG)]
