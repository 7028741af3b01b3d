"""`apply()`: the one writer of an order from SENDING on; called by the owner's writer thread, once a broker event.

Several events may share a transaction inside `together()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import singledispatch
from typing import Any

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from broker import types
from trading.models import Order
from trading.models.order import LIVE, TERMINAL, OrderState, Role
from trading.selectors.orders import live_entry
from trading.selectors.positions import holdings
from trading.services import doubles
from trading.services.accounts import account_ensure, snapshot_take
from trading.services.alarms import (
    bust_alarm,
    doubled_alarm,
    late_fill_alarm,
    overfill_check,
    position_alarm,
    revived_alarm,
    unrecorded_alarm,
)
from trading.services.change_evidence import (
    Shown,
    cancel_refused,
    change_acknowledge,
    change_missing,
    change_refused,
    change_submitted,
    changes_end,
    shown_by,
)
from trading.services.fills import commission_book, fill_book, filled_quantity
from trading.services.halt_cancels import cancels_report_apply
from trading.services.instruments import instrument_of_contract
from trading.services.order_moves import correlation_of, order_document, order_move
from trading.services.order_states import CANCELLED_WORDS, ENDED, FINAL_WORDS, derive, evidence_of, may_move
from trading.services.rows import swap
from trading.services.sought import order_of_perm_id, order_of_ref, out_of_the_ordinary, sought_together

# Codes that refuse an order which the broker never acknowledged. A notice (399, 2100-2199 …) is none of these.
REFUSING_CODES = frozenset({103, 106, 107, 110, 200, 201, 203, 321, 387, 388, 391, 403, 434, 460, 10006, 10243})
# Codes that refuse a change of a working order; the order itself works on (or has ended) all the same.
CHANGE_REFUSED_CODES = REFUSING_CODES | {104, 105, 10147, 10148}
# Codes beside an Inactive order that do not refuse it: held until the open, until shares are found, a preset applied.
NOTICE_CODES = frozenset({399, 404, 10349, *range(2100, 2200)})
WIDTHS = {"order_type": 10, "tif": 5}  # as the table has them
ABOUT_ORDERS = (types.SubmissionReport, types.OrderReport, types.ExecutionReport)


@singledispatch
def apply(event: object) -> None:
    """Apply one broker event inside the caller's `audit.recording()`; applying it again changes nothing."""
    raise TypeError(f"no rule for {type(event).__name__}")


@contextmanager
def together(events: Sequence[object]) -> Iterator[None]:
    """For the length of the block these events of ours are applied one by one, in this order, in one transaction.

    `apply` raises BetterAlone in it where an event is out of the ordinary: then each is to have its own transaction.
    """
    about = [event for event in events if isinstance(event, ABOUT_ORDERS)]
    names = {(event.account, event.order_ref) for event in about}
    changes = any(not isinstance(event, types.SubmissionReport) for event in about)
    with sought_together(names, changes=changes):
        yield


def _find(account: str, order_ref: str, perm_id: int = 0) -> Order | None:
    found = order_of_ref(account, order_ref) if order_ref else None
    if found is not None and perm_id and found.perm_id not in (None, perm_id):
        found = None  # one more order under our reference: a copy made by hand, or a change that became a second order
    if found is None and perm_id:
        found = order_of_perm_id(account, perm_id)
    return found


def _as_order(order: Order, write: Callable[[], None]) -> None:
    """Run `write` under the correlation id of what caused the order."""
    with audit.acting(actor="broker", correlation_id=correlation_of(order)):
        write()


def order_settle(order: Order, *, cause: str, market_at: datetime, fills: bool = True, **said: object) -> None:
    """Recompute the state from the evidence and move there, if the graph allows it; `said` is written with it.

    Without `fills`, the row's own sum of them stands: no fill came, went or changed since it was written.
    """
    said = _differing(order, said)
    if fills:
        said |= _filled(order, cause, market_at)
    old = OrderState(order.state)
    state = derive(evidence_of(order, order.filled_quantity, market_at))
    if state != old and may_move(old, state):
        successor = _in_its_place(order, state)
        if successor is not None:
            revived_alarm(order, state, successor, market_at)
        else:
            order_move(order, state, cause=cause, market_at=market_at, **said)
            said = {}
    if said:
        swap(order, **said)
    if order.state in TERMINAL:
        changes_end(order, market_at)


def _differing(order: Order, said: dict[str, object]) -> dict[str, object]:
    """What of it the row does not say yet. The order says it from here on; its row, once that is written."""
    differing = {name: value for name, value in said.items() if getattr(order, name) != value}
    for name, value in differing.items():
        setattr(order, name, value)
    return differing


def _filled(order: Order, cause: str, market_at: datetime) -> dict[str, object]:
    """The sum of the fills, if it is news; a fill of an ended order and a fill taken back are alarmed."""
    filled, before = filled_quantity(order), order.filled_quantity
    said = _differing(order, {"filled_quantity": filled.quantity, "average_price": filled.price})
    if not said:
        return said
    if filled.quantity > before and order.state in ENDED:
        late_fill_alarm(order, cause, market_at)
    if filled.quantity < before:
        bust_alarm(order, cause, market_at)
    if filled.quantity > before:
        overfill_check(order, cause, market_at)
    return said


def _in_its_place(order: Order, state: OrderState) -> Order | None:
    """Where an entry that had ended lives again, the later one that took its place: its fills are booked, no more."""
    if order.role != Role.ENTRY or order.state in LIVE or state not in LIVE:
        return None
    out_of_the_ordinary("an entry that lives again")
    return live_entry(order.account, order.strategy, order.instrument)


@apply.register
def _submission(event: types.SubmissionReport) -> None:
    order = _find(event.account, event.order_ref)
    if order is None:
        return
    if event.revision:
        _as_order(order, lambda: change_submitted(order, event))
        return

    def write() -> None:
        said: dict[str, object] = {}
        if order.submission_state not in (event.state, "VOID"):
            said = {"submission_state": event.state, "reason": event.detail or order.reason}
        cause = event.detail or f"submission {event.state}"
        order_settle(order, cause=cause, market_at=event.time, fills=False, **said)

    _as_order(order, write)


@apply.register
def _report(event: types.OrderReport) -> None:
    order = _find(event.account, event.order_ref, event.perm_id) or _external(event)
    _as_order(order, lambda: _reported(order, event))


def _reported(order: Order, event: types.OrderReport) -> None:
    unrecorded_alarm(order, event)
    staying = doubles.survivor(order) if event.status in CANCELLED_WORDS else None
    if staying is not None:
        out_of_the_ordinary("an order whose double stays")
        doubles.change_places(order, staying, market_at=event.time)
        change_acknowledge(order, Shown(staying.limit_price, staying.stop_price, _quantities(staying)), event.time)
        order_settle(order, cause="its double stays at the broker", market_at=event.time)
        order = staying  # the one that has ended is known by this row from now on
    said: dict[str, object] = {"perm_id": event.perm_id or order.perm_id, "missing": ""}
    if order.broker_status not in FINAL_WORDS or event.status in FINAL_WORDS:
        said |= _said_of_state(order, event)
    change_acknowledge(order, shown_by(event), event.time)
    cause = event.detail or f"broker says {event.status}"
    order_settle(order, cause=cause, market_at=event.time, fills=staying is not None, **said)


def _said_of_state(order: Order, event: types.OrderReport) -> dict[str, object]:
    """What the report says of the order's life. A list taken before the last word came is older than that word."""
    said: dict[str, object] = {
        "broker_status": event.status or order.broker_status,
        "broker_quantity": event.filled + event.remaining or order.broker_quantity,
    }
    if event.status == "Inactive" and (event.completed or _is_refusal(order.broker_detail)):
        said["rejected"] = True
    if event.status in ("PreSubmitted", "Submitted"):
        said["rejected"] = False
    return said


def _is_refusal(detail: str) -> bool:
    code = detail.partition(" ")[0]
    return code.isdigit() and int(code) not in NOTICE_CODES


def _quantities(order: Order) -> frozenset[Decimal]:
    """An order's quantity by our row, and by the broker's word."""
    return frozenset({order.quantity, order.broker_quantity or order.quantity})


def _external(event: types.OrderReport | types.ExecutionReport) -> Order:
    """A row for an order that is not ours, so that its fills are counted; tagged EXTERNAL."""
    out_of_the_ordinary("an order of somebody else")
    now = system_now()
    instrument = instrument_of_contract(event.con_id, event.symbol)
    told: dict[str, Any] = {}
    if isinstance(event, types.OrderReport):
        told = {name: getattr(event, name) for name in ("limit_price", "stop_price")}
        # Others send types of any length (TRAIL LIMIT); a word that does not fit must not keep their fills out.
        told |= {name: getattr(event, name)[:width] for name, width in WIDTHS.items()}
        told |= {"configuration": {"origin": event.origin}} if event.origin else {}
    order = Order.objects.create(
        account=account_ensure(event.account),
        instrument=instrument,
        group=f"X{event.perm_id}",
        role=Role.EXTERNAL,
        order_ref=f"X{event.perm_id}",
        perm_id=event.perm_id,
        side="BUY" if event.side.startswith("B") else "SELL",
        quantity=max(event.quantity, Decimal("0.000001")),
        state=OrderState.SUBMITTED,
        reason=event.order_ref,
        created_at=now,
        market_at=event.time,
        **told,
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
            perm_id = order.perm_id or event.perm_id or None
            cause = f"execution {event.exec_id}"
            order_settle(order, cause=cause, market_at=event.time, perm_id=perm_id, missing="")
            unrecorded_alarm(order, event)

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
        detail = f"{event.code} {event.message}"[:500]
        if order.broker_detail != detail:
            swap(order, broker_detail=detail)
        if cancel_refused(order, event, detail):
            return
        if event.code in CHANGE_REFUSED_CODES and change_refused(order, detail, event.time):
            return
        if event.code in REFUSING_CODES and order.broker_status in ("", "Inactive") and not order.rejected:
            swap(order, rejected=True)
            order_settle(order, cause=detail, market_at=event.time)

    _as_order(order, write)


@apply.register
def _missing(event: types.OrderMissing) -> None:
    order = _find(event.account, event.order_ref)
    if order is None:
        return

    def write() -> None:
        if event.revision:
            change_missing(order, event)
            return
        word = "proven" if event.proven else "unproven"
        if order.missing != word:
            swap(order, missing=word)
        order_settle(order, cause=event.detail, market_at=event.time)

    _as_order(order, write)


@apply.register
def _account(event: types.AccountSummary) -> None:
    snapshot_take(event, holdings(event.account), cause="fill", market_at=event.time)


@apply.register
def _connection(event: types.ConnectionReport) -> None:
    """The owner records its connection itself; a connection says nothing about an order."""


@apply.register
def _position(event: types.PositionMismatch) -> None:
    position_alarm(event)


@apply.register
def _cancels(event: types.CancelsReport) -> None:
    cancels_report_apply(event)


@apply.register
def _doubled(event: types.OrderDoubled) -> None:
    doubles.record(event)
    doubled_alarm(event)
