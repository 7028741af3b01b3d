"""The kill switch in the admin: a page with a reason to write, sent by POST, by permission."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from broker.gates import STRICTNESS, HaltState, halt_reading, halt_set, halt_state

HALT_PERMISSION = "trading.halt_trading"
RELEASE_PERMISSION = "trading.release_trading"


class ReasonForm(forms.Form):
    """Why; it is kept in the audit log."""

    reason = forms.CharField(
        min_length=3,
        max_length=500,
        strip=True,
        help_text="Kept in the audit log with your name.",
        widget=forms.TextInput(attrs={"class": "desk-input", "autofocus": True, "autocomplete": "off"}),
    )


class HaltForm(ReasonForm):
    """Why, and how much to stop."""

    state = forms.ChoiceField(
        label="Stop",
        initial=HaltState.HALTED.value,
        choices=[
            (HaltState.HALTED.value, "HALTED: nothing leaves but protective stops and cancels"),
            (HaltState.REDUCING.value, "REDUCING: only orders that reduce a position may leave"),
        ],
        widget=forms.RadioSelect(attrs={"class": "desk-radio"}),
    )
    field_order = ("state", "reason")


def halt_view(request: HttpRequest) -> HttpResponse:
    """Ask for the reason, then halt."""
    return _page(request, HALT_PERMISSION, HaltForm, title="Halt trading", verb="Halt trading", tone="danger")


def release_view(request: HttpRequest) -> HttpResponse:
    """Ask for the reason, then release."""
    return _page(request, RELEASE_PERMISSION, ReasonForm, title="Release trading", verb="Release", tone="primary")


def _page(request: HttpRequest, permission: str, form_class: type[ReasonForm], **words: str) -> HttpResponse:
    if not request.user.has_perm(permission):
        raise PermissionDenied(f"This needs the permission {permission}.")
    form = form_class(request.POST or None)
    if request.method == "POST" and form.is_valid():
        state = HaltState(form.cleaned_data.get("state", HaltState.ACTIVE.value))
        if STRICTNESS.index(state) < STRICTNESS.index(halt_state()) and not request.user.has_perm(RELEASE_PERMISSION):
            raise PermissionDenied(f"To loosen a halt needs the permission {RELEASE_PERMISSION}.")
        reading = halt_set(state, actor=request.user.get_username(), reason=form.cleaned_data["reason"])
        level = messages.SUCCESS if reading.state is HaltState.ACTIVE else messages.WARNING
        messages.add_message(request, level, f"Trading is {reading.state.value}: {reading.reason}")
        return HttpResponseRedirect(reverse("admin:index"))
    context: dict[str, Any] = {**admin.site.each_context(request), **words, "form": form, "halt": halt_reading()}
    return TemplateResponse(request, "admin/trading/halt.html", context)
