"""One box that looks through decisions, orders, trades, cycles and events at once, as each list's own search does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_safe

from autotrader.core.admin_kit import change_url
from autotrader.core.admin_lists import LONGEST_SEARCH, MOST_WORDS, may_be_searched
from autotrader.core.audit.models import Event
from trading.models import Cycle, Decision, Order, Trade

SHOWN = 10
# What is looked through, each with its name and the column of its time.
PLACES: tuple[tuple[str, type[Model], str], ...] = (
    ("decisions", Decision, "market_at"),
    ("orders", Order, "created_at"),
    ("trades", Trade, "opened_at"),
    ("cycles", Cycle, "created_at"),
    ("events", Event, "at"),
)


@dataclass(frozen=True, slots=True)
class Hit:
    """One row that was found."""

    name: str
    url: str
    state: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Place:
    """What one list has of it, the newest first; `more`: it has more than these."""

    title: str
    hits: Sequence[Hit]
    url: str
    more: bool


def find_url(site: admin.AdminSite) -> URLPattern:
    """The address of the box."""
    return path("find/", site.admin_view(find_view), name="trading_find")


@require_safe
def find_view(request: HttpRequest) -> HttpResponse:
    """What each list that this person may see has of it: every word must fit, whole."""
    asked = request.GET.get("q", "").replace("\x00", "").strip()
    seen = [place for place in PLACES if _model_admin(place[1]).has_view_permission(request)]
    if not seen:
        raise PermissionDenied("This needs the permission to view decisions, orders, trades, cycles or events.")
    is_short = may_be_searched(asked)
    places = [_place(request, *place, asked) for place in seen] if asked and is_short else []
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Find",
        "asked": asked[:LONGEST_SEARCH],
        "places": places,
        "found": any(place.hits for place in places),
        "looked_through": ", ".join(name for name, _, _ in seen),
        "is_short": is_short,
        "longest": LONGEST_SEARCH,
        "most_words": MOST_WORDS,
    }
    return TemplateResponse(request, "admin/desk/find.html", context)


def _place(request: HttpRequest, title: str, model: type[Model], time: str, asked: str) -> Place:
    model_admin = _model_admin(model)
    rows, _ = model_admin.get_search_results(request, model_admin.get_queryset(request), asked)
    related = model_admin.list_select_related
    rows = rows.select_related(*related) if isinstance(related, list | tuple) and related else rows
    found = list(rows.order_by("-pk")[: SHOWN + 1])
    hits = [Hit(_name(row), change_url(row), _state(row), getattr(row, time)) for row in found[:SHOWN]]
    meta = model._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return Place(title, hits, url, len(found) > SHOWN)


def _model_admin(model: type[Model]) -> Any:
    return admin.site.get_model_admin(model)


def _name(row: Any) -> str:
    if isinstance(row, Order):
        return f"{row.order_ref}: {row.side} {row.instrument.symbol}"
    return f"cycle {row.pk}" if isinstance(row, Cycle) else str(row)


def _state(row: Any) -> str:
    return str(row.new_state if isinstance(row, Event) else row.state)
