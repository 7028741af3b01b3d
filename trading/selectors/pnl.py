"""Profit and loss of an account over a longer time than today, by our own trades, fills and snapshots.

docs/performance-figures.md defines every figure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from django.db.models import QuerySet, Sum

from autotrader.core.money import quantize_money
from trading.models import Account, AccountSnapshot, Fill, Trade
from trading.selectors.equity import last_snapshot
from trading.selectors.equity_walks import equity_between
from trading.selectors.exchange_days import account_zone, day_beginning, exchange_day
from trading.selectors.performance import Missing
from trading.selectors.remembered import Shelf, trades_mark

Timeframe = Literal["day", "week", "month", "year", "all"]
ZERO = Decimal(0)
# Beyond this the market's clock of a snapshot is not the system's: the account lives in a replay, or on a set clock.
CLOCKS_APART = timedelta(minutes=10)
BY_ACCOUNT = "told for the account only"
NO_SNAPSHOT = "no snapshot of the account's equity says so"


@dataclass(frozen=True, slots=True)
class SymbolResult:
    """The result of one contract; null for what is not known. `total` is today's change of it, told live only."""

    symbol: str
    con_id: int | None
    quantity: Decimal | None
    realized: Decimal | None
    unrealized: Decimal | None
    commissions: Decimal | None
    total: Decimal | None


@dataclass(frozen=True, slots=True)
class AccountResult:
    """Amounts in the account's base currency; `from_time` null = since the beginning.

    `realized`: of what was closed in this time, after the commissions of both sides. `unrealized`: of what is held
    now, or was at `to_time`. `total`: the change of the account's equity without money that came or went.
    `commissions`: paid in this time (they are in `realized` once a trade is closed).
    """

    account: str
    currency: str
    timeframe: Timeframe
    symbol: str | None
    source: Literal["live", "history"]
    from_time: datetime | None
    to_time: datetime
    realized: Decimal | None
    unrealized: Decimal | None
    total: Decimal | None
    commissions: Decimal | None
    commissions_pending: int
    by_symbol: tuple[SymbolResult, ...]
    missing: tuple[Missing, ...]


def pnl_past(account: Account, timeframe: Timeframe, symbol: str | None, now: datetime) -> AccountResult:
    """The account's result from the first of the exchange's days in this week, month or year; `now` by the system."""
    last = last_snapshot(account.pk)
    until = market_time(last, now)
    zone = account_zone(account.pk)
    first = first_day(timeframe, exchange_day(until, zone))
    since = None if first is None else day_beginning(first, zone)
    key = (account.pk, account.base_currency, symbol, since)
    booked = _booked.remembered(key, trades_mark(), lambda: _reckon(account, symbol, since))
    unrealized = None if symbol or last is None else last.unrealized_pnl
    total = None if symbol else equity_between(account.pk, first, None).change
    unknown = [name for name, value in (("unrealized", unrealized), ("total", total)) if value is None]
    return AccountResult(
        account=account.pk,
        currency=account.base_currency,
        timeframe=timeframe,
        symbol=symbol,
        source="history",
        from_time=since,
        to_time=until,
        realized=sum((row.realized or ZERO for row in booked.rows), ZERO),
        unrealized=unrealized,
        total=total,
        commissions=sum((row.commissions or ZERO for row in booked.rows), ZERO),
        commissions_pending=booked.pending,
        by_symbol=booked.rows,
        missing=tuple(Missing(name, BY_ACCOUNT if symbol else NO_SNAPSHOT) for name in unknown),
    )


def market_time(last: AccountSnapshot | None, now: datetime) -> datetime:
    """The market's time as our rows tell it: the system's, but that of the last snapshot where the clocks differ."""
    if last is not None and abs(last.market_at - last.at) > CLOCKS_APART:
        return last.market_at
    return now


def first_day(timeframe: Timeframe, today: date) -> date | None:
    """The first day of today's week (Monday), month or year; None = since the beginning."""
    if timeframe == "week":
        return today - timedelta(days=today.weekday())
    if timeframe == "month":
        return today.replace(day=1)
    return today.replace(month=1, day=1) if timeframe == "year" else None


class Booked(NamedTuple):
    """What trades and fills since some time come to; `pending` of the fills have no commission yet."""

    rows: tuple[SymbolResult, ...]
    pending: int


_booked: Shelf[Booked] = Shelf(64)


def _reckon(account: Account, symbol: str | None, since: datetime | None) -> Booked:
    rows = _past_rows(account, symbol, since)
    return Booked(tuple(rows), _fills(account, symbol, since).filter(commission__isnull=True).count())


@dataclass(slots=True)
class _Sums:
    """What our rows say of one contract."""

    realized: Decimal = ZERO
    commissions: Decimal = ZERO
    quantity: Decimal = ZERO


Contract = tuple[str, int | None]


def _past_rows(account: Account, symbol: str | None, since: datetime | None) -> list[SymbolResult]:
    found: defaultdict[Contract, _Sums] = defaultdict(_Sums)
    trades = _in(Trade.objects.filter(account=account).order_by(), "instrument__", account, symbol)
    closed = trades.filter(state="CLOSED", pnl__isnull=False)
    closed = closed if since is None else closed.filter(closed_at__gte=since)
    for name, con_id, pnl in _by_contract(closed, "instrument__", "pnl"):
        found[name, con_id].realized += pnl
    for name, con_id, commission in _by_contract(_fills(account, symbol, since), "order__instrument__", "commission"):
        found[name, con_id].commissions += commission or ZERO
    for trade in trades.filter(state="OPEN").select_related("instrument"):
        row = found[trade.instrument.symbol, trade.instrument.con_id]
        row.quantity += trade.open_quantity if trade.side == "long" else -trade.open_quantity
        row.realized += part_realized(trade, _parts(trade), since, None)
    carried = closed.none() if since is None else closed.filter(opened_at__lt=since)
    for trade in carried.select_related("instrument"):
        # What it had realised before belongs to the time before.
        row = found[trade.instrument.symbol, trade.instrument.con_id]
        row.realized -= part_realized(trade, _parts(trade), None, since)
    return [
        SymbolResult(
            name, con_id, row.quantity, quantize_money(row.realized), None, quantize_money(row.commissions), None
        )
        for (name, con_id), row in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or 0))
    ]


def _in(rows: QuerySet[Trade], path: str, account: Account, symbol: str | None) -> QuerySet[Trade]:
    """Those in the account's own currency, of the symbol where one is given."""
    rows = rows.filter(**{f"{path}currency": account.base_currency})
    return rows if symbol is None else rows.filter(**{f"{path}symbol": symbol})


def _fills(account: Account, symbol: str | None, since: datetime | None) -> QuerySet[Fill]:
    rows = Fill.objects.filter(account=account, superseded=False, order__instrument__currency=account.base_currency)
    if symbol is not None:
        rows = rows.filter(order__instrument__symbol=symbol)
    return (rows if since is None else rows.filter(time__gte=since)).order_by()


def _by_contract(
    rows: QuerySet[Trade] | QuerySet[Fill], path: str, amount: str
) -> Iterator[tuple[str, int | None, Decimal]]:
    names = (f"{path}symbol", f"{path}con_id")
    yield from rows.values_list(*names).annotate(Sum(amount))


class Part(NamedTuple):
    """One current fill of a trade."""

    exec_root: str
    side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    time: datetime


def _parts(trade: Trade) -> list[Part]:
    fills = Fill.objects.filter(trade=trade, superseded=False, quantity__gt=0).order_by("time", "id")
    return [Part(*row) for row in fills.values_list(*Part._fields)]


def part_realized(trade: Trade, parts: Sequence[Part], since: datetime | None, until: datetime | None) -> Decimal:
    """What the trade's closing fills in this time realised: against its average entry, after their own commissions and
    their share of the entry's. Those of a trade that has closed together come to its `pnl`."""
    enters = "BUY" if trade.side == "long" else "SELL"
    closing = [
        part
        for part in parts
        if part.side != enters and (since is None or part.time >= since) and (until is None or part.time < until)
    ]
    sold = sum((part.quantity for part in closing), ZERO)
    if not sold:
        return ZERO
    value, cost = _entered(trade, [part for part in parts if part.side == enters])
    gross = sum((part.quantity * part.price for part in closing), ZERO) - value * sold / trade.quantity
    own = sum((part.commission or ZERO for part in closing), ZERO)
    return quantize_money((gross if trade.side == "long" else -gross) - own - cost * sold / trade.quantity)


def _entered(trade: Trade, entering: Sequence[Part]) -> tuple[Decimal, Decimal]:
    """Value and commissions of the entry; of a fill that closed the trade before, only the share that opened this."""
    too_much = sum((part.quantity for part in entering), ZERO) - trade.quantity
    value = cost = ZERO
    for part in entering:
        used = part.quantity - too_much if part.exec_root == trade.opening_exec_id else part.quantity
        value += used * part.price
        cost += (part.commission or ZERO) * used / part.quantity
    return value, cost
