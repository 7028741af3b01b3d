"""Ending an order from its page in the admin: a reason to write, sent by POST, by permission, once."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from autotrader.core.admin_kit import change_url
from autotrader.core.errors import AutoTraderError
from autotrader.core.formats import number
from autotrader.core.forms import CancelForm, StopCancelForm
from trading.admin.kit_confirm import Answer, Line, Question, WithReason, carry_out, chosen, confirmed
from trading.models import Order
from trading.models.order import TERMINAL, OrderState, Role
from trading.selectors.requests import RequestOutcome
from trading.services.brokers import broker_or_away
from trading.services.requests import Caller, cancel_request, cancel_requests

VIEW, PERMISSION = "trading.view_order", "trading.request_order"
PROTECTION = "trading.remove_protection"
CANCEL = Question(
    action="cancel_chosen",
    title="Cancel these orders?",
    button="Cancel the orders",
    warning="With an entry its stop and target end too. A stop protects a position: it is ended on its own page only.",
    danger=True,
    form=WithReason,
)


def may_cancel(request: HttpRequest, order: Order) -> bool:
    """True where the page shows the button."""
    return (
        request.user.has_perm(PERMISSION)
        and order.role != Role.EXTERNAL
        and order.state not in TERMINAL
        and not order.account_id.startswith("SHADOW:")
    )


def cancel_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then ask the broker for the end of the order."""
    for needed in (VIEW, PERMISSION):
        if not request.user.has_perm(needed):
            raise PermissionDenied(f"This needs the permission {needed}.")
    order = get_object_or_404(Order.objects.select_related("instrument", "account"), pk=pk)
    form_class = StopCancelForm if order.role == Role.STOP else CancelForm
    form = form_class(request.POST or None, initial={"key": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        _cancel(request, order, form.cleaned_data)
        return HttpResponseRedirect(change_url(order))
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Cancel {order.order_ref}",
        "form": form,
        "order": order,
        "may": may_cancel(request, order),
    }
    return TemplateResponse(request, "admin/trading/order/cancel.html", context)


def cancel_chosen(model_admin: Any, request: HttpRequest, rows: QuerySet[Order]) -> HttpResponse | None:
    """The same for the orders chosen in the list, stops aside, after one question for all."""
    orders = chosen(request, rows.select_related("instrument"))
    can = [order for order in orders if order.role != Role.STOP and may_cancel(request, order)]
    left = [order.order_ref for order in orders if order not in can]
    if left:
        messages.warning(
            request, f"Left out, since they have ended, are stops or not ours to cancel: {', '.join(left)}."
        )
    if not can:
        return None
    said = confirmed(model_admin, request, CANCEL, [_line(order) for order in can])
    if isinstance(said, HttpResponse):
        return said
    asked = {_key(said, order): _body(order, said) for order in can}
    with broker_or_away() as broker:
        found = cancel_requests(caller=_caller(request), asked=asked, broker=broker)
    carry_out(request, can, lambda order: _told(order, found.told(_key(said, order))))
    return None


def _key(said: dict[str, Any], order: Order) -> str:
    return f"admin-{said['key']}-{order.pk}"


def _body(order: Order, said: dict[str, Any]) -> dict[str, Any]:
    return {"order_ref": order.order_ref, "reason": said["reason"], "force": bool(said.get("force"))}


def _caller(request: HttpRequest) -> Caller:
    name = request.user.get_username()
    return Caller(f"user:#{request.user.pk}", name, may_unprotect=request.user.has_perm(PROTECTION))


def _line(order: Order) -> Line:
    text = f"{order.order_ref}: {order.side} {number(order.quantity)} {order.instrument.symbol}"
    return Line(order, text, f"{order.get_role_display().lower()}, {order.state}")


def _cancel(request: HttpRequest, order: Order, said: dict[str, Any]) -> None:
    try:
        level, text = _asked(request, order, said)
    except AutoTraderError as error:
        level, text = messages.ERROR, error.message
    messages.add_message(request, level, text)


def _asked(request: HttpRequest, order: Order, said: dict[str, Any]) -> Answer:
    key, body = f"admin-{said['key']}", _body(order, said)
    with broker_or_away() as broker:
        outcome = cancel_request(caller=_caller(request), key=key, body=body, broker=broker)
    return _told(order, outcome)


def _told(order: Order, outcome: RequestOutcome) -> Answer:
    """What happened, in a sentence."""
    if outcome.status:
        return messages.ERROR, f"{order.order_ref}: {outcome.message}"
    state = outcome.order.status if outcome.order else order.state
    if state == OrderState.REFUSED:
        return messages.SUCCESS, f"{order.order_ref} is withdrawn: it was never sent."
    if state in TERMINAL:
        return messages.SUCCESS, f"{order.order_ref} is {state}."
    return messages.WARNING, f"The cancel of {order.order_ref} was asked for; the order is still {state}."
