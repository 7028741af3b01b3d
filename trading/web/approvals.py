"""Orders that wait for a person: the list, one order with its two buttons, and the part that keeps itself fresh."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from autotrader.core.errors import AutoTraderError
from trading.selectors.approvals import ApprovalStory, approval_story, approvals_recent
from trading.services.approvals import PERMISSION, Word
from trading.services.charts import ChartUnavailable, decision_chart
from trading.workflow.approving import decide, glance

VIEW_PERMISSION = "trading.view_approval"
View = Callable[..., HttpResponse]


def for_people(view: View) -> View:
    """Somebody who is logged in and may see approvals; nobody else learns whether there are any."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("login"))
        if not (request.user.has_perm(VIEW_PERMISSION) or request.user.has_perm(PERMISSION)):
            raise PermissionDenied(f"This needs the permission {VIEW_PERMISSION}.")
        return view(request, *args, **kwargs)

    return guarded


def _story(pk: int) -> ApprovalStory:
    story = approval_story(pk)
    if story is None:
        raise Http404(f"There is no approval {pk}.")
    return story


def _context(request: HttpRequest, story: ApprovalStory) -> dict[str, Any]:
    now = glance(story.approval) if story.is_open else None
    return {"story": story, "now": now, "may_decide": request.user.has_perm(PERMISSION)}


@require_GET
@for_people
def approval_list(request: HttpRequest) -> HttpResponse:
    """Those that wait first, then what became of the others; asks itself anew every two seconds."""
    template = "web/_approvals.html" if request.headers.get("HX-Request") else "web/approvals.html"
    return render(request, template, {"approvals": approvals_recent(50), "now": glance()})


@require_http_methods(["GET", "POST"])
@for_people
def approval_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One order with all that a person decides on; a POST is asked back once, then kept."""
    story = _story(pk)
    context = _context(request, story)
    if request.method == "GET":
        return render(request, "web/approval.html", context)
    if not context["may_decide"]:
        raise PermissionDenied(f"This needs the permission {PERMISSION}.")
    approve = request.POST.get("said") == "approve"
    digest, reason = request.POST.get("digest", ""), request.POST.get("reason", "").strip()
    if not request.POST.get("confirmed"):
        return render(request, "web/confirm.html", context | {"approve": approve, "digest": digest, "reason": reason})
    try:
        approval = decide(pk, Word(request.user, approve=approve, digest=digest, reason=reason))  # type: ignore[arg-type]
    except AutoTraderError as error:
        messages.error(request, f"{error.message} ({error.reason})")
    else:
        messages.success(request, f"Your word is kept: the approval is {approval.state}.")
    return HttpResponseRedirect(reverse("approval", args=[pk]))


@require_GET
@for_people
def approval_now(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that changes by itself; a changed state loads the page anew."""
    story = _story(pk)
    answer = render(request, "web/_now.html", _context(request, story))
    if request.GET.get("version") != str(story.approval.version):
        answer["HX-Refresh"] = "true"
    return answer


@require_GET
@for_people
def approval_chart(request: HttpRequest, pk: int, analysis: int) -> HttpResponse:
    """A chart that the decision rests on, as PNG."""
    found = next((row for row in _story(pk).analyses if row.pk == analysis), None)
    if found is None:
        raise Http404("This approval has no such chart.")
    try:
        picture = decision_chart(found)
    except ChartUnavailable as error:
        return HttpResponse(error.message, status=404, content_type="text/plain; charset=utf-8")
    return HttpResponse(picture, content_type="image/png", headers={"Cache-Control": "private, max-age=86400"})
