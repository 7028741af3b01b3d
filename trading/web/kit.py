"""What every page shares: who may see it, the frame around it, and where the live feed goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from autotrader.core.audit.models import GENESIS, AuditHead

View = Callable[..., HttpResponseBase]
FEED = "audit.view_event"
# Scripts, styles, pictures and sockets of this host only. Styles inline, because the charts place themselves so.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation: shown to who has one of the permissions. `name` is the URL's."""

    name: str
    title: str
    permissions: tuple[str, ...] = ()


class Head(NamedTuple):
    """Where the log ended when a page was read: the last event's number and its hash, "" before the first."""

    seq: int
    seal: str


PLACES = (
    Place("desk", "Desk", ("trading.view_account", "trading.view_order", "trading.view_cycle")),
    Place("orders", "Orders", ("trading.view_order",)),
    Place("trades", "Trades", ("trading.view_trade",)),
    Place("portfolio", "Portfolio", ("trading.view_account",)),
    Place("performance", "Performance", ("trading.view_accountsnapshot",)),
    Place("decisions", "Decisions", ("trading.view_decision",)),
    Place("cycles", "Cycles", ("trading.view_cycle",)),
    Place("strategies", "Strategies", ("trading.view_strategy",)),
    Place("approvals", "Approvals", ("trading.view_approval", "trading.approve_order")),
    Place("gateway", "Gateway", ("trading.view_account",)),
    Place("halt", "Kill switch"),
)
# What a phone's bar below shows, as far as the person may see it; the kill switch has a button of its own above.
AT_HAND = ("desk", "approvals", "orders", "cycles")


def shown_to(*permissions: str) -> Callable[[View], View]:
    """For a view: somebody who is logged in and has one of the permissions; without any, whoever is logged in."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _log_in(request)
            if not may(request, *permissions):
                raise PermissionDenied(f"This needs the permission {permissions[0]}.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def may(request: HttpRequest, *permissions: str) -> bool:
    """Whether the person has one of them; True where none is named."""
    return not permissions or any(request.user.has_perm(name) for name in permissions)


def page(request: HttpRequest, template: str, context: Mapping[str, Any], *, after: Head | None = None) -> HttpResponse:
    """A whole page. `after` is the event up to which its state was read, from `head()`; None: it has no live feed."""
    places = [place for place in PLACES if may(request, *place.permissions)]
    told = {
        "places": places,
        "at_hand": at_hand(places),
        "here": request.resolver_match.url_name if request.resolver_match else "",
        "after": after if after is not None and may(request, FEED) else None,
        **context,
    }
    return _private(render(request, template, told))


def panel(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """A part of a page, which the page asks for anew."""
    return _private(render(request, template, dict(context)))


def at_hand(places: Sequence[Place]) -> list[Place]:
    """Those of the most used places that are shown; others fill up what is missing, four in all."""
    shown = {place.name: place for place in places if place.name != "halt"}
    names = [name for name in AT_HAND if name in shown] + [name for name in shown if name not in AT_HAND]
    return [shown[name] for name in names[: len(AT_HAND)]]


def head() -> Head:
    """The last event: read before a page's state, so that what happens meanwhile is told afterwards."""
    seq, digest = AuditHead.objects.values_list("seq", "hash").get(pk=1)
    return Head(seq, "" if digest == GENESIS else digest)


def _log_in(request: HttpRequest) -> HttpResponse:
    """The login page; a part of a page sends the whole page there."""
    if not request.headers.get("HX-Request"):
        return redirect_to_login(request.get_full_path(), reverse("login"))
    answer = HttpResponse(status=204)
    answer["HX-Redirect"] = reverse("login")
    return answer


def _private(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    answer["Content-Security-Policy"] = POLICY
    return answer
