"""Writing the intent: an entry's bracket or an exit, committed as SENDING before anything may leave."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from autotrader.core import audit
from autotrader.core.audit.chain import canonical
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from trading.models import Account, Decision, Order, OrderChange, WorkflowExecution
from trading.models.decision import DecisionState
from trading.models.order import LIVE, SUFFIX, WORKING, OrderState, Role
from trading.selectors.orders import entries_since, live_entry
from trading.selectors.positions import exposure, position_quantity
from trading.services.executions import epoch_hold
from trading.services.order_moves import order_document, order_move
from trading.services.rows import swap

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
# A worker that comes back later than this after the rules had spoken sends nothing on their old word.
LONGEST_AGE = timedelta(minutes=5)


class NoRoomLeft(AutoTraderError):
    """Under the account's lock the order is no longer admitted: another took the room, or time has passed."""

    code = "NO_ROOM_LEFT"
    status = 409


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent, as the risk rules allowed it; prices on the tick grid."""

    side: str
    quantity: Decimal
    limit_price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    expires_at: datetime | None
    market_now: datetime
    configuration: dict[str, Any]


def new_group() -> str:
    """A group reference that no other order of this or any other installation carries: 60 random bits."""
    return "A" + "".join(secrets.choice(_ALPHABET) for _ in range(12))


def intent_hash(account: str, con_id: int | None, legs: list[dict[str, Any]]) -> str:
    """SHA-256 of what would be sent."""
    return hashlib.sha256(canonical([account, con_id, legs]).encode()).hexdigest()


def entry_write(
    execution: WorkflowExecution, decision: Decision, plan: Plan, *, state: OrderState = OrderState.SENDING
) -> list[Order]:
    """Commit the bracket's three rows in `state` (SENDING or SIMULATED), durable, under the account's lock.

    Raises NoRoomLeft where the position, exposure or open orders changed so that the limits no longer admit it, or
    where the decision is too old, and EpochLost.
    """
    with audit.recording(durable=True):
        account = _begin(execution, decision, plan)
        _check_room(account, decision, plan)
        entry = _bracket(decision, plan, new_group(), execution.epoch)
        legs = [entry, *entry.children.order_by("id")]
        for leg in legs:
            _send_mark(leg, state, plan)
    return legs


def _begin(execution: WorkflowExecution, decision: Decision, plan: Plan) -> Account:
    """Take the locks, execution before account, and refuse a decision that no longer stands."""
    epoch_hold(execution)
    account = Account.objects.select_for_update().get(pk=decision.account_id)
    if decision.state != DecisionState.ALLOWED:
        raise NoRoomLeft(f"The decision is {decision.state}, not allowed.", code="NOT_ALLOWED")
    if decision.quote_at is None or plan.market_now - decision.quote_at > LONGEST_AGE:
        raise NoRoomLeft(f"The decision was judged on a quote of {decision.quote_at}.", code="STALE_DECISION")
    if plan.expires_at is not None and plan.expires_at <= plan.market_now:
        raise NoRoomLeft(f"The session it was made for ended at {plan.expires_at}.", code="STALE_DECISION")
    return account


def _check_room(account: Account, decision: Decision, plan: Plan) -> None:
    limits, strategy = decision.strategy.risk_profile, decision.strategy
    if live_entry(account, strategy, decision.instrument) is not None:
        raise NoRoomLeft(f"An entry of {strategy} in {decision.instrument} is already at work.")
    held = position_quantity(account, strategy, decision.instrument)
    if held != decision.position_quantity:
        raise NoRoomLeft(f"{held} is held, {decision.position_quantity} was held when it was decided.")
    today = entries_since(strategy, account, plan.market_now.replace(hour=0, minute=0, second=0, microsecond=0))
    if today >= limits.max_orders_per_day:
        raise NoRoomLeft(f"{today} entries sent today, at most {limits.max_orders_per_day} may be.")
    now = exposure(account, decision.instrument)
    if now.open_entries >= limits.max_open_orders:
        raise NoRoomLeft(f"{now.open_entries} entries work already, at most {limits.max_open_orders} may.")
    equity = Decimal(plan.configuration.get("equity") or 0)
    value = plan.quantity * plan.limit_price
    if not equity.is_finite():
        raise NoRoomLeft("The account's equity is not known.")
    if now.total + value > equity * limits.max_exposure_fraction:
        raise NoRoomLeft(f"Exposure {now.total + value:.2f} would exceed the limit of equity {equity:.2f}.")
    if now.instrument + value > equity * limits.max_position_fraction:
        raise NoRoomLeft(f"{now.instrument + value:.2f} in {decision.instrument} would exceed the position limit.")


def _bracket(decision: Decision, plan: Plan, group: str, epoch: int) -> Order:
    away = "SELL" if plan.side == "BUY" else "BUY"
    terms: list[dict[str, Any]] = [
        {"role": Role.ENTRY, "side": plan.side, "order_type": "LMT", "limit_price": plan.limit_price, "tif": "DAY"},
        {"role": Role.STOP, "side": away, "order_type": "STP", "stop_price": plan.stop_price, "tif": "GTC"},
        {"role": Role.TARGET, "side": away, "order_type": "LMT", "limit_price": plan.target_price, "tif": "GTC"},
    ]
    digest = intent_hash(decision.account_id, decision.instrument.con_id, [*terms, {"quantity": plan.quantity}])
    entry = _create(decision, plan, group, epoch, digest, None, terms[0])
    for leg in terms[1:]:
        _create(decision, plan, group, epoch, digest, entry, leg)
    return entry


def _create(
    decision: Decision,
    plan: Plan,
    group: str,
    epoch: int,
    digest: str,
    parent: Order | None,
    terms: dict[str, Any],
) -> Order:
    order = Order.objects.create(
        account_id=decision.account_id,
        strategy=decision.strategy,
        instrument=decision.instrument,
        decision=decision,
        group=group,
        parent=parent,
        order_ref=group + SUFFIX[Role(terms["role"])],
        quantity=plan.quantity,
        epoch=epoch,
        intent_hash=digest,
        configuration=plan.configuration,
        expires_at=plan.expires_at if terms["tif"] == "DAY" else None,
        created_at=system_now(),
        market_at=plan.market_now,
        **terms,
    )
    audit.record(
        EventType.ORDER_DRAFTED,
        f"order:{order.order_ref}",
        version=order.version,
        new_state=order.state,
        account=order.account_id,
        market_at=plan.market_now,
        document=order_document(order),
    )
    order_move(order, OrderState.APPROVED, cause=f"mode {decision.strategy.mode}", market_at=plan.market_now)
    return order


def _send_mark(order: Order, state: OrderState, plan: Plan) -> None:
    if state == OrderState.SENDING:
        order_move(order, state, cause="intent", market_at=plan.market_now, sending_at=system_now())
    else:
        order_move(order, state, cause="ORDERS_ENABLED=false", market_at=plan.market_now)


def exit_write(
    execution: WorkflowExecution,
    decision: Decision,
    plan: Plan,
    *,
    state: OrderState = OrderState.SENDING,
) -> Order:
    """Commit an exit order of its own (there is no live target to move), durable.

    Raises NoRoomLeft where it could leave more than flat: by what is held now and by what closes it already.
    """
    terms = {"role": Role.EXIT, "side": plan.side, "order_type": "LMT", "limit_price": plan.limit_price, "tif": "DAY"}
    with audit.recording(durable=True):
        account = _begin(execution, decision, plan)
        _check_reduces(account, decision, plan)
        _check_protection(account, decision)
        digest = intent_hash(decision.account_id, decision.instrument.con_id, [terms, {"quantity": plan.quantity}])
        order = _create(decision, plan, new_group(), execution.epoch, digest, None, terms)
        _send_mark(order, state, plan)
    return order


def _check_reduces(account: Account, decision: Decision, plan: Plan) -> None:
    """An exit closes what is held at this moment, once."""
    held = position_quantity(account, decision.strategy, decision.instrument)
    if plan.quantity > (held if plan.side == "SELL" else -held):
        raise NoRoomLeft(f"{plan.side} {plan.quantity} would not only reduce {held}.", code="POSITION_CHANGED")
    working = _live(account, decision).filter(role=Role.EXIT).first()
    if working is not None:
        raise NoRoomLeft(f"The exit {working} is already at work.", code="EXIT_AT_WORK")


def _check_protection(account: Account, decision: Decision) -> None:
    """An exit beside protective legs joins the OCA group of a working stop; a leg outside of it could fill too."""
    legs = list(_live(account, decision).filter(role__in=(Role.STOP, Role.TARGET)))
    if legs and not any(leg.role == Role.STOP and leg.state in WORKING for leg in legs):
        raise NoRoomLeft(f"{legs[0]} is {legs[0].state}: an exit could fill beside it.", code="PROTECTION_UNCERTAIN")
    if len({leg.group for leg in legs}) > 1:
        raise NoRoomLeft("Two brackets protect it: one exit could fill beside a leg.", code="PROTECTION_UNCERTAIN")


def _live(account: Account, decision: Decision) -> QuerySet[Order]:
    return Order.objects.filter(
        account=account, strategy=decision.strategy, instrument=decision.instrument, state__in=LIVE
    )


def change_write(execution: WorkflowExecution, decision: Decision, target: Order, plan: Plan) -> OrderChange:
    """Commit the wish to move the target leg to a marketable limit, durable: the exit that is never naked.

    Raises NoRoomLeft where the leg works no more, another exit works, or it would not only reduce what is held now.
    """
    with audit.recording(durable=True):
        account = _begin(execution, decision, plan)
        target.refresh_from_db()
        if target.state not in WORKING:
            raise NoRoomLeft(f"The target {target} is {target.state}.", code="POSITION_CHANGED")
        _check_reduces(account, decision, plan)
        last = OrderChange.objects.filter(order=target).order_by("revision").last()
        change = OrderChange.objects.create(
            order=target,
            decision=decision,
            revision=(last.revision if last else 0) + 1,
            limit_price=plan.limit_price,
            state="SENDING",
            configuration=plan.configuration,
            created_at=system_now(),
        )
        audit.record(
            EventType.ORDER_CHANGE_SENDING,
            f"change:{target.order_ref}.{change.revision}",
            version=change.version,
            new_state=change.state,
            account=target.account_id,
            cause=f"exit by decision {decision.pk}",
            market_at=plan.market_now,
            document={"limit_price": plan.limit_price},
        )
    return change


def cancel_request_write(execution: WorkflowExecution, order: Order, market_at: datetime) -> None:
    """Record the wish to end an order; what becomes of it is told by evidence."""
    with audit.recording():
        epoch_hold(execution)
        order = Order.objects.select_for_update().get(pk=order.pk)
        if order.cancel_requested_at is not None:
            return
        swap(order, cancel_requested_at=system_now())
        audit.record(
            EventType.ORDER_CANCEL_REQUESTED,
            f"order:{order.order_ref}",
            version=order.version,
            old_state=order.state,
            new_state=order.state,
            account=order.account_id,
            cause="an exit was decided",
            market_at=market_at,
        )
