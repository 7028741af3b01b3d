"""What a person does about a difference: leave it, take the broker's side, end an order, or set messages aside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import QuerySet

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from autotrader.core.money import quantize_price
from trading.models import Account, Discrepancy, Fill, Order, Strategy
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import OrderState, Role
from trading.services.cash import ADJUSTMENT, cash_accept
from trading.services.discrepancies import discrepancy_resolve
from trading.services.evidence import order_settle
from trading.services.order_moves import order_document, order_move
from trading.services.order_states import BY_PERSON
from trading.services.rows import swap
from trading.services.trades import ledger_of, trades_rebuild

LEAVE, ADJUST, ACCEPT, ENDED, ASIDE = "leave", "adjust", "accept", "ended", "aside"
REMEDIES = (LEAVE, ADJUST, ACCEPT, ENDED, ASIDE)
WAITING = (OrderState.SENDING, OrderState.SUBMITTED, OrderState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a person chose. Of ADJUST: at which `price` (positive), and into whose ledger (None: outside the desk)."""

    name: str
    reason: str
    price: Decimal | None = None
    strategy: Strategy | None = None


def remedy_of(name: str, reason: str, price: Decimal | None, strategy_id: int | None) -> Remedy:
    """A remedy as a program says it. Raises Invalid for a strategy that is none."""
    strategy = Strategy.objects.filter(pk=strategy_id).first() if strategy_id is not None else None
    if strategy_id is not None and strategy is None:
        raise _no_holder(f"strategy {strategy_id}")
    return Remedy(name, reason, price, strategy)


def _no_holder(named: str) -> Invalid:
    problem = f"{named} holds nothing of it; name a strategy that does, or none"
    details = {"field": "strategy", "fields": {"strategy": problem}}
    return Invalid(f"strategy: {problem}.", code="NO_SUCH_HOLDER", details=details)


def remedies(discrepancy: Discrepancy) -> list[str]:
    """What may be done about it, the usual thing first."""
    if discrepancy.kind == DiscrepancyKind.POSITION:
        return [ADJUST, LEAVE]
    if discrepancy.kind == DiscrepancyKind.CASH:
        return [ACCEPT]
    if discrepancy.kind == DiscrepancyKind.BLOCKED:
        return [ASIDE]
    order = discrepancy.order
    waits = order is not None and discrepancy.subject == f"order:{order.order_ref}" and order.state in WAITING
    return [ENDED] if waits and discrepancy.kind == DiscrepancyKind.UNKNOWN_ORDER else [LEAVE]


def holders(discrepancy: Discrepancy) -> QuerySet[Strategy]:
    """Whose position an adjustment may change: the strategies that hold the contract in the account."""
    held = Strategy.objects.filter(trades__account=discrepancy.account_id, trades__state="OPEN")
    return held.filter(trades__instrument=discrepancy.instrument_id).distinct()


def resolve(discrepancy: Discrepancy, remedy: Remedy, *, actor: str) -> Discrepancy:
    """Carry the remedy out and resolve, in one transaction.

    Raises Invalid without a reason, for a remedy that this kind does not have or a price that is none; Conflict where
    it was resolved or changed since it was read.
    """
    if remedy.name not in remedies(discrepancy):
        raise Invalid(f"This difference is not resolved by '{remedy.name}'.", code="NO_SUCH_REMEDY")
    with audit.acting(actor=actor), audit.recording():
        Account.objects.select_for_update(no_key=True).get(pk=discrepancy.account_id)
        discrepancy_resolve(discrepancy, actor=actor, reason=remedy.reason)
        if remedy.name == ADJUST:
            _adjust(discrepancy, remedy, system_now())
        elif remedy.name == ACCEPT:
            cash_accept(discrepancy.account_id, Decimal(discrepancy.document["difference_in_cash"]))
        elif remedy.name == ENDED:
            _end_order(discrepancy, remedy.reason)
    return discrepancy


def _end_order(discrepancy: Discrepancy, reason: str) -> None:
    """The person has looked: the broker does not have it. Should it show up all the same, it lives again."""
    assert discrepancy.order_id is not None
    order = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=discrepancy.order_id)
    if order.state not in WAITING:
        raise Conflict(f"{order.order_ref} is {order.state} by now.", code="ORDER_PROVEN")
    swap(order, missing=BY_PERSON)
    order_settle(order, cause=f"by a person's word: {reason}", market_at=order.market_at)


def _adjust(discrepancy: Discrepancy, remedy: Remedy, now: datetime) -> None:
    """Book what the broker holds beyond our fills, as one fill of an order outside the desk; no cash is told of it."""
    if remedy.price is None or not remedy.price.is_finite() or remedy.price <= 0:
        raise Invalid("Give the price at which it was traded.", code="PRICE_MISSING", details={"field": "price"})
    if remedy.strategy is not None and not holders(discrepancy).filter(pk=remedy.strategy.pk).exists():
        raise _no_holder(str(remedy.strategy))
    if discrepancy.instrument is None:
        raise Invalid("The contract is not known to the desk yet; add the instrument first.", code="NO_INSTRUMENT")
    excess = Decimal(discrepancy.document["excess"])
    name = f"ADJ{discrepancy.pk}"
    order = Order.objects.create(
        account_id=discrepancy.account_id,
        strategy=remedy.strategy,
        instrument=discrepancy.instrument,
        group=name,
        role=Role.EXTERNAL,
        order_ref=name,
        side="BUY" if excess > 0 else "SELL",
        quantity=abs(excess),
        order_type="ADJUSTMENT",
        state=OrderState.SUBMITTED,
        reason=remedy.reason,
        filled_quantity=abs(excess),
        average_price=quantize_price(remedy.price),
        created_at=now,
        market_at=discrepancy.market_at,
    )
    cause = f"adjustment by a person: {remedy.reason}"
    _record(order, EventType.ORDER_EXTERNAL, cause, discrepancy.market_at)
    _book(order, discrepancy, now)
    order_move(order, OrderState.FILLED, cause=cause, market_at=discrepancy.market_at)
    trades_rebuild(ledger_of(order), market_at=discrepancy.market_at)


def _book(order: Order, discrepancy: Discrepancy, now: datetime) -> None:
    root = f"{ADJUSTMENT}{discrepancy.pk}"
    assert order.average_price is not None
    fill = Fill.objects.create(
        account=order.account,
        order=order,
        exec_id=f"{root}.01",
        exec_root=root,
        side=order.side,
        quantity=order.quantity,
        price=order.average_price,
        commission=Decimal(0),
        time=_after_the_others(order, discrepancy.market_at),
        at=now,
    )
    audit.record(
        EventType.FILL_BOOKED,
        f"fill:{fill.exec_id}",
        account=fill.account_id,
        cause="adjustment",
        market_at=fill.time,
        document={"order_ref": order.order_ref, "side": fill.side, "quantity": fill.quantity, "price": fill.price},
    )


def _after_the_others(order: Order, market_at: datetime) -> datetime:
    """What was booked before is not undone: the adjustment comes last in its ledger."""
    booked = Fill.objects.filter(
        account=order.account, order__strategy=order.strategy, order__instrument=order.instrument, superseded=False
    )
    newest = booked.order_by("-time").values_list("time", flat=True).first()
    return market_at if newest is None else max(market_at, newest)


def _record(order: Order, kind: EventType, cause: str, market_at: datetime) -> None:
    audit.record(
        kind,
        f"order:{order.order_ref}",
        version=order.version,
        new_state=order.state,
        account=order.account_id,
        cause=cause,
        market_at=market_at,
        document=order_document(order),
    )
