"""The desk at a glance, from our own rows: history, never what the broker holds at this moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from trading.models import Account, Cycle, Decision, Order, Trade
from trading.models.account import AccountKind
from trading.models.decision import DecisionState
from trading.models.order import AT_BROKER

SHOWN_CYCLES = 6
SHOWN_DECISIONS = 10
SHOWN_TRADES = 6
SHOWN_REPLAYS = 3
AT_THE_BROKER = (AccountKind.PAPER, AccountKind.LIVE)


@dataclass(frozen=True, slots=True)
class Ledger:
    """One account's trades and working orders; `pnl` is realised, after commissions, in its base currency."""

    account: Account
    open_orders: int
    open_trades: int
    closed_trades: int
    pnl: Decimal | None


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
    annotated = Cycle.objects.annotate(
        work=Count("executions"),
        ordered=Count("executions", filter=Q(executions__outcome="ordered")),
        failed=Count("executions", filter=Q(executions__state="FAILED")),
    )
    return list(annotated.order_by("-id")[:SHOWN_CYCLES])


def _counted(since: datetime) -> DecisionCount:
    states = {
        "allowed": Count("id", filter=Q(state=DecisionState.ALLOWED)),
        "refused": Count("id", filter=Q(state=DecisionState.REFUSED)),
        "held": Count("id", filter=Q(state=DecisionState.HOLD)),
    }
    return DecisionCount(**Decision.objects.filter(at__gte=since).aggregate(total=Count("id"), **states))


def _ledgers() -> list[Ledger]:
    """Every ledger but old replays; the newest replays stand last."""
    accounts = list(Account.objects.exclude(kind=AccountKind.REPLAY))
    accounts += list(Account.objects.filter(kind=AccountKind.REPLAY).order_by("-created_at")[:SHOWN_REPLAYS])
    working = _by_account(Order.objects.filter(state__in=AT_BROKER).values("account").annotate(open=Count("id")))
    trades = _by_account(
        Trade.objects.values("account").annotate(
            open=Count("id", filter=Q(state="OPEN")),
            closed=Count("id", filter=Q(state="CLOSED")),
            pnl=Sum("pnl", filter=Q(state="CLOSED")),
        )
    )
    return [
        Ledger(
            account=account,
            open_orders=working.get(account.pk, {}).get("open", 0),
            open_trades=trades.get(account.pk, {}).get("open", 0),
            closed_trades=trades.get(account.pk, {}).get("closed", 0),
            pnl=trades.get(account.pk, {}).get("pnl"),
        )
        for account in accounts
    ]


def _by_account(rows: Iterable[Any]) -> dict[str, dict[str, Any]]:
    return {row["account"]: row for row in rows}
