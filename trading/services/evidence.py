"""`apply()`: the one writer of an order from SENDING on; called by the owner's writer thread, once a broker event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import singledispatch

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from broker import types
from trading.models import Instrument, Order, OrderChange
from trading.models.order import OrderState, Role
from trading.services.accounts import account_ensure, snapshot_take
from trading.services.fills import commission_book, fill_book, filled_quantity
from trading.services.order_moves import order_document, order_move
from trading.services.order_states import ENDED, derive, evidence_of, may_move
from trading.services.rows import swap

# Codes that refuse an order which the broker never acknowledged. A notice (399, 2100-2199 …) is none of these.
REFUSING_CODES = frozenset({103, 106, 107, 110, 200, 201, 203, 321, 387, 388, 391, 403, 434, 460, 10006, 10243})
CANCEL_REFUSED_CODES = frozenset({10147, 10148})


@singledispatch
def apply(event: object) -> None:
    """Apply one broker event inside the caller's `audit.recording()`; applying it again changes nothing."""
    raise TypeError(f"no rule for {type(event).__name__}")


def _find(account: str, order_ref: str, perm_id: int = 0) -> Order | None:
    orders = Order.objects.select_for_update(of=("self",)).select_related("decision__execution__cycle")
    found = orders.filter(account=account, order_ref=order_ref).first() if order_ref else None
    if found is None and perm_id:
        found = orders.filter(account=account, perm_id=perm_id).first()
    return found


def _as_order(order: Order, write: Callable[[], None]) -> None:
    """Run `write` under the correlation id of what caused the order."""
    execution = order.decision.execution if order.decision else None
    with audit.acting(actor="broker", correlation_id=execution.correlation_id if execution else f"order.{order.pk}"):
        write()


def _settle(order: Order, *, cause: str, market_at: datetime) -> None:
    """Recompute the state from the evidence and move there, if the graph allows it."""
    filled = filled_quantity(order)
    state = derive(evidence_of(order, filled.quantity, market_at))
    old = OrderState(order.state)
    if filled.quantity != order.filled_quantity or filled.price != order.average_price:
        swap(order, filled_quantity=filled.quantity, average_price=filled.price)
    if state == old:
        return
    if old in ENDED and filled.quantity and state in (OrderState.FILLED, OrderState.PARTIALLY_FILLED):
        _alarm(order, EventType.LATE_FILL, cause, market_at)
    if old == OrderState.FILLED and not may_move(old, state):
        return
    if old == OrderState.FILLED:
        _alarm(order, EventType.BUST, cause, market_at)
    if may_move(old, state):
        order_move(order, state, cause=cause, market_at=market_at)


def _alarm(order: Order, kind: EventType, cause: str, market_at: datetime) -> None:
    audit.record(
        kind,
        f"order:{order.order_ref}",
        account=order.account_id,
        old_state=order.state,
        cause=cause,
        market_at=market_at,
        document=order_document(order),
    )


@apply.register
def _submission(event: types.SubmissionReport) -> None:
    order = _find(event.account, event.order_ref)
    if order is None:
        return
    if event.revision:
        _as_order(order, lambda: _change_submitted(order, event))
        return

    def write() -> None:
        if order.submission_state != event.state:
            swap(order, submission_state=event.state, reason=event.detail or order.reason)
        _settle(order, cause=event.detail or f"submission {event.state}", market_at=event.time)

    _as_order(order, write)


def _change_submitted(order: Order, event: types.SubmissionReport) -> None:
    change = OrderChange.objects.filter(order=order, revision=event.revision, state="SENDING").first()
    if change is not None and event.state == "VOID":
        _change_move(change, "REJECTED", event.detail or "never sent", event.time)


def _change_move(change: OrderChange, state: str, reason: str, market_at: datetime) -> None:
    old = change.state
    swap(change, state=state, reason=reason, ended_at=system_now())
    audit.record(
        EventType[f"ORDER_CHANGE_{state}"],
        f"change:{change.order.order_ref}.{change.revision}",
        version=change.version,
        old_state=old,
        new_state=state,
        account=change.order.account_id,
        cause=reason,
        market_at=market_at,
        document={"limit_price": change.limit_price, "stop_price": change.stop_price},
    )


@apply.register
def _report(event: types.OrderReport) -> None:
    order = _find(event.account, event.order_ref, event.perm_id) or _external(event)
    _as_order(order, lambda: _reported(order, event))


def _reported(order: Order, event: types.OrderReport) -> None:
    said: dict[str, object] = {
        "perm_id": event.perm_id or order.perm_id,
        "broker_status": event.status or order.broker_status,
        "broker_quantity": event.filled + event.remaining or order.broker_quantity,
        "missing": "",
    }
    if event.status == "Inactive" and order.broker_detail:
        said["rejected"] = True
    if event.status in ("PreSubmitted", "Submitted"):
        said["rejected"] = False
    if any(getattr(order, name) != value for name, value in said.items()):
        swap(order, **said)
    _acknowledge(order, event)
    _settle(order, cause=event.detail or f"broker says {event.status}", market_at=event.time)


def _acknowledge(order: Order, event: types.OrderReport) -> None:
    """A report that carries the prices asked for is the proof of a change."""
    change = OrderChange.objects.filter(order=order, state__in=("SENDING", "UNKNOWN")).order_by("revision").last()
    if change is None or (change.limit_price, change.stop_price) != (event.limit_price, event.stop_price):
        return
    swap(order, limit_price=change.limit_price, stop_price=change.stop_price)
    _change_move(change, "ACKED", "the broker shows the new price", event.time)


def _external(event: types.OrderReport | types.ExecutionReport) -> Order:
    """A row for an order that is not ours, so that its fills are counted; tagged EXTERNAL."""
    now = system_now()
    instrument, _ = Instrument.objects.get_or_create(con_id=event.con_id, defaults={"symbol": event.symbol})
    is_report = isinstance(event, types.OrderReport)
    order = Order.objects.create(
        account=account_ensure(event.account),
        instrument=instrument,
        group=f"X{event.perm_id}",
        role=Role.EXTERNAL,
        order_ref=f"X{event.perm_id}",
        perm_id=event.perm_id,
        side="BUY" if event.side.startswith("B") else "SELL",
        quantity=max(event.quantity, Decimal("0.000001")),
        order_type=event.order_type if is_report else "",
        limit_price=event.limit_price if is_report else None,
        stop_price=event.stop_price if is_report else None,
        tif=event.tif if is_report else "",
        state=OrderState.SUBMITTED,
        reason=event.order_ref,
        created_at=now,
        market_at=event.time,
    )
    with audit.acting(actor="broker", correlation_id=f"order.{order.pk}"):
        audit.record(
            EventType.ORDER_EXTERNAL,
            f"order:{order.order_ref}",
            version=order.version,
            new_state=order.state,
            account=order.account_id,
            cause="an order that this desk did not send",
            market_at=event.time,
            document=order_document(order),
        )
    return order


@apply.register
def _execution(event: types.ExecutionReport) -> None:
    order = _find(event.account, event.order_ref, event.perm_id) or _external(event)

    def write() -> None:
        if fill_book(order, event):
            if event.perm_id and order.perm_id is None:
                swap(order, perm_id=event.perm_id, missing="")
            _settle(order, cause=f"execution {event.exec_id}", market_at=event.time)

    _as_order(order, write)


@apply.register
def _commission(event: types.CommissionReport) -> None:
    commission_book(event)


@apply.register
def _message(event: types.OrderMessage) -> None:
    order = _find(event.account, event.order_ref, event.perm_id)
    if order is None:
        return

    def write() -> None:
        swap(order, broker_detail=f"{event.code} {event.message}"[:500])
        change = OrderChange.objects.filter(order=order, state="SENDING").order_by("revision").last()
        if event.code in REFUSING_CODES and change is not None:
            _change_move(change, "REJECTED", order.broker_detail, event.time)
        elif event.code in REFUSING_CODES and order.broker_status in ("", "Inactive"):
            swap(order, rejected=True)
            _settle(order, cause=order.broker_detail, market_at=event.time)

    _as_order(order, write)


@apply.register
def _missing(event: types.OrderMissing) -> None:
    order = _find(event.account, event.order_ref)
    if order is None:
        return

    def write() -> None:
        word = "proven" if event.proven else "unproven"
        if order.missing != word:
            swap(order, missing=word)
        _settle(order, cause=event.detail, market_at=event.time)

    _as_order(order, write)


@apply.register
def _account(event: types.AccountSummary) -> None:
    snapshot_take(event, (), cause="fill", market_at=event.time)


@apply.register
def _connection(event: types.ConnectionReport) -> None:
    """The owner records its connection itself; a connection says nothing about an order."""
