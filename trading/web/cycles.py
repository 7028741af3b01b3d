"""Cycles and executions: what runs, how far it is, and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from autotrader.core.errors import AutoTraderError
from trading.models import Cycle
from trading.selectors.cycle_documents import CycleUnknown
from trading.selectors.executions import orders_sent
from trading.selectors.pages.cycles import CycleWork, ExecutionPage, cycle_work, cycles_page, execution_page
from trading.services.cycle_cancels import LONGEST_REASON, cycle_cancel
from trading.services.cycle_cancels import PERMISSION as CANCEL
from trading.web.kit import FEED, head, may, page, panel, shown_to
from trading.web.lines import Line, lines_recent

VIEW = "trading.view_cycle"
VIEW_EXECUTION = "trading.view_workflowexecution"
SHOWN_LINES = 50


@require_safe
@shown_to(VIEW)
def cycle_list(request: HttpRequest) -> HttpResponse:
    """All cycles, the newest first; only the first page renews itself."""
    after = head()
    before = number_of(request.GET.get("before"))
    context = {"listed": cycles_page(before), "before": before, "here": "cycles"}
    return page(request, "web/cycles/list.html", context, after=after)


@require_safe
@shown_to(VIEW)
def cycles_now(request: HttpRequest) -> HttpResponse:
    """The newest cycles as they are now."""
    return panel(request, "web/cycles/_list.html", {"listed": cycles_page(), "before": None})


@require_safe
@shown_to(VIEW)
def cycle(request: HttpRequest, pk: int) -> HttpResponse:
    """One cycle: how far each strategy is on each instrument."""
    after = head()
    context = _context(request, pk)
    lines = _lines(request, context["told"].line.cycle.correlation_id)
    return page(request, "web/cycles/cycle.html", {**context, "lines": lines, "here": "cycles"}, after=after)


@require_safe
@shown_to(VIEW)
def cycle_now(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that moves."""
    return panel(request, "web/cycles/_cycle.html", _context(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
@shown_to(VIEW)
def cycle_cancelled(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: the form, as long as there is something to cancel. POST: cancel what is left of it."""
    if request.method != "POST":
        return panel(request, "web/cycles/_cancel.html", _context(request, pk))
    if not request.user.has_perm(CANCEL):
        raise PermissionDenied(f"Cancelling a cycle needs the permission {CANCEL}.")
    reason = request.POST.get("reason", "")
    try:
        done = cycle_cancel(pk, actor=request.user.get_username(), reason=reason)
    except CycleUnknown as error:
        raise Http404(error.message) from error
    except AutoTraderError as error:
        messages.error(request, error.message)
    else:
        _say_sent(request, done.cycle)
    return HttpResponseRedirect(reverse("cycle", args=[pk]))


@require_safe
@shown_to(VIEW_EXECUTION)
def execution(request: HttpRequest, pk: int) -> HttpResponse:
    """One strategy on one instrument, step by step."""
    after = head()
    told = _execution(pk)
    lines = _lines(request, told.work.execution.correlation_id)
    return page(request, "web/cycles/execution.html", {"told": told, "lines": lines, "here": "cycles"}, after=after)


@require_safe
@shown_to(VIEW_EXECUTION)
def execution_now(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that moves."""
    return panel(request, "web/cycles/_execution.html", {"told": _execution(pk)})


def number_of(text: str | None) -> int | None:
    """An id out of an address; None where it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    after = number_of(request.GET.get("after")) or 0
    told = _cycle(pk, after)
    return {
        "told": told,
        "part": after,
        "may_cancel": told.line.is_open and request.user.has_perm(CANCEL),
        "may_see_steps": request.user.has_perm(VIEW_EXECUTION),
        "longest": LONGEST_REASON,
    }


def _lines(request: HttpRequest, about: str) -> list[Line] | None:
    """What happened, the newest first; None for who may not see events."""
    return lines_recent(SHOWN_LINES, about) if may(request, FEED) else None


def _cycle(pk: int, after: int) -> CycleWork:
    try:
        return cycle_work(pk, after)
    except CycleUnknown as error:
        raise Http404(error.message) from error


def _execution(pk: int) -> ExecutionPage:
    told = execution_page(pk)
    if told is None:
        raise Http404(f"There is no execution {pk}.")
    return told


def _say_sent(request: HttpRequest, row: Cycle) -> None:
    sent = ", ".join(order.order_ref for order in orders_sent(row))
    if sent:
        messages.warning(request, f"Cycle {row.pk} is cancelled. Sent before, and left as they are: {sent}.")
    else:
        messages.success(request, f"Cycle {row.pk} is cancelled; nothing of it was sent.")
