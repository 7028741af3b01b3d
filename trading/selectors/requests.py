"""What a request was answered, and what has become of it so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from django.db.models import Q, QuerySet

from autotrader.core.audit.models import Event
from autotrader.core.errors import AutoTraderError
from autotrader.core.users.limits import UNLIMITED, Limits
from trading.models import Approval, Dispatch, Order, OrderChange, OrderRequest, RiskVerdict
from trading.models.approval import ApprovalState
from trading.models.order import OrderState
from trading.models.request import RequestKind
from trading.selectors.approvals import sent_of
from trading.selectors.request_statuses import status_of

SHOWN_EVENTS = 200
REFUSED_AT_SENDING = ("refused", "failed")
ENDED_UNUSED = (ApprovalState.REJECTED, ApprovalState.EXPIRED, ApprovalState.VOID)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order as it stands: `status` is our state, `broker_status` the broker's last word; numbers as text."""

    TOP: ClassVar = ("order_ref", "perm_id", "status", "filled", "avg_price", "reasons")

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
    `approval`: the one that a person must give first, or that was taken back.
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


@dataclass(frozen=True, slots=True)
class RequestStory:
    """A request with everything that explains it; `said_at_sending`: why it did not leave after all."""

    request: OrderRequest
    wish: str
    said_at_sending: str
    approval: Approval | None
    dispatch: Dispatch | None
    orders: list[Order]
    changes: list[OrderChange]
    verdicts: list[RiskVerdict]
    events: list[Event]


def request_story(request: OrderRequest) -> RequestStory:
    """Everything the page of a request shows, in a fixed number of queries."""
    row = OrderRequest.objects.select_related("account", "strategy", "instrument").get(pk=request.pk)
    approval, dispatch = _approval(row), _dispatch(row)
    changes = _changes(row)
    return RequestStory(
        request=row,
        wish=wish_of(row),
        said_at_sending=_said_at_sending(row, approval, dispatch),
        approval=approval,
        dispatch=dispatch,
        orders=list(_orders(row, changes).select_related("instrument")),
        changes=changes,
        verdicts=list(row.verdicts.order_by("allowed", "id")),
        events=list(Event.objects.filter(correlation_id=row.correlation_id).order_by("seq")[:SHOWN_EVENTS]),
    )


def wish_of(request: OrderRequest) -> str:
    """What was asked, in a few words; a body may hold anything."""
    names = (
        "approval",
        "order_ref",
        "side",
        "quantity",
        "symbol",
        "con_id",
        "order_type",
        "limit_price",
        "stop_price",
        "target_price",
    )
    said = {"approval": "approval ", "limit_price": "at ", "stop_price": "stop ", "target_price": "target "}
    shown = [said.get(name, "") + str(request.body[name])[:40] for name in names if request.body.get(name) is not None]
    return " ".join(shown) or "–"


def _approval(row: OrderRequest) -> Approval | None:
    """The one that a person must give to it, or that it took back."""
    taken_back = _taken_back(row)
    mine = Q(request=row) if taken_back is None else Q(pk=taken_back)
    return Approval.objects.filter(mine).first()


def _taken_back(row: OrderRequest) -> int | None:
    """The approval that an accepted request took back before it was used."""
    named = row.body.get("approval") if row.kind == RequestKind.CANCEL and row.state == "ACCEPTED" else None
    return None if named is None else int(named)


def _dispatch(row: OrderRequest) -> Dispatch | None:
    """The newest work that sends it: of the request itself, or of its approval."""
    return Dispatch.objects.filter(Q(request=row) | Q(approval__request=row)).order_by("-id").first()


def _said_at_sending(row: OrderRequest, approval: Approval | None, dispatch: Dispatch | None) -> str:
    """Why it did not leave after all. Work may also fail once its rows are committed; what became of it they tell."""
    if dispatch is None or dispatch.outcome not in REFUSED_AT_SENDING or sent_of(approval, None, row.pk):
        return ""
    return dispatch.reason


def _said_to_approval(row: OrderRequest, approval: Approval | None) -> str:
    """Why what a person was asked for will not leave, where no order's row tells it: an exit has none before."""
    ended = approval is not None and approval.state in ENDED_UNUSED
    if approval is None or not ended or row.kind != RequestKind.PLACE or sent_of(approval, None, row.pk):
        return ""
    return "" if Order.objects.filter(request=row).exists() else approval.reason


def _changes(row: OrderRequest) -> list[OrderChange]:
    mine = Q(request=row) | Q(pk__in=row.details.get("changes", []))
    return list(OrderChange.objects.filter(mine).select_related("order").order_by("id"))


def _orders(row: OrderRequest, changes: list[OrderChange]) -> QuerySet[Order]:
    touched = Q(request=row) | Q(pk__in=[change.order_id for change in changes])
    if row.kind != RequestKind.PLACE and row.state == "ACCEPTED":
        taken_back = _taken_back(row)
        touched |= Q(order_ref=row.body["order_ref"]) if taken_back is None else Q(approval=taken_back)
    return Order.objects.filter(touched).order_by("id")


def outcome_of(request: OrderRequest) -> RequestOutcome:
    """Read the request's row anew, and everything that came of it."""
    row = OrderRequest.objects.get(pk=request.pk)
    approval, dispatch, changes = _approval(row), _dispatch(row), _changes(row)
    state, status, code, message = row.state, row.status, row.code, row.message
    said = _said_at_sending(row, approval, dispatch) or _said_to_approval(row, approval)
    if said:
        # What the controls, asked once more as it was to leave, or a person said last is the answer.
        code, _, message = said.partition(": ")
        state, status = "REFUSED", status_of(code, 409)
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
        orders=tuple(map(order_line, _orders(row, changes))),
        changes=tuple(map(change_line, changes)),
    )


class NoSuchOrder(AutoTraderError):
    """There is no such order here: correct its reference."""

    code = "UNKNOWN_ORDER"
    status = 404


def order_status(order_ref: str, limits: Limits = UNLIMITED) -> OrderLine:
    """One order by its reference. Raises NoSuchOrder, KeyLimited."""
    return order_line(order_named(order_ref, limits))


def order_named(order_ref: str, limits: Limits = UNLIMITED) -> Order:
    """The row of that reference with what it belongs to. Raises NoSuchOrder, and KeyLimited where the limits of the
    key that asks do not cover it."""
    rows = Order.objects.select_related("account", "strategy__risk_profile", "instrument", "parent", "request")
    found = rows.filter(order_ref=order_ref).first()
    if found is None:
        raise NoSuchOrder(f"There is no order {order_ref[:40]}.", details={"field": "order_ref"})
    limits.check(account=found.account_id, strategy=found.strategy_id)
    return found


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
