"""Actions of a list that ask once more: the page between, and each row's own answer afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from autotrader.core.errors import AutoTraderError

MOST = 50
CONFIRMED = "confirmed"
Answer = tuple[int, str]


class NothingMore(forms.Form):
    """A question without words of one's own; `key` makes a second press of the button the same request."""

    key = forms.UUIDField(widget=forms.HiddenInput())


class WithReason(NothingMore):
    """A question that wants to know why."""

    reason = forms.CharField(
        min_length=3,
        max_length=500,
        strip=True,
        help_text="Kept in the audit log with your name.",
        widget=forms.TextInput(attrs={"class": "desk-input", "autofocus": True, "autocomplete": "off"}),
    )


@dataclass(frozen=True, slots=True)
class Question:
    """What the page between says. `action` is the action's name; `warning` what to know before one presses."""

    action: str
    title: str
    button: str
    warning: str = ""
    danger: bool = False
    form: type[NothingMore] = NothingMore


@dataclass(frozen=True, slots=True)
class Line:
    """One chosen row as that page shows it; `carried` comes back with the answer, so that what was seen is known."""

    row: Model
    text: str
    note: str = ""
    carried: Mapping[str, object] = field(default_factory=dict)


def chosen(request: HttpRequest, rows: QuerySet[Any]) -> list[Any]:
    """The chosen rows; none, with a message, where they are more than one looks through."""
    found = list(rows[: MOST + 1])
    if len(found) <= MOST:
        return found
    messages.error(request, f"Choose at most {MOST} at a time.")
    return []


def confirmed(
    model_admin: Any, request: HttpRequest, question: Question, lines: Sequence[Line]
) -> dict[str, Any] | HttpResponse:
    """What the person said with the button, or the page that asks."""
    form = question.form(request.POST if CONFIRMED in request.POST else None, initial={"key": uuid.uuid4()})
    if form.is_valid():
        return dict(form.cleaned_data)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question.title,
        "question": question,
        "lines": lines,
        "form": form,
        "checkbox": ACTION_CHECKBOX_NAME,
        "opts": model_admin.model._meta,
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/desk/confirm_action.html", context)


def carry_out(request: HttpRequest, rows: Sequence[Any], do: Callable[[Any], Answer]) -> None:
    """Do it for each, and say of each what came of it; one that fails keeps no other back."""
    for row in rows:
        try:
            level, text = do(row)
        except AutoTraderError as error:
            level, text = messages.ERROR, f"{row}: {error.message}"
        messages.add_message(request, level, text)
