"""The ledger as the controls judge it: read anew under the account's lock, in few indexed queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from django.db.models import QuerySet

from trading.models import Account, Instrument, RiskProfile, Strategy
from trading.models.account import AccountKind
from trading.models.order import Role
from trading.selectors.discrepancies import blocking_names
from trading.selectors.elsewhere import closed_elsewhere
from trading.selectors.equity import UNKNOWN, Equity, equity_read
from trading.selectors.exchange_days import account_zone, exchange_day
from trading.selectors.ledger_rows import (
    Recent,
    Rows,
    Wanted,
    Working,
    changes_sent,
    crosses,
    is_twin,
    rows_read,
)
from trading.selectors.positions import position_quantity

ZERO = Decimal(0)
MINUTE, SECOND, DAY = timedelta(minutes=1), timedelta(seconds=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """An approval beside the order that would be sent under it: `terms` is the digest of that order, `state` that of
    the approval as it was found, or as it was just spent on this order."""

    state: str
    digest: str
    terms: str
    expires_at: datetime
    votes: int
    needed: int


# The order's rows are written for a person to decide about; nothing is sent yet.
ASKING = ApprovalFacts("ASKING", "", "", datetime.max.replace(tzinfo=UTC), 0, 0)


class Twin(NamedTuple):
    """An equal order, and when it left by the market's clock."""

    order_ref: str
    market_at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """What has been done and may still happen in an account, as one order meets it. Amounts in the base currency.

    `position` is the strategy's in the instrument, negative = short. `reserved` is the value of entries that may still
    fill. `messages_…` are new orders and changes of the strategy in the account within that time. `twins` are equal
    orders of the last 24 hours, `crossing` our own working orders that this one would trade with, by reference.
    `closing_quantity` may still close the position beside its protective legs; `elsewhere` of it the account does not
    hold any more, or others are closing, where the order would reduce it. `held`: the account holds anything;
    `shadow`: we fill its orders ourselves; `entry_working`: the strategy's live entry in the instrument. `mode` and
    `suspended` are the strategy's, empty without one; `desk_…` are the values from which the desk wants approvals.
    """

    position: Decimal
    exposure_total: Decimal
    exposure_instrument: Decimal
    open_entries: int
    entries_today: int
    reserved: Decimal
    messages_minute: int
    messages_second: int
    twins: tuple[Twin, ...]
    crossing: tuple[str, ...]
    stop_outs_today: int
    last_stop_out_at: datetime | None
    closing_quantity: Decimal
    equity: Equity
    blocking: tuple[str, ...]
    suspended: str
    mode: str
    elsewhere: Decimal = ZERO
    held: bool = False
    shadow: bool = False
    entry_working: str = ""
    desk_approval_above: Decimal | None = None
    desk_second_approver_above: Decimal | None = None
    approval: ApprovalFacts | None = None

    @property
    def day_loss(self) -> Decimal | None:
        """The day's loss as a fraction of where the day began, by the last snapshot; negative = a gain."""
        return self.equity.day_loss()

    @property
    def drawdown(self) -> Decimal | None:
        """The loss from the highest equity as a fraction of it, by the last snapshot."""
        return self.equity.drawdown()


EMPTY = Ledger(
    position=ZERO,
    exposure_total=ZERO,
    exposure_instrument=ZERO,
    open_entries=0,
    entries_today=0,
    reserved=ZERO,
    messages_minute=0,
    messages_second=0,
    twins=(),
    crossing=(),
    stop_outs_today=0,
    last_stop_out_at=None,
    closing_quantity=ZERO,
    equity=UNKNOWN,
    blocking=(),
    suspended="",
    mode="",
)


def ledger_read(
    account: Account,
    strategy: Strategy | None,
    instrument: Instrument,
    side: str,
    order_type: str,
    quantity: Decimal,
    limit_price: Decimal | None,
    market_now: datetime,
    day_began: datetime,
    *,
    group: str = "",
    approval: ApprovalFacts | None = None,
    rows: Rows | None = None,
) -> Ledger:
    """The ledger as this order meets it. `limit_price` is the worst price it may trade at, None = any.

    `day_began` is when the exchange's day began; `group` names rows that were written for this very order already,
    which count for nothing here. `rows`: what `rows_read` has just found for it. Where it decides, call it under the
    account's lock.
    """
    rows = rows or rows_read(account, strategy, instrument, market_now, day_began, group)
    wanted = Wanted(side, order_type, quantity, limit_price, group)
    here = [row for row in rows.working if row.instrument_id == instrument.pk]
    own = strategy.pk if strategy else None
    mine = [row for row in rows.recent if row.strategy_id == own and row.role != Role.EXTERNAL]
    messages = _messages(account, strategy, mine, market_now - MINUTE)
    stop_outs = _stop_outs(rows)
    desk = _desk_values()
    stake = rows.stake(instrument)
    position = position_quantity(account, strategy, instrument)
    return Ledger(
        position=position,
        exposure_total=stake.total,
        exposure_instrument=stake.instrument,
        open_entries=stake.entries,
        held=stake.held,
        reserved=stake.reserved,
        entries_today=_entries_since(mine, strategy, day_began),
        messages_minute=len(messages),
        messages_second=sum(at > market_now - SECOND for at in messages),
        twins=_twins(rows, instrument, wanted, market_now - DAY),
        crossing=tuple(row.order_ref for row in here if crosses(row, wanted)),
        stop_outs_today=len({out.order_id for out in stop_outs if out.strategy_id == own and out.at >= day_began}),
        last_stop_out_at=max((out.at for out in stop_outs if out.instrument_id == instrument.pk), default=None),
        closing_quantity=sum((row.left for row in here if _closes(row, own, side)), ZERO),
        elsewhere=closed_elsewhere(account, strategy, instrument, side, position, here),
        entry_working=next((row.order_ref for row in here if row.role == Role.ENTRY and row.strategy_id == own), ""),
        equity=equity_read(account, exchange_day(market_now, account_zone(account.pk))),
        blocking=blocking_names(account.pk),
        suspended=(strategy.suspended_reason or "by a control") if strategy and strategy.suspended_at else "",
        mode=strategy.mode if strategy else "",
        shadow=account.kind == AccountKind.SHADOW,
        desk_approval_above=desk.approval_above,
        desk_second_approver_above=desk.second_approver_above,
        approval=approval,
    )


def _twins(rows: Rows, instrument: Instrument, wanted: Wanted, since: datetime) -> tuple[Twin, ...]:
    found = (row for row in rows.recent if row.instrument_id == instrument.pk and row.market_at > since)
    return tuple(Twin(row.order_ref, row.market_at) for row in found if is_twin(row, wanted))


@cache
def _desk() -> QuerySet[RiskProfile, Any]:
    rows = RiskProfile.objects.filter(is_desk=True).order_by("pk")
    return rows.values_list("approval_above_value", "second_approver_above_value")


class _DeskValues(NamedTuple):
    approval_above: Decimal | None
    second_approver_above: Decimal | None


def _desk_values() -> _DeskValues:
    found = _desk().first()
    return _DeskValues(*found) if found else _DeskValues(None, None)


def _closes(row: Working, strategy_id: int | None, side: str) -> bool:
    """True for an order that works beside protective legs, and may fill beside one."""
    return row.role in (Role.EXIT, Role.EXTERNAL) and row.strategy_id == strategy_id and row.side == side


def _entries_since(mine: Sequence[Recent], strategy: Strategy | None, day_began: datetime) -> int:
    """Entries of the day; after a person resumed the strategy, those since then."""
    since = strategy.resumed_at if strategy else None
    today = [row for row in mine if row.role == Role.ENTRY and row.market_at >= day_began]
    return sum(since is None or row.created_at > since for row in today)


def _messages(account: Account, strategy: Strategy | None, mine: Sequence[Recent], since: datetime) -> list[datetime]:
    """When each new order and each change of the strategy left, by the market's clock. A bracket is one order; a
    cancel is none."""
    placed = [row.market_at for row in mine if row.market_at > since]
    return [*placed, *changes_sent(account, strategy, since)]


class _StopOut(NamedTuple):
    order_id: int
    strategy_id: int | None
    instrument_id: int
    at: datetime


def _stop_outs(rows: Rows) -> list[_StopOut]:
    """The fills of protective stops, by the exchange's time."""
    stops = [row for row in rows.filled if row.order__role == Role.STOP]
    return [_StopOut(row.order_id, row.order__strategy_id, row.order__instrument_id, row.time) for row in stops]
