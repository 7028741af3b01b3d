"""What the desk's page reads of our own rows: history and work, beside the live numbers that the broker tells."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Q

from broker import types
from trading.models import Approval, Cycle, Discrepancy, Order, Trade, WorkflowExecution
from trading.models.account import AccountKind
from trading.models.approval import ApprovalState
from trading.models.cycle import CYCLE_ENDED, EXECUTION_ENDED, ExecutionState
from trading.models.order import AT_BROKER, TERMINAL, Role
from trading.selectors.approvals import strategy_of

SHOWN_RUNNING = 10
SHOWN_ENDED = 5
SHOWN_APPROVALS = 20
SHOWN_DIFFERENCES = 8
BY_HAND = "by hand"
AT_A_BROKER = (AccountKind.PAPER, AccountKind.LIVE)


# Positions


@dataclass(frozen=True, slots=True)
class Holder:
    """A strategy that has a trade open in a contract; `quantity` is by our records, negative = short."""

    strategy_id: int | None
    name: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class PositionLine:
    """A holding as the broker tells it, in the contract's currency, and who holds it by our records.

    None is what the broker has not said.
    """

    con_id: int
    symbol: str
    quantity: Decimal
    average_cost: Decimal
    price: Decimal | None
    value: Decimal | None
    open_pnl: Decimal | None
    day_pnl: Decimal | None
    currency: str
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class PositionSum:
    """All holdings in one currency; None where the broker has not told one of the parts."""

    currency: str
    value: Decimal | None
    open_pnl: Decimal | None
    day_pnl: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionTable:
    """The holdings by symbol, and their sums, one a currency."""

    lines: list[PositionLine]
    sums: list[PositionSum]


def position_table(
    account_id: str, positions: Collection[types.Position], pnl: types.ProfitAndLoss | None
) -> PositionTable:
    """The broker's holdings, each with who holds it by our open trades; one query."""
    today = {part.con_id: part.daily for part in pnl.positions} if pnl else {}
    holders = _holders(account_id)
    lines = [_position_line(position, today, holders) for position in positions]
    lines.sort(key=lambda line: (line.symbol, line.con_id))
    currencies = sorted({line.currency for line in lines})
    return PositionTable(lines, [_position_sum(currency, lines) for currency in currencies])


def _position_line(
    position: types.Position, today: dict[int, Decimal | None], holders: dict[int, list[Holder]]
) -> PositionLine:
    return PositionLine(
        con_id=position.con_id,
        symbol=position.symbol,
        quantity=position.quantity,
        average_cost=position.average_cost,
        price=position.market_price,
        value=position.market_value,
        open_pnl=position.unrealized_pnl,
        day_pnl=today.get(position.con_id),
        currency=position.currency,
        holders=tuple(holders.get(position.con_id, ())),
    )


def _position_sum(currency: str, lines: Iterable[PositionLine]) -> PositionSum:
    mine = [line for line in lines if line.currency == currency]
    return PositionSum(
        currency,
        _total([line.value for line in mine]),
        _total([line.open_pnl for line in mine]),
        _total([line.day_pnl for line in mine]),
    )


def _total(values: list[Decimal | None]) -> Decimal | None:
    """The sum; None where a part is not known, since a sum without it would be wrong."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if len(known) == len(values) else None


def _holders(account_id: str) -> dict[int, list[Holder]]:
    """Who holds what by the account's open trades, by con_id."""
    trades = Trade.objects.filter(account_id=account_id, state="OPEN").order_by("id")
    named = ("instrument__con_id", "strategy_id", "strategy__name", "side", "open_quantity")
    found: dict[int, list[Holder]] = {}
    for con_id, strategy_id, name, side, quantity in trades.values_list(*named):
        signed = quantity if side == "long" else -quantity
        found.setdefault(con_id or 0, []).append(Holder(strategy_id, name or BY_HAND, signed))
    return found


# Working orders


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order as it works at the broker, and our row of it; None where we have none. `note` says what is odd."""

    told: types.OrderReport
    row: Order | None
    note: str

    @property
    def is_external(self) -> bool:
        """True of an order that this desk did not send."""
        return self.row is None or self.row.role == Role.EXTERNAL

    @property
    def may_end(self) -> bool:
        """True where the desk can ask for its end."""
        return self.row is not None and can_end(self.row)


def order_lines(account_id: str, orders: Collection[types.OrderReport]) -> list[OrderLine]:
    """The broker's working orders, by symbol, each joined to our row by reference, else by permanent id; one query."""
    refs = {order.order_ref for order in orders if order.order_ref}
    perm_ids = {order.perm_id for order in orders if order.perm_id}
    rows = Order.objects.filter(Q(order_ref__in=refs) | Q(perm_id__in=perm_ids), account_id=account_id)
    rows = rows.select_related("strategy").order_by("id")
    known = {row.order_ref: row for row in rows}
    by_id = {row.perm_id: row for row in known.values()}
    lines = [_order_line(order, known.get(order.order_ref) or by_id.get(order.perm_id or -1)) for order in orders]
    return sorted(lines, key=lambda line: (line.told.symbol, line.told.order_ref, line.told.perm_id))


def _order_line(told: types.OrderReport, row: Order | None) -> OrderLine:
    if row is not None and row.perm_id and told.perm_id and row.perm_id != told.perm_id:
        return OrderLine(told, None, f"uses the reference of {row.order_ref}, whose id at the broker is {row.perm_id}")
    if row is not None and row.state in TERMINAL:
        return OrderLine(told, row, "has ended by our records")
    return OrderLine(told, row, "")


def can_end(order: Order) -> bool:
    """True where the order has not ended and is one that this desk sent to a broker, or is about to."""
    shadow = order.account_id.startswith("SHADOW:")
    return order.role != Role.EXTERNAL and order.state not in TERMINAL and not shadow


def orders_at_broker() -> int:
    """How many orders were at a broker by our records, for when the broker does not answer."""
    return Order.objects.filter(state__in=AT_BROKER, account__kind__in=AT_A_BROKER).count()


# Cycles


@dataclass(frozen=True, slots=True)
class CycleLine:
    """A cycle and how far it is: executions in all, ended, failed, and those that led to an order."""

    cycle: Cycle
    strategies: tuple[str, ...]
    total: int
    ended: int
    failed: int
    ordered: int

    @property
    def is_running(self) -> bool:
        """True until it has ended."""
        return self.cycle.state not in CYCLE_ENDED


def cycle_lines() -> list[CycleLine]:
    """Those that run first, then the last that ended, newest first; three queries."""
    running = list(Cycle.objects.exclude(state__in=CYCLE_ENDED).order_by("-id")[:SHOWN_RUNNING])
    ended = list(Cycle.objects.filter(state__in=CYCLE_ENDED).order_by("-id")[:SHOWN_ENDED])
    cycles = running + ended
    parts: dict[int, list[tuple[str, str, str, int]]] = {}
    counted = WorkflowExecution.objects.filter(cycle__in=[cycle.pk for cycle in cycles]).order_by("strategy__name")
    grouped = counted.values_list("cycle_id", "strategy__name", "state", "outcome").annotate(count=Count("id"))
    for cycle_id, *part in grouped:
        parts.setdefault(cycle_id, []).append((part[0], part[1], part[2], part[3]))
    return [_cycle_line(cycle, parts.get(cycle.pk, [])) for cycle in cycles]


def _cycle_line(cycle: Cycle, parts: list[tuple[str, str, str, int]]) -> CycleLine:
    return CycleLine(
        cycle=cycle,
        strategies=tuple(dict.fromkeys(name for name, _, _, _ in parts)),
        total=sum(count for _, _, _, count in parts),
        ended=sum(count for _, state, _, count in parts if state in EXECUTION_ENDED),
        failed=sum(count for _, state, _, count in parts if state == ExecutionState.FAILED),
        ordered=sum(count for _, _, outcome, count in parts if outcome == "ordered"),
    )


# What waits for a person


@dataclass(frozen=True, slots=True)
class ApprovalLine:
    """An order that waits for a person; `seconds_left` None where the market's time is not known."""

    approval: Approval
    side: str
    strategy: str
    seconds_left: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many orders wait, and those that end first."""

    total: int
    lines: list[ApprovalLine]


def approvals_waiting(market_now: datetime | None) -> Waiting:
    """Orders that wait for a person's word, the soonest to expire first; two queries."""
    pending = Approval.objects.filter(state=ApprovalState.PENDING)
    rows = pending.select_related("instrument", "decision__strategy", "request__strategy").order_by("expires_at", "id")
    lines = [_approval_line(approval, market_now) for approval in rows[:SHOWN_APPROVALS]]
    return Waiting(pending.count(), lines)


def _approval_line(approval: Approval, market_now: datetime | None) -> ApprovalLine:
    strategy = strategy_of(approval)
    left = None if market_now is None else max(int((approval.expires_at - market_now).total_seconds()), 0)
    return ApprovalLine(approval, approval.terms["legs"][0]["side"], strategy.name if strategy else BY_HAND, left)


@dataclass(frozen=True, slots=True)
class Differences:
    """How many differences to the broker are open, how many of them block entries, and the oldest that do."""

    total: int
    blocking: int
    rows: list[Discrepancy]


def differences() -> Differences:
    """Open differences; two queries."""
    found = Discrepancy.objects.filter(state="OPEN")
    counted = found.aggregate(total=Count("id"), blocking=Count("id", filter=Q(blocking=True)))
    rows = found.filter(blocking=True).select_related("instrument").order_by("id")[:SHOWN_DIFFERENCES]
    return Differences(counted["total"], counted["blocking"], list(rows))
