"""Strategies: changed through services, run by an action of their own."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import DeskAdmin, change_url, link
from autotrader.core.formats import badge, number
from trading.admin import strategy_actions
from trading.admin.suspensions import may_resume, resume_url
from trading.admin.versioned import VersionedForm
from trading.models import Cycle, Decision, Strategy, WorkflowVersion
from trading.services.strategies import strategy_save
from trading.services.strategy_settings import LOOSEN_PERMISSION, guards_of, loosened, strategy_faults

RUN_PERMISSION = "trading.run_cycle"


class StrategyForm(VersionedForm):
    """What cannot run, and what this person may not loosen, is refused here, with the field to correct."""

    may_loosen = False

    class Meta:
        model = Strategy
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        faults = strategy_faults(
            enabled=bool(cleaned.get("enabled")),
            instruments=cleaned.get("instruments") or (),
            parameters=cleaned.get("parameters", {}),
            workflow_version=cleaned.get("workflow_version"),
        )
        if not self.may_loosen and cleaned.get("risk_profile"):
            stored = Strategy.objects.filter(pk=self.instance.pk).first()
            wanted = {**cleaned, "risk_profile": cleaned["risk_profile"].pk}
            faults |= loosened(guards_of(stored) if stored else {}, {"mode": "", "allow_short": False, **wanted})
        for name, fault in faults.items():
            self.add_error(name, fault)
        return cleaned


class PressForm(forms.Form):
    """The button that runs a strategy: `key` makes a second press the same one, over the version that was shown."""

    key = forms.UUIDField()
    seen_version = forms.IntegerField()


@admin.register(Strategy)
class StrategyAdmin(DeskAdmin):
    """Strategies; saving makes a new version, "Run cycle now" queues a cycle."""

    form = StrategyForm
    list_display = (
        "name",
        "status",
        "how",
        "workflow_link",
        "symbols",
        "profile_link",
        "analyst_name",
        "interval",
        "priority",
        "version",
    )
    list_filter = ("enabled", "mode", "risk_profile", "analyst")
    search_fields = ("name", "instruments__symbol")
    list_select_related = ("workflow_version__workflow", "risk_profile")
    autocomplete_fields = ("instruments",)
    readonly_fields = ("version",)
    actions = ("run_now", "enable", "disable", "copy")
    fieldsets = (
        (None, {"fields": (("name", "enabled"), ("mode", "analyst"), "version")}),
        ("What it runs", {"fields": ("workflow_version", "instruments", "parameters")}),
        ("Limits", {"fields": (("risk_profile", "allow_short"),)}),
        ("When", {"fields": (("interval_seconds", "priority"),)}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.run_view)
        return [
            path("<int:pk>/run/", view, name="trading_strategy_run"),
            resume_url(self.admin_site),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).prefetch_related("instruments")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "workflow_version":
            published = WorkflowVersion.objects.exclude(published_at=None)
            kwargs["queryset"] = published.select_related("workflow")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        return type(form.__name__, (form,), {"may_loosen": request.user.has_perm(LOOSEN_PERMISSION)})

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # Keys are limited to it and history names it: whoever is done with it disables it.
        return False

    def has_run_permission(self, request: HttpRequest) -> bool:
        """May this person run a cycle now?"""
        return request.user.has_perm(RUN_PERMISSION)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        recent = Decision.objects.filter(strategy_id=object_id) if object_id.isdecimal() else Decision.objects.none()
        context = {
            **(extra_context or {}),
            "can_run": self.has_run_permission(request),
            "can_resume": may_resume(request),
            "press_key": uuid.uuid4(),
            "recent": recent.select_related("instrument", "account")[:8],
        }
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        strategy_save(obj, actor=request.user.get_username(), instruments=form.cleaned_data.get("instruments"))

    @admin.action(description="Run cycle now…", permissions=["run"])
    def run_now(self, request: HttpRequest, strategies: QuerySet[Strategy]) -> HttpResponse | None:
        """Ask once more, then queue one cycle over the chosen strategies and show it."""
        made = strategy_actions.run(self, request, strategies)
        return HttpResponseRedirect(change_url(made)) if isinstance(made, Cycle) else made

    @admin.action(description="Enable…", permissions=["change"])
    def enable(self, request: HttpRequest, strategies: QuerySet[Strategy]) -> HttpResponse | None:
        """They run by their schedule again."""
        return strategy_actions.switch(self, request, strategies, enabled=True)

    @admin.action(description="Disable…", permissions=["change"])
    def disable(self, request: HttpRequest, strategies: QuerySet[Strategy]) -> HttpResponse | None:
        """They start no cycle any more."""
        return strategy_actions.switch(self, request, strategies, enabled=False)

    @admin.action(description="Copy…", permissions=["add"])
    def copy(self, request: HttpRequest, strategies: QuerySet[Strategy]) -> HttpResponse | None:
        """A disabled copy of each."""
        return strategy_actions.copy(self, request, strategies)

    def run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The same for one strategy, from its own page; by POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_run_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied(f"Running a cycle needs the permissions {RUN_PERMISSION} and trading.view_strategy.")
        strategy = get_object_or_404(Strategy, pk=pk)
        form = PressForm(request.POST)
        if not form.is_valid():
            messages.error(request, "This page is out of date. Look at it again, and press once more.")
            return HttpResponseRedirect(change_url(strategy))
        said = form.cleaned_data
        cycle = strategy_actions.pressed(request, {strategy.pk: said["seen_version"]}, said["key"])
        return HttpResponseRedirect(change_url(cycle or strategy))

    @admin.display(description="Enabled", ordering="enabled")
    def status(self, strategy: Strategy) -> SafeString:
        if not strategy.enabled:
            return badge("plain", "disabled")
        return badge("HALTED", "suspended") if strategy.suspended_at else badge("ok", "enabled")

    @admin.display(description="Mode", ordering="mode")
    def how(self, strategy: Strategy) -> SafeString:
        return badge(strategy.mode)

    @admin.display(description="Workflow")
    def workflow_link(self, strategy: Strategy) -> SafeString:
        return link(strategy.workflow_version)

    @admin.display(description="Instruments")
    def symbols(self, strategy: Strategy) -> str:
        return ", ".join(row.symbol for row in strategy.instruments.all()) or "none"

    @admin.display(description="Risk profile", ordering="risk_profile__name")
    def profile_link(self, strategy: Strategy) -> SafeString:
        return link(strategy.risk_profile)

    @admin.display(description="Analyst", ordering="analyst")
    def analyst_name(self, strategy: Strategy) -> str:
        return strategy.analyst or "as configured"

    @admin.display(description="Every", ordering="interval_seconds")
    def interval(self, strategy: Strategy) -> str:
        if strategy.interval_seconds is None:
            return "default"
        return f"{number(strategy.interval_seconds)} s" if strategy.interval_seconds else "never"
