"""The kill switch on a page of its own: one big button, for a phone and without JavaScript."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from autotrader.core.errors import AutoTraderError, Invalid
from trading.selectors.halts import halt_story
from trading.services.halts import HALT_PERMISSION, HaltOutcome, halt, may_halt, may_release, reason_of_halt, release
from trading.web.kit import head, page, panel, shown_to

BY_BUTTON = "halted by the button on the page"
NOW, RELEASE = "admin/trading/_halt_now.html", "web/_halt_release.html"


@require_http_methods(["GET", "HEAD", "POST"])
@shown_to()
def halt_page(request: HttpRequest) -> HttpResponse:
    """What is in force and what still works; a POST halts, or releases with a reason."""
    if request.method != "POST":
        return page(request, "web/halt.html", _context(request), after=head())
    try:
        outcome = _released(request) if request.POST.get("action") == "release" else _halted(request)
    except AutoTraderError as error:
        messages.error(request, error.message)
    else:
        messages.add_message(request, messages.SUCCESS if outcome.done else messages.WARNING, outcome.sentence)
    return HttpResponseRedirect(reverse("halt"))


@require_safe
@shown_to()
def halt_now(request: HttpRequest) -> HttpResponse:
    """The part that changes by itself while cancels are under way; `part=release`: the form that a halt calls for."""
    asked = request.GET.get("part")
    return panel(request, RELEASE if asked == "release" else NOW, _context(request))


def _context(request: HttpRequest) -> dict[str, object]:
    story = halt_story(events=5)
    return {
        "story": story,
        "halt": story.reading,
        "may_halt": may_halt(request.user),
        "may_release": not may_release(request.user) and story.reading.state.value != "ACTIVE",
    }


def _halted(request: HttpRequest) -> HaltOutcome:
    if not may_halt(request.user):
        raise PermissionDenied(f"This needs the permission {HALT_PERMISSION}.")
    reason = reason_of_halt(request.POST.get("reason", ""), BY_BUTTON)
    return halt(actor=request.user.get_username(), reason=reason)


def _released(request: HttpRequest) -> HaltOutcome:
    seen = request.POST.get("seen", "")
    if not seen:
        raise Invalid("Look at the page again: it did not say which halt was seen.", details={"field": "seen"})
    return release(user=request.user, reason=request.POST.get("reason", ""), seen=seen)
