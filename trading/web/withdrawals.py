"""Taking back an order that waits under an approval, also an exit, which has no order of its own until it is sent."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from autotrader.core.errors import AutoTraderError
from autotrader.core.forms import CancelForm
from trading.models import Approval
from trading.selectors.approvals import OPEN, approval_story
from trading.services.brokers import broker_or_away
from trading.services.requests import Caller, cancel_request
from trading.web.approvals import for_people
from trading.web.kit import page, shown_to
from trading.web.orders import CANCEL


@require_http_methods(["GET", "HEAD", "POST"])
@for_people
@shown_to(CANCEL)
def approval_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then take it back; the broker is not needed for it."""
    story = approval_story(pk)
    if story is None:
        raise Http404(f"There is no approval {pk}.")
    form = CancelForm(request.POST or None, initial={"key": uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        _withdraw(request, story.approval, form.cleaned_data)
        return HttpResponseRedirect(reverse("approval", args=[pk]))
    may = story.approval.state in OPEN
    return page(request, "web/withdraw.html", {"section": "approvals", "story": story, "form": form, "may": may})


def _withdraw(request: HttpRequest, approval: Approval, said: dict[str, Any]) -> None:
    name = request.user.get_username()
    body = {"approval": approval.pk, "reason": said["reason"]}
    try:
        with broker_or_away() as broker:
            outcome = cancel_request(
                caller=Caller(f"user:#{request.user.pk}", name), key=f"page-{said['key']}", body=body, broker=broker
            )
    except AutoTraderError as error:
        messages.error(request, error.message)
        return
    if outcome.status:
        messages.error(request, outcome.message)
    elif outcome.state == "ACCEPTED":
        messages.success(request, f"Approval {approval.pk} is withdrawn: its order was never sent.")
    else:
        messages.warning(request, "It is being worked on; look again.")
