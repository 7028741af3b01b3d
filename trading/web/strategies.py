"""Strategies: what each runs and when, what it did, and the buttons that turn it on, off, or run it now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from trading.models import Strategy
from trading.selectors.pages.strategies import (
    StrategyPage,
    cycle_caused,
    strategies_page,
    strategy_page,
    strategy_trades,
    strategy_work,
)
from trading.selectors.settings import StrategyUnknown, strategy_named
from trading.services.cycles import cycle_queue
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


@require_GET
@shown_to(VIEW)
def strategy_list(request: HttpRequest) -> HttpResponse:
    """Every strategy with its schedule and what its last cycle came to."""
    after = head()
    context = {"lines": strategies_page(system_now()), "here": "strategies"}
    return page(request, "web/strategies/list.html", context, after=after)


@require_GET
@shown_to(VIEW)
def strategies_now(request: HttpRequest) -> HttpResponse:
    """The list as it is now."""
    return panel(request, "web/strategies/_list.html", {"lines": strategies_page(system_now())})


@require_GET
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


@require_GET
@shown_to(VIEW)
def strategy_head(request: HttpRequest, pk: int) -> HttpResponse:
    """Its state and what is set up, as it is now."""
    return panel(request, "web/strategies/_head.html", _head(request, pk))


@require_GET
@shown_to(*VIEW_WORK)
def strategy_did(request: HttpRequest, pk: int) -> HttpResponse:
    """Its schedule and its newest executions, as they are now."""
    return panel(request, "web/strategies/_work.html", {"told": _found(lambda: strategy_work(pk, system_now()))})


@require_GET
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
    row, key = _found(lambda: strategy_named(pk)), _key(request)
    if _has_changed(request, row):
        return _back(pk)
    actor, dry = request.user.get_username(), request.POST.get("dry_run") == "yes"
    asked = partial(cycle_queue, strategies=[row], trigger="manual", actor=actor, dry_run=dry, correlation_id=key)
    try:
        cycle = _done(request, asked)
    except IntegrityError:
        cycle = cycle_caused(key)
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


def _head(request: HttpRequest, pk: int) -> dict[str, object]:
    shown: StrategyPage = _found(lambda: strategy_page(pk))
    return {
        "shown": shown,
        "strategy": shown.strategy,
        "longest": LONGEST_REASON,
        "profile": _profile(shown.strategy),
        "key": uuid4().hex,
    }


def _has_changed(request: HttpRequest, row: Strategy) -> bool:
    """Whether the page that was pressed showed another version of it, which is said."""
    if request.POST.get("version") == str(row.version):
        return False
    messages.error(request, f"{row} was changed meanwhile. Look at it again, and press once more.")
    return True


def _key(request: HttpRequest) -> str:
    """The form's own id, which becomes the cycle's correlation id; a new one where it has none."""
    try:
        return UUID(request.POST.get("key", "")).hex
    except ValueError:
        return uuid4().hex


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
