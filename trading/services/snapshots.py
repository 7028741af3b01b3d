"""Snapshots that are asked for: of the broker's account, and of the shadow ledgers that a cycle has run in."""

from __future__ import annotations

import logging
from decimal import Decimal

from broker import types
from broker.errors import AccountError, BrokerError, BrokerUnavailable
from broker.port import Broker
from trading.models import Account, AccountSnapshot, Cycle
from trading.models.account import AccountKind
from trading.selectors.equity import last_snapshot
from trading.selectors.positions import holdings
from trading.selectors.results import result_of
from trading.services.accounts import snapshot_take

logger = logging.getLogger(__name__)


def account_snapshot(broker: Broker, *, cause: str, cycle: Cycle | None = None) -> AccountSnapshot | None:
    """The broker's account as it is now; None, and nothing is kept, where the broker does not answer."""
    try:
        summary, positions, now = broker.account(), broker.positions(), broker.status().market_now
    except (BrokerUnavailable, AccountError) as error:
        logger.warning("no account snapshot (%s): %s", cause, error.message)
        return None
    return snapshot_take(summary, positions, cause=cause, market_at=now, cycle=cycle)


def cycle_snapshots(broker: Broker, cycle: Cycle) -> None:
    """The broker's account at the end of a cycle, and each shadow ledger that it ran in."""
    real = account_snapshot(broker, cause="cycle", cycle=cycle)
    if real is None or real.net_liquidation is None:
        return
    shadows = Account.objects.filter(workflowexecution__cycle=cycle, kind=AccountKind.SHADOW).distinct()
    for account in shadows.order_by("id"):
        _shadow_snapshot(broker, account, cycle, real)


def _shadow_snapshot(broker: Broker, account: Account, cycle: Cycle, real: AccountSnapshot) -> None:
    """A shadow ledger starts with the real account's equity, and has its own result from then on, at the market.

    Nothing is kept where a holding has no price: a loss that is not known is not written down as none.
    """
    held = holdings(account.pk)
    marks = {position.con_id: _mark(broker, position.con_id) for position in held}
    result = result_of(account, marks)
    if result is None:
        logger.warning("no snapshot of %s: a holding has no price", account.pk)
        return
    last = last_snapshot(account.pk)
    if last is None or last.net_liquidation is None:
        began: Decimal = real.net_liquidation
    else:
        began = last.net_liquidation - (last.realized_pnl or 0) - (last.unrealized_pnl or 0)
    summary = types.AccountSummary(
        account=account.pk,
        currency=account.base_currency,
        net_liquidation=began + result.realized + result.unrealized,
        cash=None,
        buying_power=None,
        available_funds=None,
        gross_position_value=None,
        init_margin=None,
        maint_margin=None,
        realized_pnl=result.realized,
        unrealized_pnl=result.unrealized,
        time=real.market_at,
    )
    snapshot_take(summary, held, cause="cycle", market_at=real.market_at, cycle=cycle)


def _mark(broker: Broker, con_id: int) -> Decimal | None:
    """The middle of the quote, or the last price where a side is missing; None without either."""
    try:
        quote = broker.quote(types.ConId(con_id))
    except BrokerError:
        return None
    if quote.bid is not None and quote.ask is not None:
        return (quote.bid + quote.ask) / 2
    return quote.last
