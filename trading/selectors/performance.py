"""How an account, or the strategies in it, have done over days of the exchange; docs/performance-figures.md defines it.

From our own snapshots, trades and fills alone: the broker need not be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from django.db.models import Q, QuerySet

from autotrader.core.money import quantize_price
from trading.models import Account, AccountSnapshot, Fill, Trade
from trading.selectors.equity_curve import UNKNOWN, WHY, EquityFigures, Seen, equity_figures
from trading.selectors.exchange_days import account_zone, day_beginning
from trading.selectors.remembered import remembered
from trading.selectors.trade_figures import ClosedTrade, TradeFigures, time_held, trade_figures

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
CHUNK = 2000
NOT_THEIRS = "equity is the account's; a strategy has none of its own outside a shadow ledger"


@dataclass(frozen=True, slots=True)
class Missing:
    """A figure that is null, and why."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much of the time something was held; from `since` to `until` by the market's clock."""

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


def performance(question: Question) -> Performance:
    """The figures; reckoned once for as long as no row they are made of changes."""
    key = ("performance", question.from_day, question.to_day, question.strategies)
    return remembered(question.account.pk, key, lambda: _reckon(question))


def _reckon(question: Question) -> Performance:
    zone = account_zone(question.account.pk)
    window = _Window(
        since=None if question.from_day is None else day_beginning(question.from_day, zone),
        until=None if question.to_day is None else day_beginning(question.to_day + DAY, zone),
    )
    rows = _trades(question)
    mine = rows.filter(instrument__currency=question.account.base_currency)
    closed = window.closed(mine)
    trades = trade_figures(_closed(closed))
    equity, because = _equity(question)
    exposure = _exposure(mine, window, equity)
    return Performance(
        account=question.account.pk,
        currency=question.account.base_currency,
        strategies=tuple(name for _, name in question.strategies or ()),
        from_day=question.from_day,
        to_day=question.to_day,
        time_zone=zone,
        as_of=exposure.until,
        equity=equity,
        trades=trades,
        exposure=exposure,
        fees_pending=_pending(question, window),
        other_currency=window.closed(rows).exclude(instrument__currency=question.account.base_currency).count(),
        fx="base_currency_only",
        missing=(*_missing_equity(equity, because), *_missing_trades(trades), *_missing_exposure(exposure)),
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


def _trades(question: Question) -> QuerySet[Trade]:
    rows = Trade.objects.filter(account=question.account).order_by()
    if question.strategies is not None:
        rows = rows.filter(strategy__in=[pk for pk, _ in question.strategies])
    return rows


def _closed(trades: QuerySet[Trade]) -> Iterator[ClosedTrade]:
    names = ("pnl", "commission", "quantity", "entry_price", "decision__stop_price")
    for row in trades.filter(pnl__isnull=False).values_list(*names).iterator(CHUNK):
        yield ClosedTrade(*row)


def _equity(question: Question) -> tuple[EquityFigures, str]:
    """The account's equity, and why it is not told."""
    account = question.account
    if question.strategies is not None and not _is_shadow_of(account, question.strategies):
        return UNKNOWN, NOT_THEIRS
    figures = equity_figures(_seen(account, question.from_day, question.to_day))
    return figures, "" if figures.why is None else WHY[figures.why]


def _is_shadow_of(account: Account, strategies: tuple[tuple[int, str], ...]) -> bool:
    return len(strategies) == 1 and account.pk == f"SHADOW:{strategies[0][0]}"


def _seen(account: Account, from_day: date | None, to_day: date | None) -> Iterator[Seen]:
    """The snapshots of these days; before them the last one of an earlier day, which the time begins with."""
    known = AccountSnapshot.objects.filter(account=account, net_liquidation__isnull=False)
    names = ("market_at", "net_liquidation", "flow")
    within = known
    if from_day is not None:
        before = known.filter(day__lt=from_day).order_by("-day", "-id").values_list(*names).first()
        if before is not None:
            yield Seen(*before)
        within = within.filter(day__gte=from_day)
    if to_day is not None:
        within = within.filter(day__lte=to_day)
    for row in within.order_by("id").values_list(*names).iterator(CHUNK):
        yield Seen(*row)


def _exposure(trades: QuerySet[Trade], window: _Window, equity: EquityFigures) -> Exposure:
    """Time held over the time looked at: from the window's begin, or the first row, to its end, or the newest row."""
    begun = trades if window.until is None else trades.filter(opened_at__lt=window.until)
    if window.since is not None:
        begun = begun.filter(Q(state="OPEN") | Q(closed_at__gt=window.since))
    spans = list(begun.values_list("opened_at", "closed_at").iterator(CHUNK))
    told = [at for span in spans for at in span if at is not None]
    marks = sorted([*told, *(at for at in (equity.start_at, equity.end_at) if at is not None)])
    if not marks:
        return Exposure(None, 0, None, None)
    since = window.since or marks[0]
    until = marks[-1] if window.until is None else min(marks[-1], window.until)
    held = time_held((max(begin, since), min(end or until, until)) for begin, end in spans)
    length = until - since
    fraction = quantize_price(Decimal(held // TICK) / Decimal(length // TICK)) if length > timedelta() else None
    return Exposure(fraction, sum(end is None for _, end in spans), since, until)


def _pending(question: Question, window: _Window) -> int:
    fills = Fill.objects.filter(account=question.account, superseded=False, commission__isnull=True)
    if question.strategies is not None:
        fills = fills.filter(order__strategy__in=[pk for pk, _ in question.strategies])
    return fills.filter(window.of("time")).count()


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
