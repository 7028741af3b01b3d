"""The gateway: whether the broker hears us, what a person must do, what is used up, and what differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from autotrader.core.errors import AutoTraderError
from autotrader.core.live.documents import event_document
from broker import get_broker, types
from broker.gates import MOST_SKEW
from trading.selectors.pages.gateway import compared, connection_events
from trading.services.discrepancies import PERMISSION as RESOLVES
from trading.web import kit
from trading.web.lines import line_of
from trading.web.numbers import HISTORY, NUMBERS

SEES = "trading.view_account"
SEES_EVENTS = kit.FEED
SEES_DIFFERENCES = "trading.view_discrepancy"
# What each kind of note is called, and how it looks.
KINDS: dict[str, tuple[str, str]] = {
    "started": ("owner started", "plain"),
    "refused": ("no connection", "bad"),
    "connected": ("connected, logged in", "busy"),
    "replayed": ("replayed", "good"),
    "lost": ("connection lost", "bad"),
    "broker_lost": ("TWS lost the broker", "bad"),
    "broker_back": ("TWS is back at the broker", "busy"),
    "action": ("a person must act", "bad"),
    "no_action": ("no person needed any more", "good"),
}
BAD_CODES = frozenset({326, 357, 438, 503, 1100, 1300, 2103, 2105, 2110, 2157, 10015, 10197})
GOOD_CODES = frozenset({1101, 1102, 2104, 2106, 2158})


@dataclass(frozen=True, slots=True)
class Step:
    """A note of the timeline with its word and its look."""

    note: types.ConnectionNote
    word: str
    look: str


@require_safe
@kit.shown_to(SEES)
def gateway_page(request: HttpRequest) -> HttpResponse:
    """The whole page."""
    after = kit.head()
    context = {**_connection(), **_differences(request), **_history(request)}
    return kit.page(request, "web/gateway/gateway.html", context, after=after)


@require_safe
@kit.shown_to(SEES)
def gateway_now(request: HttpRequest) -> HttpResponse:
    """What the broker's owner says at this moment."""
    return kit.panel(request, "web/gateway/_now.html", _connection())


@require_safe
@kit.shown_to(SEES)
def gateway_compared(request: HttpRequest) -> HttpResponse:
    """The last look at the broker's book, and what differs."""
    return kit.panel(request, "web/gateway/_compared.html", _differences(request))


@require_safe
@kit.shown_to(SEES)
def gateway_history(request: HttpRequest) -> HttpResponse:
    """What happened to the connection: by its owner's word, and by our records."""
    return kit.panel(request, "web/gateway/_history.html", _history(request))


@require_http_methods(["POST"])
@kit.shown_to(RESOLVES)
def gateway_reconcile(request: HttpRequest) -> HttpResponse:
    """Look at the broker's whole book now, and compare it with our rows."""
    if not request.user.has_perm(SEES):
        raise PermissionDenied(f"This needs the permission {SEES}.")
    try:
        with get_broker(own=False) as broker:
            report = broker.reconcile()
    except AutoTraderError as error:
        messages.error(request, f"{error.message} ({error.reason})")
    else:
        counted = f"{report.orders} orders, {report.executions} executions and {report.positions} positions"
        messages.success(request, f"The broker's book of {report.account} was read and compared: {counted}.")
    return HttpResponseRedirect(reverse("gateway"))


def _connection() -> dict[str, Any]:
    told = NUMBERS.get()
    return {"told": told, "status": told.status, "read_at": told.asked_at, "most_skew": MOST_SKEW}


def _differences(request: HttpRequest) -> dict[str, Any]:
    may_see = request.user.has_perm(SEES_DIFFERENCES)
    return {"compared": compared() if may_see else None, "may_reconcile": request.user.has_perm(RESOLVES)}


def _history(request: HttpRequest) -> dict[str, Any]:
    told = HISTORY.get()
    steps = None if told.notes is None else [_step(note) for note in told.notes]
    found: dict[str, Any] = {"steps": steps, "steps_problem": told.problem, "history": None}
    if request.user.has_perm(SEES_EVENTS):
        found["history"] = [line_of(event_document(event)) for event in connection_events()]
    return found


def _step(note: types.ConnectionNote) -> Step:
    if note.kind != "code":
        return Step(note, *KINDS[note.kind])
    look = "bad" if note.code in BAD_CODES else "good" if note.code in GOOD_CODES else "plain"
    return Step(note, f"TWS said {note.code}", look)
