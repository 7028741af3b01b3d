"""Orders by our records: the list with its filters, one order with all that became of it, and its end by a person."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from autotrader.core.errors import AutoTraderError
from autotrader.core.forms import CancelForm, StopCancelForm
from trading.models import Order
from trading.models.order import TERMINAL, OrderState, Role
from trading.selectors.pages.orders import (
    order_found,
    order_read,
    orders_among,
    orders_count,
    orders_listed,
    orders_whole,
)
from trading.selectors.requests import RequestOutcome
from trading.services.brokers import broker_or_away
from trading.services.requests import Caller, cancel_request
from trading.web.kit import FEED, head, page, panel, shown_to
from trading.web.trades import (
    MOST_ROWS,
    ONLY,
    ListFilters,
    choice,
    csv_answer,
    list_context,
    row_list,
    rows_alone,
    taken,
)

VIEW = "trading.view_order"
BODY = "web/orders/_body.html"
CANCEL = "trading.request_order"
PROTECTION = "trading.remove_protection"
COLUMNS = {
    "order_ref": "order_ref", "perm_id": "perm_id", "account": "account_id", "strategy": "strategy__name",
    "symbol": "instrument__symbol", "role": "role", "side": "side", "quantity": "quantity",
    "order_type": "order_type", "limit_price": "limit_price", "stop_price": "stop_price", "tif": "tif",
    "state": "state", "broker_status": "broker_status", "filled": "filled_quantity", "average_price": "average_price",
    "reason": "reason", "broker_detail": "broker_detail", "decision": "decision_id", "created_at": "created_at",
    "market_at": "market_at", "ended_at": "ended_at",
}  # fmt: skip


ORDER_ROWS = row_list(VIEW, BODY, "order_ref", orders_among)


class OrderFilters(ListFilters):
    """What the list of orders is narrowed to."""

    state = choice(OrderState.values)
    role = choice(Role.values)
    side = choice(("BUY", "SELL"))


@require_safe
@shown_to(VIEW)
def order_list(request: HttpRequest) -> HttpResponseBase:
    """Orders, newest first, narrowed by what the address says."""
    after = head()
    try:
        context = list_context(request, OrderFilters(request.GET), orders_listed)
    except AutoTraderError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(reverse("orders"))
    return page(request, "web/orders/list.html", context, after=after)


@require_safe
@shown_to(VIEW)
def order_rows(request: HttpRequest) -> HttpResponseBase:
    """The newest orders anew, or some of them, narrowed as the page is."""
    form = OrderFilters(request.GET)
    if ONLY in request.GET:
        return rows_alone(request, form, BODY, orders_among)
    context = list_context(request, form, orders_listed, is_first=True)
    return panel(request, "web/orders/_rows.html", context)


@require_safe
@shown_to(VIEW)
def order_csv(request: HttpRequest) -> HttpResponseBase:
    """What the list shows, as a file of at most MOST_ROWS rows, the newest first."""
    form = OrderFilters(request.GET)
    if not form.is_valid():
        messages.error(request, "Correct the filters first.")
        return HttpResponseRedirect(reverse("orders"))
    taken(request, "order", form, orders_count(form.asked(), MOST_ROWS))
    return csv_answer(request, "orders", COLUMNS, orders_whole(form.asked(), MOST_ROWS))


@require_safe
@shown_to(VIEW)
def order_page(request: HttpRequest, order_ref: str) -> HttpResponseBase:
    """One order with its group, fills, changes, frames, differences and events."""
    after = head()
    return page(request, "web/orders/order.html", _context(request, order_ref), after=after)


@require_safe
@shown_to(VIEW)
def order_now(request: HttpRequest, order_ref: str) -> HttpResponseBase:
    """One order anew."""
    return panel(request, "web/orders/_order.html", _context(request, order_ref))


@require_http_methods(["GET", "HEAD", "POST"])
@shown_to(VIEW)
@shown_to(CANCEL)
def order_cancel(request: HttpRequest, order_ref: str) -> HttpResponseBase:
    """Ask for the reason, then ask the broker for the end of the order."""
    order = order_found(order_ref)
    if order is None:
        raise Http404(f"There is no order {order_ref[:40]}.")
    form_class = StopCancelForm if order.role == Role.STOP else CancelForm
    form = form_class(request.POST or None, initial={"key": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        _cancel(request, order, form.cleaned_data)
        return HttpResponseRedirect(reverse("order", args=[order.order_ref]))
    context = {"section": "orders", "order": order, "form": form, "may_cancel": _may_cancel(request, order)}
    return page(request, "web/orders/cancel.html", context)


def _context(request: HttpRequest, order_ref: str) -> dict[str, Any]:
    with_events = request.user.has_perm(FEED)
    found = order_read(order_ref, with_events=with_events)
    if found is None:
        raise Http404(f"There is no order {order_ref[:40]}.")
    order = found.story.order
    return {
        "section": "orders",
        "found": found,
        "story": found.story,
        "order": order,
        "with_events": with_events,
        "may_cancel": _may_cancel(request, order),
    }


def _may_cancel(request: HttpRequest, order: Order) -> bool:
    return (
        request.user.has_perm(CANCEL)
        and order.role != Role.EXTERNAL
        and order.state not in TERMINAL
        and not order.account_id.startswith("SHADOW:")
    )


def _cancel(request: HttpRequest, order: Order, said: dict[str, Any]) -> None:
    name = request.user.get_username()
    caller = Caller(f"user:#{request.user.pk}", name, may_unprotect=request.user.has_perm(PROTECTION))
    body = {"order_ref": order.order_ref, "reason": said["reason"], "force": bool(said.get("force"))}
    try:
        with broker_or_away() as broker:
            outcome = cancel_request(caller=caller, key=f"page-{said['key']}", body=body, broker=broker)
    except AutoTraderError as error:
        messages.error(request, error.message)
        return
    _tell(request, order, outcome)


def _tell(request: HttpRequest, order: Order, outcome: RequestOutcome) -> None:
    """What happened, in a sentence."""
    if outcome.status:
        messages.error(request, outcome.message)
        return
    state = outcome.order.status if outcome.order else order.state
    if state == OrderState.REFUSED:
        messages.success(request, f"{order.order_ref} is withdrawn: it was never sent.")
    elif state in TERMINAL:
        messages.success(request, f"{order.order_ref} is {state}.")
    else:
        messages.warning(request, f"The cancel of {order.order_ref} was asked for; the order is still {state}.")
