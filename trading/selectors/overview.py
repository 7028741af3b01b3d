"""The desk at a glance, from our own rows: history, never what the broker holds at this moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from trading.models import Account, Cycle, Decision, Fill, Order, Trade
from trading.models.account import AccountKind
from trading.models.decision import DecisionState
from trading.models.order import AT_BROKER
from trading.selectors.remembered import Shelf, trades_mark
from trading.selectors.trade_costs import SHARES

SHOWN_CYCLES = 6
SHOWN_DECISIONS = 10
SHOWN_TRADES = 6
SHOWN_REPLAYS = 3
AT_THE_BROKER = (AccountKind.PAPER, AccountKind.LIVE)


@dataclass(frozen=True, slots=True)
class Gained:
    """What closed trades in one currency came to, after those commissions that are known."""

    currency: str
    closed: int
    pnl: Decimal


@dataclass(frozen=True, slots=True)
class Ledger:
    """One account's trades and working orders.

    `gained`: the realised results, one for each currency, that of the account first; amounts of two currencies are
    never added. `fees_pending` counts fills whose commission is still to come, `unreckoned` closed trades in anything
    but shares, whose worth needs a multiplier that is not kept; no amount contains them.
    """

    account: Account
    open_orders: int
    open_trades: int
    closed_trades: int
    gained: tuple[Gained, ...]
    fees_pending: int
    unreckoned: int

    @property
    def pnl(self) -> Decimal | None:
        """Realised in the account's base currency; None where no trade of it was closed."""
        own = [gained.pnl for gained in self.gained if gained.currency == self.account.base_currency]
        return own[0] if own else None

    @property
    def others(self) -> tuple[Gained, ...]:
        """Realised in other currencies."""
        return tuple(gained for gained in self.gained if gained.currency != self.account.base_currency)


@dataclass(slots=True)
class _Trades:
    """One account's trades, counted."""

    open: int = 0
    closed: int = 0
    unreckoned: int = 0
    fees_pending: int = 0
    gained: dict[str, Gained] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DecisionCount:
    """Decisions since a time, by what became of them."""

    total: int
    allowed: int
    refused: int
    held: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What the index shows."""

    cycles: list[Cycle]
    decisions: list[Decision]
    counted: DecisionCount
    trades: list[Trade]
    ledgers: list[Ledger]

    @property
    def open_orders(self) -> int:
        """Orders whose life is not over, in the broker's own accounts."""
        return sum(ledger.open_orders for ledger in self.ledgers if ledger.account.kind in AT_THE_BROKER)

    @property
    def open_trades(self) -> int:
        """Trades that are open, in the broker's own accounts."""
        return sum(ledger.open_trades for ledger in self.ledgers if ledger.account.kind in AT_THE_BROKER)


def overview(now: datetime) -> Overview:
    """The desk as of `now`; "today" begins at midnight UTC."""
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Overview(
        cycles=_cycles(),
        decisions=list(Decision.objects.select_related("instrument", "strategy", "account")[:SHOWN_DECISIONS]),
        counted=_counted(since),
        trades=list(Trade.objects.select_related("instrument", "strategy", "account", "decision")[:SHOWN_TRADES]),
        ledgers=_ledgers(),
    )


def _cycles() -> list[Cycle]:
    # Found first: counted in the same query, the executions of every cycle would be joined and sorted.
    newest = list(Cycle.objects.order_by("-id").values_list("id", flat=True)[:SHOWN_CYCLES])
    annotated = Cycle.objects.filter(pk__in=newest).annotate(
        work=Count("executions"),
        ordered=Count("executions", filter=Q(executions__outcome="ordered")),
        failed=Count("executions", filter=Q(executions__state="FAILED")),
    )
    return list(annotated.order_by("-id"))


def _counted(since: datetime) -> DecisionCount:
    states = {
        "allowed": Count("id", filter=Q(state=DecisionState.ALLOWED)),
        "refused": Count("id", filter=Q(state=DecisionState.REFUSED)),
        "held": Count("id", filter=Q(state=DecisionState.HOLD)),
    }
    return DecisionCount(**Decision.objects.filter(at__gte=since).aggregate(total=Count("id"), **states))


_counted_trades: Shelf[Mapping[str, _Trades]] = Shelf(4)


def _ledgers() -> list[Ledger]:
    """Every ledger but old replays; the newest replays stand last."""
    accounts = list(Account.objects.exclude(kind=AccountKind.REPLAY))
    accounts += list(Account.objects.filter(kind=AccountKind.REPLAY).order_by("-created_at")[:SHOWN_REPLAYS])
    keys = tuple(account.pk for account in accounts)
    at_work = Order.objects.filter(account__in=keys, state__in=AT_BROKER).order_by()
    working = {row["account"]: row["open"] for row in at_work.values("account").annotate(open=Count("id"))}
    trades = _counted_trades.remembered(keys, _mark(), lambda: _trades_of(keys))
    return [_ledger(account, working.get(account.pk, 0), trades.get(account.pk, _Trades())) for account in accounts]


def _mark() -> Hashable:
    """Names the state of all trades and fills."""
    return trades_mark(), Trade.objects.order_by("-id").values_list("id", "version").first()


def _ledger(account: Account, working: int, trades: _Trades) -> Ledger:
    own = account.base_currency
    gained = sorted(trades.gained.values(), key=lambda one: (one.currency != own, one.currency))
    return Ledger(account, working, trades.open, trades.closed, tuple(gained), trades.fees_pending, trades.unreckoned)


def _trades_of(keys: Sequence[str]) -> Mapping[str, _Trades]:
    """The trades of these accounts alone, in two queries; reckoned anew only where a trade or a fill has changed."""
    found: defaultdict[str, _Trades] = defaultdict(_Trades)
    rows = Trade.objects.filter(account__in=keys).order_by()
    names = ("account", "state", "instrument__currency", "instrument__sec_type")
    grouped: Iterable[Any] = rows.values_list(*names).annotate(count=Count("id"), sum=Sum("pnl"))
    for account, state, currency, sec_type, count, pnl in grouped:
        _add(found[account], state, currency if sec_type in SHARES else "", count, pnl)
    pending = Fill.objects.filter(account__in=keys, superseded=False, commission__isnull=True).order_by()
    for account, count in pending.values_list("account").annotate(count=Count("id")):
        found[account].fees_pending = count
    return dict(found)


def _add(trades: _Trades, state: str, currency: str, count: int, pnl: Decimal | None) -> None:
    """Count a group of trades; `currency` is empty of what is no share."""
    if state != "CLOSED":
        trades.open += count
        return
    trades.closed += count
    if not currency:
        trades.unreckoned += count
        return
    before = trades.gained.get(currency, Gained(currency, 0, Decimal(0)))
    trades.gained[currency] = Gained(currency, before.closed + count, before.pnl + (pnl or Decimal(0)))
