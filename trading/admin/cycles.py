"""Cycles, what they ran and each step of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import link
from autotrader.core.formats import badge, duration, instant
from trading.admin.cycle_cancels import cancel_chosen, cancel_url, may_cancel
from trading.admin.kit_finders import by_cycle_of_symbol, by_execution, by_field, by_number, by_symbol
from trading.admin.kit_lists import BigHistoryAdmin, LedgerFilter, NewestDateFilter, NewestFilter
from trading.models import Cycle, StepRun, WorkflowExecution
from trading.selectors.stories import cycle_story, execution_story
from trading.services.cycle_cancels import PERMISSION


@admin.register(Cycle)
class CycleAdmin(BigHistoryAdmin):
    """Passes over strategies, newest first."""

    list_display = (
        "__str__",
        "status",
        "trigger",
        "created",
        "market_time",
        "took",
        "requested_by",
        "dry_run",
        "reason",
    )
    list_filter = (
        ("created_at", NewestDateFilter),
        ("state", NewestFilter),
        ("trigger", NewestFilter),
        ("dry_run", NewestFilter),
        ("account", LedgerFilter),
    )
    search_help_text = "Symbol, correlation id or number"
    finders = (by_field("correlation_id"), by_number(), by_cycle_of_symbol)
    list_select_related = ("account",)
    actions = ("cancel_chosen", "export_chosen")

    def get_urls(self) -> list[URLPattern]:
        return [cancel_url(self.admin_site), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        cycle = self.get_object(request, object_id)
        story = cycle_story(cycle) if cycle else None
        context = {**(extra_context or {}), "story": story, "can_cancel": may_cancel(request, cycle)}
        return super().change_view(request, object_id, form_url, context)

    def has_run_permission(self, request: HttpRequest) -> bool:
        """May this person start and cancel cycles?"""
        return request.user.has_perm(PERMISSION)

    @admin.action(description="Cancel…", permissions=["run"])
    def cancel_chosen(self, request: HttpRequest, cycles: QuerySet[Cycle]) -> HttpResponse | None:
        """Ask once more with the reason, then end each."""
        return cancel_chosen(self, request, cycles)

    @admin.display(description="State", ordering="state")
    def status(self, cycle: Cycle) -> SafeString:
        return badge(cycle.state)

    @admin.display(description="Asked for", ordering="created_at")
    def created(self, cycle: Cycle) -> SafeString:
        return instant(cycle.created_at)

    @admin.display(description="Market time", ordering="market_at")
    def market_time(self, cycle: Cycle) -> SafeString:
        return instant(cycle.market_at)

    @admin.display(description="Took")
    def took(self, cycle: Cycle) -> str:
        if cycle.started_at is None or cycle.finished_at is None:
            return duration(None)
        return duration((cycle.finished_at - cycle.started_at).total_seconds() * 1000)


@admin.register(WorkflowExecution)
class WorkflowExecutionAdmin(BigHistoryAdmin):
    """One strategy on one instrument in a cycle."""

    list_display = (
        "__str__",
        "cycle_link",
        "strategy",
        "instrument",
        "status",
        "result",
        "decision_link",
        "worker",
        "created",
        "reason",
    )
    list_filter = (("state", NewestFilter), "strategy")
    search_help_text = "Symbol, correlation id or number"
    finders = (by_symbol(), by_number(), by_execution("pk"))
    list_select_related = ("cycle", "strategy", "instrument", "decision__instrument")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        execution = self.get_object(request, object_id)
        context = {**(extra_context or {}), "story": execution_story(execution) if execution else None}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="Cycle", ordering="cycle")
    def cycle_link(self, execution: WorkflowExecution) -> SafeString:
        return link(execution.cycle)

    @admin.display(description="State", ordering="state")
    def status(self, execution: WorkflowExecution) -> SafeString:
        return badge(execution.state)

    @admin.display(description="Outcome", ordering="outcome")
    def result(self, execution: WorkflowExecution) -> SafeString:
        return badge(execution.outcome)

    @admin.display(description="Decision")
    def decision_link(self, execution: WorkflowExecution) -> SafeString:
        return link(getattr(execution, "decision", None))

    @admin.display(description="Created", ordering="created_at")
    def created(self, execution: WorkflowExecution) -> SafeString:
        return instant(execution.created_at)


@admin.register(StepRun)
class StepRunAdmin(BigHistoryAdmin):
    """Steps with their time and error."""

    list_display = ("__str__", "execution_link", "symbol", "status", "took", "worker", "started_at", "error")
    search_help_text = "Symbol, correlation id or number of the execution"
    finders = (by_execution(), by_number("execution"), by_symbol("execution__instrument"))
    list_select_related = ("execution__instrument",)
    ordering = ("-id",)

    @admin.display(description="Execution", ordering="execution")
    def execution_link(self, step: StepRun) -> SafeString:
        return link(step.execution)

    @admin.display(description="Symbol", ordering="execution__instrument__symbol")
    def symbol(self, step: StepRun) -> str:
        return step.execution.instrument.symbol

    @admin.display(description="State", ordering="state")
    def status(self, step: StepRun) -> SafeString:
        return badge(step.state)

    @admin.display(description="Took", ordering="ms")
    def took(self, step: StepRun) -> str:
        return duration(step.ms)
