"""Ledgers: the broker's accounts, shadow ledgers, and snapshots of their values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from broker import types
from broker.errors import BrokerUnavailable
from trading.models import Account, AccountSnapshot, Cycle, Strategy
from trading.models.account import AccountKind
from trading.selectors.exchange_days import account_zone, exchange_day
from trading.services.loss_guard import figures, guard


def account_kind(account_id: str) -> AccountKind:
    """What an account's id proves: DUR… a replay, DU… and DF… paper, SHADOW:… ours, all else live."""
    if account_id.startswith("SHADOW:"):
        return AccountKind.SHADOW
    if account_id.startswith("DUR"):
        return AccountKind.REPLAY
    return AccountKind.PAPER if account_id.startswith(("DU", "DF")) else AccountKind.LIVE


def account_ensure(account_id: str, base_currency: str = "USD") -> Account:
    """The row of this account, made when first seen. Raises BrokerUnavailable where the broker has named none yet."""
    if not account_id:
        raise BrokerUnavailable("The broker has not named its account yet.", code="NO_ACCOUNT")
    account, _ = Account.objects.get_or_create(
        pk=account_id,
        defaults={"kind": account_kind(account_id), "base_currency": base_currency, "created_at": system_now()},
    )
    return account


def shadow_account(strategy: Strategy, base_currency: str) -> Account:
    """The strategy's own shadow ledger."""
    return account_ensure(f"SHADOW:{strategy.pk}", base_currency)


def _money(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("0.0001"))


def snapshot_take(
    summary: types.AccountSummary,
    positions: Sequence[types.Position],
    *,
    cause: str,
    market_at: datetime,
    cycle: Cycle | None = None,
) -> AccountSnapshot:
    """Keep the account's values of this moment, and act on its losses; "close" is kept once a day of the exchange."""
    with audit.recording():
        account = _locked(account_ensure(summary.account, summary.currency).pk)
        day = exchange_day(market_at, account_zone(account.pk))
        if cause == "close" and AccountSnapshot.objects.filter(account=account, day=day, cause=cause).exists():
            cause = "watch"
        found = guard(account, figures(account, day, _money(summary.net_liquidation), flat=not positions), market_at)
        snapshot = AccountSnapshot.objects.create(
            account=account,
            cause=cause,
            cycle=cycle,
            at=system_now(),
            market_at=market_at,
            day=day,
            net_liquidation=found.net,
            day_base=_money(found.base),
            peak=_money(found.peak),
            flow=found.flow,
            limit_reached=found.level,
            cash=_money(summary.cash),
            realized_pnl=_money(summary.realized_pnl),
            unrealized_pnl=_money(summary.unrealized_pnl),
            positions=[
                {"symbol": held.symbol, "quantity": str(held.quantity), "average_cost": str(held.average_cost)}
                for held in positions
            ],
        )
        audit.record(
            EventType.ACCOUNT_SNAPSHOT,
            f"snapshot:{snapshot.pk}",
            account=summary.account,
            cause=cause,
            market_at=market_at,
            document={
                "net_liquidation": snapshot.net_liquidation,
                "cash": snapshot.cash,
                "day_base": snapshot.day_base,
                "peak": snapshot.peak,
            },
        )
    return snapshot


def _locked(account_id: str) -> Account:
    """The account's row under its lock: two snapshots at once would each be measured against the same last one."""
    return Account.objects.select_for_update(no_key=True).get(pk=account_id)
