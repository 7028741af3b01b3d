"""Decisions: the list, the page that tells a decision's story, and what it rests on."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import link
from autotrader.core.formats import badge, instant, number, percent, price
from trading.admin.kit_finders import by_decision, by_decision_of_execution, by_execution, by_symbol
from trading.admin.kit_lists import BigHistoryAdmin, DateFilter, LedgerFilter
from trading.models import Analysis, Decision, RiskVerdict
from trading.selectors.stories import decision_story
from trading.services.charts import ChartUnavailable, decision_chart


@admin.register(Decision)
class DecisionAdmin(BigHistoryAdmin):
    """Decisions, newest first; each has a page of its own that explains it."""

    list_display = (
        "when",
        "instrument",
        "kind",
        "status",
        "why",
        "at_price",
        "reward",
        "margin",
        "size",
        "strategy",
        "decided_by",
        "account",
    )
    list_filter = (("at", DateFilter), "type", "state", "strategy", ("account", LedgerFilter))
    search_help_text = "Symbol, order ref, group or correlation id"
    finders = (by_symbol(), by_execution(), by_decision)
    list_select_related = ("instrument", "strategy", "account")
    exported = (
        "id", "account_id", "strategy__name", "instrument__symbol", "type", "purpose", "state", "decided_by",
        "strategy_used", "price", "target_price", "stop_price", "reward_ratio", "profit_margin", "quantity",
        "limit_price", "confidence", "execution_id", "at", "market_at",
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.chart_view, cacheable=True)
        return [path("chart/<int:pk>.png", view, name="trading_decision_chart"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        decision = self.get_object(request, object_id)
        context = {**(extra_context or {}), "story": decision_story(decision) if decision else None}
        return super().change_view(request, object_id, form_url, context)

    def chart_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The chart of one analysis as PNG; drawn when first asked for."""
        analysis = get_object_or_404(Analysis.objects.select_related("bars", "chart", "execution__instrument"), pk=pk)
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            picture = decision_chart(analysis)
        except ChartUnavailable as error:
            return HttpResponse(error.message, status=404, content_type="text/plain; charset=utf-8")
        return HttpResponse(picture, content_type="image/png", headers={"Cache-Control": "private, max-age=86400"})

    @admin.display(description="Market time", ordering="market_at")
    def when(self, decision: Decision) -> SafeString:
        return instant(decision.market_at)

    @admin.display(description="Decision", ordering="type")
    def kind(self, decision: Decision) -> SafeString:
        return badge(decision.type, decision.type.upper())

    @admin.display(description="State", ordering="state")
    def status(self, decision: Decision) -> SafeString:
        return badge(decision.state)

    @admin.display(description="First reason")
    def why(self, decision: Decision) -> str:
        return str(decision.reasons[0]) if decision.reasons else "–"

    @admin.display(description="Price", ordering="price")
    def at_price(self, decision: Decision) -> str:
        return price(decision.price)

    @admin.display(description="R", ordering="reward_ratio")
    def reward(self, decision: Decision) -> str:
        return number(decision.reward_ratio, 2)

    @admin.display(description="Margin", ordering="profit_margin")
    def margin(self, decision: Decision) -> str:
        return percent(decision.profit_margin)

    @admin.display(description="Size", ordering="quantity")
    def size(self, decision: Decision) -> str:
        return number(decision.quantity)


@admin.register(Analysis)
class AnalysisAdmin(BigHistoryAdmin):
    """What was seen in each timeframe."""

    list_display = ("__str__", "symbol", "period", "bar_size", "view", "strength", "decided_by", "execution_link")
    search_help_text = "Symbol or correlation id"
    finders = (by_symbol("execution__instrument"), by_execution())
    list_select_related = ("execution__instrument",)
    ordering = ("-id",)

    @admin.display(description="Symbol", ordering="execution__instrument__symbol")
    def symbol(self, analysis: Analysis) -> str:
        return analysis.execution.instrument.symbol

    @admin.display(description="Direction", ordering="direction")
    def view(self, analysis: Analysis) -> SafeString:
        return badge(analysis.direction)

    @admin.display(description="Execution", ordering="execution")
    def execution_link(self, analysis: Analysis) -> SafeString:
        return link(analysis.execution)


@admin.register(RiskVerdict)
class RiskVerdictAdmin(BigHistoryAdmin):
    """What each rule said."""

    list_display = ("rule", "allowed", "code", "message", "decision_link", "at")
    search_help_text = "Symbol or correlation id"
    finders = (by_symbol("decision__instrument"), by_decision_of_execution())
    list_select_related = ("decision__instrument",)
    ordering = ("-id",)

    @admin.display(description="Decision", ordering="decision")
    def decision_link(self, verdict: RiskVerdict) -> SafeString:
        return link(verdict.decision)
