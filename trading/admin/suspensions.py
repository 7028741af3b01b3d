"""Resuming a suspended strategy from its page: by POST, by permission, with a reason."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path

from autotrader.core.admin_kit import change_url
from autotrader.core.errors import AutoTraderError
from trading.models import Strategy
from trading.services.suspensions import PERMISSION, strategy_resume

VIEW = "trading.view_strategy"
LONGEST_REASON = 500


class ResumeForm(forms.Form):
    """Why it may trade again; kept in the audit log."""

    reason = forms.CharField(max_length=LONGEST_REASON, strip=True)


def may_resume(request: HttpRequest) -> bool:
    """May this person resume a strategy?"""
    return request.user.has_perm(PERMISSION)


def resume_url(site: admin.AdminSite) -> URLPattern:
    """The address of the button."""
    return path("<int:pk>/resume/", site.admin_view(resume_view), name="trading_strategy_resume")


def resume_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Resume it, or say why not, and show its page again."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    for needed in (VIEW, PERMISSION):
        if not request.user.has_perm(needed):
            raise PermissionDenied(f"Resuming a strategy needs the permission {needed}.")
    strategy = get_object_or_404(Strategy, pk=pk)
    level, said = _resumed(request, strategy)
    messages.add_message(request, level, said)
    return HttpResponseRedirect(change_url(strategy))


def _resumed(request: HttpRequest, strategy: Strategy) -> tuple[int, str]:
    form: Any = ResumeForm(request.POST)
    if not form.is_valid():
        return messages.ERROR, f"Say why the strategy may trade again, in at most {LONGEST_REASON} characters."
    try:
        strategy_resume(strategy, actor=request.user.get_username(), reason=form.cleaned_data["reason"])
    except AutoTraderError as error:
        return messages.ERROR, error.message
    return messages.SUCCESS, f"{strategy} may enter again; the entries of the day are counted from now on."
