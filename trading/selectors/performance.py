"""How an account, or the strategies in it, have done over days of the exchange; docs/performance-figures.md defines it.

From our own snapshots, trades and fills alone: the broker need not be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from django.db.models import Q, QuerySet

from autotrader.core.money import quantize_price
from trading.models import Account, Fill, Trade
from trading.selectors.equity_curve import UNKNOWN, WHY, EquityFigures
from trading.selectors.equity_walks import equity_between
from trading.selectors.exchange_days import account_zone, day_beginning
from trading.selectors.remembered import Shelf, trades_mark
from trading.selectors.trade_figures import ClosedTrade, TradeFigures, time_held, trade_figures

DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
CHUNK = 2000
NOT_THEIRS = "equity is the account's; a strategy has none of its own outside a shadow ledger"


@dataclass(frozen=True, slots=True)
class Missing:
    """A figure that is null, and why."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """Time in which at least one trade was open / the time from `since` to `until`, nights and weekends included."""

    fraction: Decimal | None
    open_trades: int
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Performance:
    """Amounts in the account's base currency, rates as fractions of 1; `from_day` and `to_day` are the exchange's.

    `as_of` is the market's time of the newest row in it. `fees_pending` counts fills whose commission is still to come,
    `other_currency` closed trades in a currency that is not the account's, which no figure contains.
    """

    account: str
    currency: str
    strategies: tuple[str, ...]
    from_day: date | None
    to_day: date | None
    time_zone: str
    as_of: datetime | None
    equity: EquityFigures
    trades: TradeFigures
    exposure: Exposure
    fees_pending: int
    other_currency: int
    fx: Literal["base_currency_only"]
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Whose performance, and of which days (inclusive; None = open). `strategies` None: the whole account's."""

    account: Account
    from_day: date | None = None
    to_day: date | None = None
    strategies: tuple[tuple[int, str], ...] | None = None


class Traded(NamedTuple):
    """What the trades of a question come to.

    `held`: how long something was held before `open_since`, when the first trade that is open now began; `begins` and
    `ends` are the first and last times of them all.
    """

    figures: TradeFigures
    other_currency: int
    fees_pending: int
    held: timedelta
    open_trades: int
    open_since: datetime | None
    begins: datetime | None
    ends: datetime | None


_traded: Shelf[Traded] = Shelf(64)


def performance(question: Question) -> Performance:
    """The figures. What is made of trades is reckoned once for as long as none of them changes."""
    zone = account_zone(question.account.pk)
    window = _Window(
        since=None if question.from_day is None else day_beginning(question.from_day, zone),
        until=None if question.to_day is None else day_beginning(question.to_day + DAY, zone),
    )
    key = (question.account.pk, question.account.base_currency, question.strategies, window)
    traded = _traded.remembered(key, trades_mark(), lambda: _reckon(question, window))
    equity, because = _equity(question)
    exposure = _exposure(traded, window, equity)
    return Performance(
        account=question.account.pk,
        currency=question.account.base_currency,
        strategies=tuple(name for _, name in question.strategies or ()),
        from_day=question.from_day,
        to_day=question.to_day,
        time_zone=zone,
        as_of=exposure.until,
        equity=equity,
        trades=traded.figures,
        exposure=exposure,
        fees_pending=traded.fees_pending,
        other_currency=traded.other_currency,
        fx="base_currency_only",
        missing=(*_missing_equity(equity, because), *_missing_trades(traded.figures), *_missing_exposure(exposure)),
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """Instants that days of the exchange begin at; None = open."""

    since: datetime | None
    until: datetime | None

    def closed(self, trades: QuerySet[Trade]) -> QuerySet[Trade]:
        """Those that were closed within."""
        return trades.filter(state="CLOSED").filter(self.of("closed_at"))

    def of(self, field: str) -> Q:
        """The condition that a time lies within."""
        found = Q() if self.since is None else Q(**{f"{field}__gte": self.since})
        return found if self.until is None else found & Q(**{f"{field}__lt": self.until})

    def cut(self, at: datetime) -> datetime:
        """The time, or the end of the window that it is outside of."""
        at = at if self.since is None else max(at, self.since)
        return at if self.until is None else min(at, self.until)


def _reckon(question: Question, window: _Window) -> Traded:
    rows = Trade.objects.filter(account=question.account).order_by()
    fills = Fill.objects.filter(account=question.account, superseded=False, commission__isnull=True)
    if question.strategies is not None:
        own = [pk for pk, _ in question.strategies]
        rows, fills = rows.filter(strategy__in=own), fills.filter(order__strategy__in=own)
    currency = question.account.base_currency
    mine = rows.filter(instrument__currency=currency)
    spans = list(_spans(mine, window))
    opened = [begin for begin, end in spans if end is None]
    open_since = min((window.cut(begin) for begin in opened), default=None)
    times = [window.cut(at) for span in spans for at in span if at is not None]
    return Traded(
        figures=trade_figures(_closed(window.closed(mine))),
        other_currency=window.closed(rows).exclude(instrument__currency=currency).count(),
        fees_pending=fills.filter(window.of("time")).count(),
        held=time_held(_before(open_since, spans, window)),
        open_trades=len(opened),
        open_since=open_since,
        begins=min(times, default=None),
        ends=max(times, default=None),
    )


def _closed(trades: QuerySet[Trade]) -> Iterator[ClosedTrade]:
    names = ("pnl", "commission", "quantity", "entry_price", "decision__stop_price")
    for row in trades.filter(pnl__isnull=False).values_list(*names).iterator(CHUNK):
        yield ClosedTrade(*row)


def _spans(trades: QuerySet[Trade], window: _Window) -> Iterator[tuple[datetime, datetime | None]]:
    """When each trade that was open in the window began and ended; the end is None while it is open."""
    if window.until is not None:
        trades = trades.filter(opened_at__lt=window.until)
    if window.since is not None:
        trades = trades.filter(Q(state="OPEN") | Q(closed_at__gt=window.since))
    yield from trades.values_list("opened_at", "closed_at").iterator(CHUNK)


def _before(
    open_since: datetime | None, spans: Iterable[tuple[datetime, datetime | None]], window: _Window
) -> Iterator[tuple[datetime, datetime]]:
    for begin, end in spans:
        if end is not None:
            begin, end = window.cut(begin), window.cut(end)
            yield begin, end if open_since is None else min(end, open_since)


def _equity(question: Question) -> tuple[EquityFigures, str]:
    """The account's equity, and why it is not told."""
    account = question.account
    if question.strategies is not None and not _is_shadow_of(account, question.strategies):
        return UNKNOWN, NOT_THEIRS
    figures = equity_between(account.pk, question.from_day, question.to_day)
    return figures, "" if figures.why is None else WHY[figures.why]


def _is_shadow_of(account: Account, strategies: tuple[tuple[int, str], ...]) -> bool:
    return len(strategies) == 1 and account.pk == f"SHADOW:{strategies[0][0]}"


def _exposure(traded: Traded, window: _Window, equity: EquityFigures) -> Exposure:
    """Time held over the time looked at: from the window's begin, or the first row, to the newest row within."""
    known = [at for at in (traded.begins, traded.ends, equity.start_at, equity.end_at) if at is not None]
    if not known:
        return Exposure(None, 0, None, None)
    since, until = window.since or min(known), window.cut(max(known))
    length, held = until - since, traded.held
    if traded.open_since is not None:
        held += until - traded.open_since
    fraction = quantize_price(Decimal(held // TICK) / Decimal(length // TICK)) if length > timedelta() else None
    return Exposure(fraction, traded.open_trades, since, until)


def _missing_equity(equity: EquityFigures, because: str) -> Iterator[Missing]:
    if not because:
        return
    for field in ("start", "end", "flows", "change", "time_weighted_return", "drawdown"):
        if getattr(equity, field) is None:
            yield Missing(f"equity.{field}", because)


def _missing_trades(trades: TradeFigures) -> Iterator[Missing]:
    reasons = {
        "profit_factor": "no trade lost",
        "average_loss": "no trade lost",
        "average_win": "no trade won",
        "expectancy_r": "no trade has a decision that named a stop",
    }
    for name in (field.name for field in fields(TradeFigures)):
        if getattr(trades, name) is None:
            yield Missing(f"trades.{name}", reasons.get(name, "") if trades.count else "no trade was closed")


def _missing_exposure(exposure: Exposure) -> Iterator[Missing]:
    if exposure.fraction is None:
        yield Missing("exposure.fraction", "nothing is known of any length of time")
