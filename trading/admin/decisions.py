"""Decisions: the list, the page that tells a decision's story, and what it rests on."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from uuid import uuid5

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from autotrader.core.admin_kit import link
from autotrader.core.formats import badge, instant, number, percent, price
from trading.admin.kit_confirm import Answer, Line, Question, carry_out, chosen, confirmed
from trading.admin.kit_finders import by_decision, by_decision_of_execution, by_execution, by_symbol
from trading.admin.kit_lists import BigHistoryAdmin, DateFilter, LedgerFilter
from trading.models import Analysis, Decision, RiskVerdict
from trading.selectors.second_looks import asked_again, last_replay
from trading.selectors.stories import decision_story
from trading.services.charts import ChartUnavailable, decision_chart
from trading.services.decision_replays import decision_replay
from trading.services.reask import PERMISSION, reask_problem, reask_queue

ANALYSES = "trading.view_analysis"
COLOURS = 64  # of a chart on a page
ASK_AGAIN = Question(
    action="ask_again",
    title="Ask the model again about these decisions?",
    button="Ask again",
    warning="The same questions with the same pictures and settings are put once more, for money of the day's budget. "
    "The decisions stay as they are: no order can come of it.",
)
JUDGE_AGAIN = Question(
    action="judge_again",
    title="Judge these decisions again?",
    button="Judge again",
    warning="The stored answers are read, sized and checked by the code and the limits of today, without the model and "
    "without the broker. Nothing is placed; what came of it is kept in the audit log.",
)


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
    timed = "at"
    search_help_text = "Symbol, order ref, group or correlation id"
    finders = (by_symbol(), by_execution(), by_decision)
    list_select_related = (
        "instrument", "account", "strategy__risk_profile", "execution__cycle", "execution__workflow_version"
    )  # fmt: skip
    actions = ("ask_again", "judge_again", "export_chosen")
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
        if decision:
            context |= {"asked_again": asked_again(decision.pk), "replay": last_replay(decision.pk)}
        return super().change_view(request, object_id, form_url, context)

    def has_look_again_permission(self, request: HttpRequest) -> bool:
        """May this person have decisions asked and judged again?"""
        return request.user.has_perm(PERMISSION)

    @admin.action(description="Ask the model again…", permissions=["look_again"])
    def ask_again(self, request: HttpRequest, decisions: QuerySet[Decision]) -> HttpResponse | None:
        """Ask once more, then have a worker ask the model of each."""

        def do(decision: Decision, actor: str, key: str) -> Answer:
            reask_queue(decision, actor=actor, key=key)
            return (
                messages.SUCCESS,
                f"Decision {decision.pk}: a worker asks the model again; its page shows the answers.",
            )

        return self._look_again(request, ASK_AGAIN, decisions, do, reask_problem)

    @admin.action(description="Judge again…", permissions=["look_again"])
    def judge_again(self, request: HttpRequest, decisions: QuerySet[Decision]) -> HttpResponse | None:
        """Ask once more, then judge each by the code of today."""

        def do(decision: Decision, actor: str, key: str) -> Answer:
            found = decision_replay(decision, actor=actor, key=key)
            return messages.SUCCESS, f"Decision {decision.pk} judged again: {found.sentence}. Nothing was placed."

        return self._look_again(request, JUDGE_AGAIN, decisions, do, lambda decision: "")

    def _look_again(
        self,
        request: HttpRequest,
        question: Question,
        decisions: QuerySet[Decision],
        do: Callable[[Decision, str, str], Answer],
        problem: Callable[[Decision], str],
    ) -> HttpResponse | None:
        rows = chosen(request, decisions)
        if not rows:
            return None
        lines = [Line(row, str(row), problem(row) or f"{row.state}, by {row.decided_by}") for row in rows]
        said = confirmed(self, request, question, lines)
        if isinstance(said, HttpResponse):
            return said
        actor = request.user.get_username()
        carry_out(request, rows, lambda row: do(row, actor, uuid5(said["key"], str(row.pk)).hex))
        return None

    def chart_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The chart of one analysis as PNG; drawn when first asked for."""
        if not (self.has_view_permission(request) and request.user.has_perm(ANALYSES)):
            raise PermissionDenied(f"This needs the permission {ANALYSES}.")
        analysis = get_object_or_404(Analysis.objects.select_related("bars", "chart", "execution__instrument"), pk=pk)
        try:
            picture = lighter(decision_chart(analysis))
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


def lighter(picture: bytes) -> bytes:
    """The PNG as large, with so few colours that it takes a third of the bytes; its lines and words stay sharp."""
    from PIL import Image  # here, since few processes ever need it

    smaller = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as chart:
        reduced = chart.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    reduced.save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


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
