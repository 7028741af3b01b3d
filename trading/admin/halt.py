"""The kill switch in the admin: a page with a reason to write, sent by POST, by permission."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from autotrader.core.errors import AutoTraderError
from broker.gates import HaltState
from trading.selectors.halts import halt_story
from trading.services.halts import (
    HALT_PERMISSION,
    LONGEST_REASON,
    PROTECTION_PERMISSION,
    RELEASE_PERMISSION,
    SHORTEST_REASON,
    HaltOutcome,
    halt,
    may_release,
    release,
)

TYPED = "ALL"
LONGEST_SEEN = 200
RADIO = {"class": "desk-radio"}


class ReasonForm(forms.Form):
    """Why; it is kept in the audit log."""

    reason = forms.CharField(
        min_length=SHORTEST_REASON,
        max_length=LONGEST_REASON,
        strip=True,
        help_text="Kept in the audit log with your name.",
        widget=forms.TextInput(attrs={"class": "desk-input", "autofocus": True, "autocomplete": "off"}),
    )


class HaltForm(ReasonForm):
    """Why, how much to stop, and which orders to end."""

    state = forms.ChoiceField(
        label="Stop",
        initial=HaltState.HALTED.value,
        choices=[
            (HaltState.HALTED.value, "HALTED: nothing leaves but protective stops and cancels"),
            (HaltState.REDUCING.value, "REDUCING: only orders that reduce a position may leave"),
        ],
        widget=forms.RadioSelect(attrs=RADIO),
    )
    cancel = forms.ChoiceField(
        label="Cancel",
        initial="entries",
        required=False,
        choices=[
            ("entries", "Working entries; stops and targets of positions stay"),
            ("none", "Nothing"),
            ("all", "EVERY order of the account, also made by hand: positions are naked then; by permission only"),
        ],
        widget=forms.RadioSelect(attrs=RADIO),
    )
    typed = forms.CharField(
        label=f"Type {TYPED} to cancel every order",
        required=False,
        widget=forms.TextInput(attrs={"class": "desk-input", "autocomplete": "off"}),
    )
    field_order = ("state", "cancel", "typed", "reason")

    def clean(self) -> dict[str, Any]:
        """Every order is cancelled only where that was typed."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["cancel"] = {"none": "", "": "entries"}.get(cleaned.get("cancel", ""), cleaned.get("cancel", ""))
        if cleaned["cancel"] == "all" and cleaned.get("typed") != TYPED:
            self.add_error("typed", f"Type {TYPED}: this also ends the stops that protect positions.")
        return cleaned


class ReleaseForm(ReasonForm):
    """Why, how far, and which halt is meant."""

    to = forms.ChoiceField(
        label="Open",
        initial=HaltState.ACTIVE.value,
        required=False,
        choices=[
            (HaltState.ACTIVE.value, "ACTIVE: everything may leave"),
            (HaltState.REDUCING.value, "REDUCING: only orders that reduce a position may leave"),
        ],
        widget=forms.RadioSelect(attrs=RADIO),
    )
    seen = forms.CharField(max_length=LONGEST_SEEN, widget=forms.HiddenInput())
    field_order = ("to", "reason", "seen")


def halt_view(request: HttpRequest) -> HttpResponse:
    """Ask for the reason, then halt."""
    if not request.user.has_perm(HALT_PERMISSION):
        raise PermissionDenied(f"This needs the permission {HALT_PERMISSION}.")
    form = HaltForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        outcome = halt(
            actor=request.user.get_username(),
            reason=said["reason"],
            state=HaltState(said["state"]),
            cancel=said["cancel"],
            may_unprotect=request.user.has_perm(PROTECTION_PERMISSION),
        )
        return _told(request, outcome)
    return _page(request, form, title="Halt trading", verb="Halt trading", tone="danger")


def release_view(request: HttpRequest) -> HttpResponse:
    """Ask for the reason, then release exactly the halt that was shown."""
    if refusal := may_release(request.user):
        raise PermissionDenied(refusal)
    form = ReleaseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        to = HaltState(said["to"] or HaltState.ACTIVE)
        try:
            return _told(request, release(user=request.user, reason=said["reason"], to=to, seen=said["seen"]))
        except AutoTraderError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(reverse("admin:trading_release"))
    if "seen" in form.errors:
        messages.error(request, "Look at the page again: it did not say which halt was seen.")
        return HttpResponseRedirect(reverse("admin:trading_release"))
    return _page(request, form, title="Release trading", verb="Release", tone="primary")


def _told(request: HttpRequest, outcome: HaltOutcome) -> HttpResponse:
    """The outcome in numbers, on the index."""
    is_open = outcome.reading.state is HaltState.ACTIVE and outcome.done
    messages.add_message(request, messages.SUCCESS if is_open else messages.WARNING, outcome.sentence)
    return HttpResponseRedirect(reverse("admin:index"))


def _page(request: HttpRequest, form: ReasonForm, **words: str) -> HttpResponse:
    story = halt_story()
    if "seen" in form.fields:
        form.initial["seen"] = story.reading.seen
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        **words,
        "form": form,
        "story": story,
        "halt": story.reading,
        "may_release": words["tone"] == "danger" and not may_release(request.user),
        "release_permission": RELEASE_PERMISSION,
    }
    return TemplateResponse(request, "admin/trading/halt.html", context)
