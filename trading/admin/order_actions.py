"""Ending an order from its page in the admin: a reason to write, sent by POST, by permission, once."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from autotrader.core.admin_kit import change_url
from autotrader.core.errors import AutoTraderError
from broker import get_broker
from trading.models import Order
from trading.models.order import TERMINAL, Role
from trading.selectors.requests import RequestOutcome
from trading.services.requests import Caller, cancel_request

PERMISSION = "trading.request_order"
PROTECTION = "trading.remove_protection"


class CancelForm(forms.Form):
    """Why; `key` makes a second press of the button the same request."""

    reason = forms.CharField(
        min_length=3,
        max_length=500,
        help_text="Kept in the audit log with your name.",
        widget=forms.TextInput(attrs={"class": "desk-input", "autofocus": True, "autocomplete": "off"}),
    )
    key = forms.UUIDField(widget=forms.HiddenInput())


class StopCancelForm(CancelForm):
    """A stop protects a position: to take it away must be said outright."""

    force = forms.BooleanField(
        required=False,
        label="Leave the position without its stop",
        help_text="Needs the permission to remove protection.",
    )
    field_order = ("force", "reason")


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
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied(f"This needs the permission {PERMISSION}.")
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


def _cancel(request: HttpRequest, order: Order, said: dict[str, Any]) -> None:
    name = request.user.get_username()
    caller = Caller(f"user:{name}", name, may_unprotect=request.user.has_perm(PROTECTION))
    body = {"order_ref": order.order_ref, "reason": said["reason"], "force": bool(said.get("force"))}
    try:
        with get_broker(own=False) as broker:
            outcome = cancel_request(caller=caller, key=f"admin-{said['key']}", body=body, broker=broker)
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
    if state in TERMINAL:
        messages.success(request, f"{order.order_ref} is {state}.")
    else:
        messages.warning(request, f"The cancel of {order.order_ref} was asked for; the order is still {state}.")
