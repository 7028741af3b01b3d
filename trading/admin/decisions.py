"""Decisions: the list, the page that tells a decision's story, and what it rests on."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import HistoryAdmin, link
from autotrader.core.formats import badge, instant, number, percent, price
from trading.models import Analysis, Decision, RiskVerdict
from trading.selectors.stories import decision_story
from trading.services.charts import ChartUnavailable, decision_chart


@admin.register(Decision)
class DecisionAdmin(HistoryAdmin):
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
    list_filter = ("type", "state", "strategy", "decided_by", "account")
    search_fields = ("instrument__symbol", "=execution__cycle__correlation_id", "orders__order_ref", "strategy__name")
    list_select_related = ("instrument", "strategy", "account")
    date_hierarchy = "at"

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
class AnalysisAdmin(HistoryAdmin):
    """What was seen in each timeframe."""

    list_display = ("__str__", "symbol", "period", "bar_size", "view", "strength", "decided_by", "execution_link")
    list_filter = ("direction", "bar_size", "decided_by")
    search_fields = ("execution__instrument__symbol", "=execution__cycle__correlation_id")
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
class RiskVerdictAdmin(HistoryAdmin):
    """What each rule said."""

    list_display = ("rule", "allowed", "code", "message", "decision_link", "at")
    list_filter = ("allowed", "rule", "code")
    search_fields = ("decision__instrument__symbol", "code")
    list_select_related = ("decision__instrument",)
    ordering = ("-id",)

    @admin.display(description="Decision", ordering="decision")
    def decision_link(self, verdict: RiskVerdict) -> SafeString:
        return link(verdict.decision)
