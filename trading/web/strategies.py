"""Strategies: what each runs and when, what it did, and the buttons that turn it on, off, or run it now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from trading.models import Strategy
from trading.selectors.pages.strategies import (
    StrategyPage,
    strategies_listed,
    strategy_page,
    strategy_trades,
    strategy_work,
)
from trading.selectors.settings import StrategyUnknown, strategy_named
from trading.services.strategy_presses import cycle_press
from trading.services.strategy_settings import strategy_change
from trading.services.suspensions import PERMISSION as RESUME
from trading.services.suspensions import strategy_resume
from trading.web.kit import head, may, page, panel, shown_to

VIEW = "trading.view_strategy"
CHANGE = "trading.change_strategy"
RUN = "trading.run_cycle"
VIEW_WORK = ("trading.view_cycle", "trading.view_workflowexecution")
VIEW_TRADES = "trading.view_trade"
LONGEST_REASON = 500
T = TypeVar("T")


@require_safe
@shown_to(VIEW)
def strategy_list(request: HttpRequest) -> HttpResponse:
    """Every strategy with its schedule and what its last cycle came to."""
    after = head()
    context = {"listed": strategies_listed(system_now(), _page(request)), "here": "strategies"}
    return page(request, "web/strategies/list.html", context, after=after)


@require_safe
@shown_to(VIEW)
def strategies_now(request: HttpRequest) -> HttpResponse:
    """The list as it is now."""
    return panel(request, "web/strategies/_list.html", {"listed": strategies_listed(system_now(), _page(request))})


@require_safe
@shown_to(VIEW)
def strategy(request: HttpRequest, pk: int) -> HttpResponse:
    """One strategy: what is set up, what it did, what it holds; parts that one may not see are left out."""
    after = head()
    context = {**_head(request, pk), "here": "strategies"}
    if may(request, *VIEW_WORK):
        context["told"] = strategy_work(pk, system_now())
    if may(request, VIEW_TRADES):
        context["held"] = strategy_trades(pk)
    return page(request, "web/strategies/strategy.html", context, after=after)


@require_safe
@shown_to(VIEW)
def strategy_head(request: HttpRequest, pk: int) -> HttpResponse:
    """Its state and what is set up, as it is now."""
    return panel(request, "web/strategies/_head.html", _head(request, pk))


@require_safe
@shown_to(*VIEW_WORK)
def strategy_did(request: HttpRequest, pk: int) -> HttpResponse:
    """Its schedule and its newest executions, as they are now."""
    return panel(request, "web/strategies/_work.html", {"told": _found(lambda: strategy_work(pk, system_now()))})


@require_safe
@shown_to(VIEW_TRADES)
def strategy_held(request: HttpRequest, pk: int) -> HttpResponse:
    """Its open trades and its results, as they are now."""
    return panel(request, "web/strategies/_trades.html", {"held": _found(lambda: strategy_trades(pk))})


@require_POST
@shown_to(VIEW)
def strategy_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Turn it on or off; who was faster does not matter."""
    _needs(request, CHANGE)
    enabled = request.POST.get("enabled") == "yes"
    if enabled and _has_changed(request, _found(lambda: strategy_named(pk))):
        return _back(pk)
    actor = request.user.get_username()
    done = _done(request, lambda: strategy_change(pk, {"enabled": enabled}, actor=actor, may_loosen=False))
    if done is not None:
        after = "its schedule starts cycles, and it may enter" if enabled else "it enters nothing, exits go on"
        messages.success(request, f"{done} is {'on' if enabled else 'off'}: {after}.")
    return _back(pk)


@require_POST
@shown_to(VIEW)
def strategy_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Queue a cycle of it, and go to the cycle's page; the same form sent twice is one cycle."""
    _needs(request, RUN)
    shown, key, dry = {pk: _version(request)}, _key(request), request.POST.get("dry_run") == "yes"
    cycle = _done(request, lambda: cycle_press(shown, key=key, actor=request.user.get_username(), dry_run=dry))
    if cycle is None:
        return _back(pk)
    messages.success(request, f"Cycle {cycle.pk} is queued; a worker takes it up.")
    seen = may(request, "trading.view_cycle")
    return HttpResponseRedirect(reverse("cycle", args=[cycle.pk])) if seen else _back(pk)


@require_POST
@shown_to(VIEW)
def strategy_resumed(request: HttpRequest, pk: int) -> HttpResponse:
    """Let it enter again after a control suspended it."""
    _needs(request, RESUME)
    row = _found(lambda: strategy_named(pk))
    if _has_changed(request, row):
        return _back(pk)
    reason, actor = request.POST.get("reason", ""), request.user.get_username()
    if len(reason) > LONGEST_REASON or "\x00" in reason:
        messages.error(request, f"Say why in at most {LONGEST_REASON} characters.")
    elif _done(request, lambda: strategy_resume(row, actor=actor, reason=reason)) is not None:
        messages.success(request, f"{row} may enter again; the entries of the day are counted from now on.")
    return _back(pk)


def _page(request: HttpRequest) -> int:
    """The page that is asked for; the first where that is no number."""
    asked = request.GET.get("page", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1


def _head(request: HttpRequest, pk: int) -> dict[str, object]:
    shown: StrategyPage = _found(lambda: strategy_page(pk))
    return {
        "shown": shown,
        "strategy": shown.strategy,
        "longest": LONGEST_REASON,
        "profile": _profile(shown.strategy),
        "key": uuid4().hex,
        "dry_key": uuid4().hex,  # after a dry run the other button of the same page starts a cycle of its own
    }


def _has_changed(request: HttpRequest, row: Strategy) -> bool:
    """Whether the page that was pressed showed another version of it, which is said."""
    if request.POST.get("version") == str(row.version):
        return False
    messages.error(request, f"{row} was changed meanwhile. Look at it again, and press once more.")
    return True


def _version(request: HttpRequest) -> int:
    """The version that the page showed; 0, which none has, where it is no number."""
    said = request.POST.get("version", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0


def _key(request: HttpRequest) -> UUID:
    """The form's own id, which becomes the cycle's correlation id; a new one where it has none."""
    try:
        return UUID(request.POST.get("key", ""))
    except ValueError:
        return uuid4()


def _profile(row: Strategy) -> list[tuple[str, object, str]]:
    """Its limits: name, value and meaning."""
    hidden = ("id", "name", "version", "is_desk")
    fields = [field for field in row.risk_profile._meta.concrete_fields if field.name not in hidden]
    return [(str(field.name), getattr(row.risk_profile, field.name), str(field.help_text)) for field in fields]


def _found(read: Callable[[], T]) -> T:
    try:
        return read()
    except StrategyUnknown as error:
        raise Http404(error.message) from error


def _done(request: HttpRequest, write: Callable[[], T]) -> T | None:
    """What the service made; None where it refused, which is said."""
    try:
        return write()
    except StrategyUnknown as error:
        raise Http404(error.message) from error
    except AutoTraderError as error:
        messages.error(request, error.message)
        return None


def _needs(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied(f"This needs the permission {permission}.")


def _back(pk: int) -> HttpResponse:
    return HttpResponseRedirect(reverse("strategy", args=[pk]))
