"""Asking the model again and judging again, on the page of a decision: neither button leads to an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from autotrader.core.errors import AutoTraderError
from trading.models import Decision
from trading.selectors.second_looks import asked_again, last_replay
from trading.services.decision_replays import decision_replay
from trading.services.reask import PERMISSION, reask_problem, reask_queue
from trading.web.kit import shown_to

VIEW = "trading.view_decision"


@require_POST
@shown_to(VIEW)
def decision_ask_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a worker ask the model again; the same form sent twice asks once."""

    def write(decision: Decision, actor: str, key: str) -> str:
        reask_queue(decision, actor=actor, key=key)
        return "A worker asks the model again; the answers come below. No order can come of them."

    return _pressed(request, pk, write)


@require_POST
@shown_to(VIEW)
def decision_judge_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Judge the stored answer by the code of today."""

    def write(decision: Decision, actor: str, key: str) -> str:
        return f"Judged again: {decision_replay(decision, actor=actor, key=key).sentence}. Nothing was placed."

    return _pressed(request, pk, write)


def second_looks(request: HttpRequest, decision: Decision) -> dict[str, Any]:
    """What the part of the page shows."""
    may_look = request.user.has_perm(PERMISSION)
    return {
        "asked_again": asked_again(decision.pk),
        "replay": last_replay(decision.pk),
        "may_look_again": may_look,
        "reask_problem": reask_problem(decision) if may_look else "",
        "key": uuid4().hex,
    }


def _pressed(request: HttpRequest, pk: int, write: Callable[[Decision, str, str], str]) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied(f"This needs the permission {PERMISSION}.")
    rows = Decision.objects.select_related(
        "instrument", "account", "strategy__risk_profile", "execution__cycle", "execution__workflow_version"
    )
    decision = rows.filter(pk=pk).first()
    if decision is None:
        raise Http404(f"There is no decision {pk}.")
    try:
        key = UUID(request.POST.get("key", "")).hex
        messages.success(request, write(decision, request.user.get_username(), key))
    except ValueError:
        messages.error(request, "The form was not whole. Load the page anew and press again.")
    except AutoTraderError as error:
        messages.error(request, error.message)
    return HttpResponseRedirect(reverse("decision", args=[pk]) + "#again")
