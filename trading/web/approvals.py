"""Orders that wait for a person: the list, one order with its two buttons, and the part that keeps itself fresh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from autotrader.core.errors import AutoTraderError
from trading.selectors.approvals import ApprovalStory, approval_story, approvals_recent
from trading.services.approvals import PERMISSION, Word
from trading.services.charts import ChartUnavailable, decision_chart
from trading.web.kit import head, page, panel, shown_to
from trading.web.numbers import NUMBERS, PRICES
from trading.workflow.approving import Glance, decide, glance_of

VIEW_PERMISSION = "trading.view_approval"
LONGEST_REASON = 500
for_people = shown_to(VIEW_PERMISSION, PERMISSION)


def _story(pk: int) -> ApprovalStory:
    story = approval_story(pk)
    if story is None:
        raise Http404(f"There is no approval {pk}.")
    return story


def _market(story: ApprovalStory) -> Glance:
    """The market beside the question; the broker is asked once for all who look."""
    told = NUMBERS.get()
    if told.status is None:
        return Glance(None, "", problem=told.problem)
    price = PRICES.get(story.approval.terms["con_id"])
    return replace(glance_of(story.approval, told.status, price.quote), problem=price.problem)


def _context(request: HttpRequest, story: ApprovalStory) -> dict[str, Any]:
    now = _market(story) if story.is_open else None
    return {"section": "approvals", "story": story, "now": now, "may_decide": request.user.has_perm(PERMISSION)}


@require_safe
@for_people
def approval_list(request: HttpRequest) -> HttpResponse:
    """Those that wait first, then what became of the others; asks itself anew every two seconds."""
    after = head()
    told = NUMBERS.get()
    now = {"market_now": told.status.market_now if told.status else None, "problem": told.problem}
    context = {"approvals": approvals_recent(50), "now": now}
    if request.headers.get("HX-Request"):
        return panel(request, "web/_approvals.html", context)
    return page(request, "web/approvals.html", context, after=after)


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
def approval_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One order with all that a person decides on; a POST is asked back once, then kept."""
    after = head()
    story = _story(pk)
    context = _context(request, story)
    if request.method != "POST":
        return page(request, "web/approval.html", context, after=after)
    if not context["may_decide"]:
        raise PermissionDenied(f"This needs the permission {PERMISSION}.")
    approve = request.POST.get("said") == "approve"
    digest, reason = request.POST.get("digest", ""), request.POST.get("reason", "").strip()
    if len(reason) > LONGEST_REASON or "\x00" in reason or not digest.isascii():
        messages.error(request, f"Say why in at most {LONGEST_REASON} characters.")
        return HttpResponseRedirect(reverse("approval", args=[pk]))
    if not request.POST.get("confirmed"):
        return page(request, "web/confirm.html", context | {"approve": approve, "digest": digest, "reason": reason})
    try:
        approval = decide(pk, Word(request.user, approve=approve, digest=digest, reason=reason))  # type: ignore[arg-type]
    except AutoTraderError as error:
        messages.error(request, f"{error.message} ({error.reason})")
    else:
        messages.success(request, f"Your word is kept: the approval is {approval.state}.")
    return HttpResponseRedirect(reverse("approval", args=[pk]))


@require_safe
@for_people
def approval_now(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that changes by itself; a changed state loads the page anew."""
    story = _story(pk)
    answer = panel(request, "web/_now.html", _context(request, story))
    if request.GET.get("version") != str(story.approval.version):
        answer["HX-Refresh"] = "true"
    return answer


@require_safe
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
