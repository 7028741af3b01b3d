"""What a request was answered, and what has become of it so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from trading.models import Approval, Dispatch, Order, OrderChange, OrderRequest
from trading.models.order import OrderState
from trading.models.request import RequestKind


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order as it stands: `status` is our state, `broker_status` the broker's last word."""

    order_ref: str
    role: str
    side: str
    quantity: str
    order_type: str
    limit_price: str | None
    stop_price: str | None
    status: str
    broker_status: str
    perm_id: int | None
    filled: str
    avg_price: str | None
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One change or cancel of an order."""

    order_ref: str
    kind: str
    revision: int
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """The answer to a request, the same however often it is asked; what follows from it grows.

    `state`: RECEIVED while it is worked on, REFUSED with `status`, `code`, `message` and `details`, else ACCEPTED.
    `approval`: the one that a person must give first.
    """

    request: int
    kind: str
    state: str
    status: int
    code: str
    message: str
    details: dict[str, Any]
    correlation_id: str
    approval: int | None = None
    dispatch: str = ""
    orders: tuple[OrderLine, ...] = ()
    changes: tuple[ChangeLine, ...] = ()

    @property
    def order(self) -> OrderLine | None:
        """The first order: the entry, the exit, or the leg that was changed."""
        return self.orders[0] if self.orders else None


def outcome_of(request: OrderRequest) -> RequestOutcome:
    """Read the request's row anew, and everything that came of it."""
    row = OrderRequest.objects.get(pk=request.pk)
    approval = Approval.objects.filter(request=row).first()
    mine = Q(request=row) | Q(pk__in=row.details.get("changes", []))
    changes = list(OrderChange.objects.filter(mine).select_related("order").order_by("id"))
    touched = Q(request=row) | Q(pk__in=[change.order_id for change in changes])
    if row.kind != RequestKind.PLACE and row.state == "ACCEPTED":
        touched |= Q(order_ref=row.body["order_ref"])
    orders = Order.objects.filter(touched).order_by("id")
    sendings = Dispatch.objects.filter(Q(request=row) | Q(approval__request=row)).order_by("-id")
    dispatch = sendings.first()
    state, status, code, message = row.state, row.status, row.code, row.message
    if dispatch is not None and dispatch.outcome in ("refused", "failed"):
        # The controls were asked once more as it was to leave, and what they said then is the answer.
        state, status = "REFUSED", 409
        code, _, message = dispatch.reason.partition(": ")
    return RequestOutcome(
        request=row.pk,
        kind=row.kind,
        state=state,
        status=status,
        code=code,
        message=message,
        details=row.details,
        correlation_id=row.correlation_id,
        approval=approval.pk if approval else None,
        dispatch=dispatch.state if dispatch else "",
        orders=tuple(order_line(order) for order in orders),
        changes=tuple(map(change_line, changes)),
    )


def order_line(order: Order) -> OrderLine:
    """An order as programs are told it; numbers as text, so that nothing is rounded."""
    reasons = [text for text in (order.reason, order.broker_detail) if text]
    return OrderLine(
        order_ref=order.order_ref,
        role=order.role,
        side=order.side,
        quantity=plain(order.quantity),
        order_type=order.order_type,
        limit_price=None if order.limit_price is None else plain(order.limit_price),
        stop_price=None if order.stop_price is None else plain(order.stop_price),
        status=OrderState(order.state).value,
        broker_status=order.broker_status,
        perm_id=order.perm_id,
        filled=plain(order.filled_quantity),
        avg_price=None if order.average_price is None else plain(order.average_price),
        reasons=reasons,
    )


def plain(value: Any) -> str:
    """A number as people write it."""
    return f"{value.normalize():f}"


def change_line(change: OrderChange) -> ChangeLine:
    """A change as programs are told it."""
    return ChangeLine(change.order.order_ref, change.kind, change.revision, change.state, change.reason)
