"""Profit and loss of an account: of today by the broker's word, of longer times by our own trades, fills and snapshots.

docs/performance-figures.md defines every figure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from django.db.models import QuerySet, Sum

from autotrader.core.money import quantize_money
from broker import types
from broker.port import Broker
from trading.models import Account, AccountSnapshot, Fill, Trade
from trading.selectors.equity import last_snapshot
from trading.selectors.exchange_days import account_zone, day_began, day_beginning, exchange_day
from trading.selectors.performance import Missing
from trading.selectors.remembered import remembered

Timeframe = Literal["day", "week", "month", "year", "all"]
ZERO = Decimal(0)
# Beyond this the market's clock of a snapshot is not the system's: the account lives in a replay, or on a set clock.
CLOCKS_APART = timedelta(minutes=10)
BY_ACCOUNT = "told for the account only"
NO_SNAPSHOT = "no snapshot of the account's equity says so"
NOT_TOLD = "the broker has not told it"


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


# Today, by the broker's word


def pnl_today(broker: Broker, status: types.BrokerStatus, symbol: str | None) -> AccountResult:
    """The account's result of the exchange's day. Raises what the port raises, BrokerUnavailable above all."""
    told, summary, executions = broker.pnl(), broker.account(), broker.executions()
    began = day_began(status.market_now, account_zone(told.account))
    costs = _costs(row for row in executions if row.account == told.account and row.time >= began)
    rows = tuple(row for row in _live_rows(told, costs) if symbol in (None, row.symbol))
    realized, unrealized, total = told.realized, told.unrealized, told.daily
    if symbol is not None:
        realized, unrealized, total = (
            _sum(getattr(row, name) for row in rows) for name in ("realized", "unrealized", "total")
        )
    return AccountResult(
        account=told.account,
        currency=summary.currency,
        timeframe="day",
        symbol=symbol,
        source="live",
        from_time=began,
        to_time=told.time,
        realized=realized,
        unrealized=unrealized,
        total=total,
        commissions=sum((row.commissions or ZERO for row in rows), ZERO),
        commissions_pending=sum(cost.pending for cost in costs.values() if symbol in (None, cost.symbol)),
        by_symbol=rows,
        missing=tuple(_not_told(realized=realized, unrealized=unrealized, total=total)),
    )


@dataclass(slots=True)
class _Cost:
    """Today's executions of one contract."""

    symbol: str
    commissions: Decimal = ZERO
    realized: Decimal = ZERO
    pending: int = 0


def _costs(executions: Iterable[types.ExecutionReport]) -> dict[int, _Cost]:
    found: dict[int, _Cost] = {}
    for row in executions:
        cost = found.setdefault(row.con_id, _Cost(row.symbol))
        cost.commissions += row.commission or ZERO
        cost.realized += row.realized_pnl or ZERO
        cost.pending += row.commission is None
    return found


def _live_rows(told: types.ProfitAndLoss, costs: dict[int, _Cost]) -> Iterator[SymbolResult]:
    """What is held, then what was traded today and is held no more."""
    held = {row.con_id for row in told.positions}
    for row in told.positions:
        paid = costs[row.con_id].commissions if row.con_id in costs else ZERO
        yield SymbolResult(row.symbol, row.con_id, row.quantity, row.realized, row.unrealized, paid, row.daily)
    for con_id, cost in costs.items():
        if con_id not in held:
            realized = None if cost.pending else cost.realized
            yield SymbolResult(cost.symbol, con_id, ZERO, realized, ZERO, cost.commissions, None)


def _not_told(**figures: Decimal | None) -> Iterator[Missing]:
    return (Missing(name, NOT_TOLD) for name, value in figures.items() if value is None)


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    """None where one of them is not known."""
    known = list(values)
    return None if None in known else sum((value for value in known if value is not None), ZERO)


# Longer, by our own rows


def pnl_past(account: Account, timeframe: Timeframe, symbol: str | None, now: datetime) -> AccountResult:
    """The account's result from the first of the exchange's days in this week, month or year; `now` by the system."""
    last = last_snapshot(account.pk)
    until = market_time(last, now)
    zone = account_zone(account.pk)
    first = first_day(timeframe, exchange_day(until, zone))
    since = None if first is None else day_beginning(first, zone)
    found = remembered(account.pk, ("pnl", symbol, since), lambda: _past(account, symbol, first, since))
    return AccountResult(
        account=account.pk,
        currency=account.base_currency,
        timeframe=timeframe,
        symbol=symbol,
        source="history",
        from_time=since,
        to_time=until,
        realized=sum((row.realized or ZERO for row in found.rows), ZERO),
        unrealized=found.unrealized,
        total=found.total,
        commissions=sum((row.commissions or ZERO for row in found.rows), ZERO),
        commissions_pending=found.pending,
        by_symbol=found.rows,
        missing=tuple(_unknown(BY_ACCOUNT if symbol else NO_SNAPSHOT, found)),
    )


def _unknown(why: str, found: _Past) -> Iterator[Missing]:
    return (Missing(name, why) for name in ("unrealized", "total") if getattr(found, name) is None)


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


class _Past(NamedTuple):
    """What our rows say of the time since some day, up to the newest of them."""

    rows: tuple[SymbolResult, ...]
    unrealized: Decimal | None
    total: Decimal | None
    pending: int


def _past(account: Account, symbol: str | None, first: date | None, since: datetime | None) -> _Past:
    last = last_snapshot(account.pk)
    return _Past(
        rows=tuple(_past_rows(account, symbol, since)),
        unrealized=None if symbol or last is None else last.unrealized_pnl,
        total=None if symbol else _gained(account, first),
        pending=_fills(account, symbol, since).filter(commission__isnull=True).count(),
    )


@dataclass(slots=True)
class _Booked:
    """What our rows say of one contract."""

    realized: Decimal = ZERO
    commissions: Decimal = ZERO
    quantity: Decimal = ZERO


Contract = tuple[str, int | None]


def _past_rows(account: Account, symbol: str | None, since: datetime | None) -> list[SymbolResult]:
    found: defaultdict[Contract, _Booked] = defaultdict(_Booked)
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


def _gained(account: Account, first: date | None) -> Decimal | None:
    """The change of equity since the last snapshot before that day (or the first one), less what came and went."""
    known = AccountSnapshot.objects.filter(account=account, net_liquidation__isnull=False)
    last = known.order_by("-id").first()
    base = known.order_by("id").first() if first is None else _base(known, first)
    if last is None or base is None or base.pk == last.pk:
        return None
    flows = known.filter(pk__gt=base.pk).aggregate(total=Sum("flow"))["total"] or ZERO
    return quantize_money(last.net_liquidation - base.net_liquidation - flows)


def _base(known: QuerySet[AccountSnapshot], first: date) -> AccountSnapshot | None:
    before = known.filter(day__lt=first).order_by("-day", "-id").first()
    return before or known.filter(day__gte=first).order_by("day", "id").first()
