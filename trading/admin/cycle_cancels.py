"""Cancelling a cycle from its page: by POST, by permission, with a reason where one is given."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path

from autotrader.core.admin_kit import change_url
from autotrader.core.errors import AutoTraderError
from trading.admin.kit_confirm import Answer, Line, Question, WithReason, carry_out, chosen, confirmed
from trading.models import Cycle
from trading.models.cycle import CYCLE_ENDED
from trading.selectors.executions import orders_sent
from trading.services.cycle_cancels import PERMISSION, cycle_cancel

VIEW = "trading.view_cycle"
CANCEL = Question(
    action="cancel_chosen",
    title="Cancel these cycles?",
    button="Cancel the cycles",
    warning="Work that has not begun ends, and work in hand writes and sends nothing more. What was sent stays.",
    danger=True,
    form=WithReason,
)


def may_cancel(request: HttpRequest, cycle: Cycle | None) -> bool:
    """True where the page shows the button."""
    return cycle is not None and cycle.state not in CYCLE_ENDED and request.user.has_perm(PERMISSION)


def cancel_url(site: admin.AdminSite) -> URLPattern:
    """The address of the button."""
    return path("<int:pk>/cancel/", site.admin_view(cancel_view), name="trading_cycle_cancel")


def cancel_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel it, or say why not, and show its page again."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    for needed in (VIEW, PERMISSION):
        if not request.user.has_perm(needed):
            raise PermissionDenied(f"Cancelling a cycle needs the permission {needed}.")
    cycle = get_object_or_404(Cycle, pk=pk)
    try:
        level, said = _cancelled(request, cycle, request.POST.get("reason", ""))
    except AutoTraderError as error:
        level, said = messages.ERROR, error.message
    messages.add_message(request, level, said)
    return HttpResponseRedirect(change_url(cycle))


def cancel_chosen(model_admin: Any, request: HttpRequest, rows: QuerySet[Cycle]) -> HttpResponse | None:
    """The same for the cycles chosen in the list, after one question for all."""
    cycles = chosen(request, rows)
    if not cycles:
        return None
    said = confirmed(model_admin, request, CANCEL, [Line(cycle, str(cycle), cycle.state) for cycle in cycles])
    if isinstance(said, HttpResponse):
        return said
    carry_out(request, cycles, lambda cycle: _cancelled(request, cycle, said["reason"]))
    return None


def _cancelled(request: HttpRequest, cycle: Cycle, reason: str) -> Answer:
    cycle_cancel(cycle.pk, actor=request.user.get_username(), reason=reason)
    sent = [order.order_ref for order in orders_sent(cycle)]
    if not sent:
        return messages.SUCCESS, f"Cycle {cycle.pk} is cancelled; nothing of it was sent."
    return messages.WARNING, f"Cycle {cycle.pk} is cancelled. Sent before, and left as they are: {', '.join(sent)}."
