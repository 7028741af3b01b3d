"""Decisions: the list, one decision's whole story, and its charts as data and as pictures."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from trading.models import Analysis
from trading.models.decision import DecisionState, DecisionType
from trading.selectors.pages.decisions import (
    ChartFacts,
    Listed,
    Seen,
    analysis_of,
    chart_facts,
    decision_seen,
    decisions_listed,
)
from trading.services.charts import ChartUnavailable, decision_chart
from trading.web.charts import chart_data, chart_etag, levels
from trading.web.kit import head, may, page, panel, shown_to
from trading.web.second_looks import second_looks

PERMISSION = "trading.view_decision"
EVENTS = "audit.view_event"
FILTERS = ("symbol", "strategy", "type", "state")
LONGEST_KEY = 18
PARTS = {
    "outcome": "web/decisions/_outcome.html",
    "again": "web/decisions/_again.html",
    "course": "web/decisions/_course.html",
}


@require_safe
@shown_to(PERMISSION)
def decision_list(request: HttpRequest) -> HttpResponse:
    """The newest first; `symbol`, `strategy`, `type` and `state` narrow it, `before` goes on to older ones."""
    after = head()
    asked = {name: value for name in FILTERS if (value := request.GET.get(name, "").replace("\x00", "").strip())}
    if "symbol" in asked:
        asked["symbol"] = asked["symbol"].upper()
    before = _key(request.GET.get("before", ""))
    listed = decisions_listed(asked, before)
    context = _list_context(request, listed, asked) | {"is_first": before is None}
    if request.headers.get("HX-Request"):
        return panel(request, "web/decisions/_list.html", context)
    return page(request, "web/decisions/list.html", context, after=after)


def _list_context(request: HttpRequest, listed: Listed, asked: dict[str, str]) -> dict[str, Any]:
    query = request.GET.copy()
    here = query.urlencode()
    query.pop("before", None)
    first = query.urlencode()
    if listed.older is not None:
        query["before"] = str(listed.older)
    return {
        "listed": listed,
        "asked": asked,
        "types": DecisionType.values,
        "states": DecisionState.values,
        "here_query": here,
        "first_query": first,
        "older_query": query.urlencode(),
    }


def _key(text: str) -> int | None:
    """The id that a page goes on after; None of no text, Http404 of another one."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_KEY):
        raise Http404("There is no such page of the list.")
    return int(text)


@require_safe
@shown_to(PERMISSION)
def decision_page(request: HttpRequest, pk: int) -> HttpResponse:
    """What was decided, on what, what the rules said, what became of it and what it cost."""
    after = head()
    return page(request, "web/decisions/decision.html", _context(request, pk), after=after)


@require_safe
@shown_to(PERMISSION)
def decision_part(request: HttpRequest, pk: int, part: str) -> HttpResponse:
    """One of the parts that change after the decision: `outcome`, `again` or `course`."""
    if part not in PARTS:
        raise Http404("The decision has no such part.")
    return panel(request, PARTS[part], _context(request, pk))


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    seen = decision_seen(pk)
    if seen is None:
        raise Http404(f"There is no decision {pk}.")
    return {
        "seen": seen,
        "story": seen.story,
        "decision": seen.decision,
        "execution": seen.decision.execution,
        "charts": [(analysis, chart_sentence(seen, analysis)) for analysis in seen.story.charts],
        "may_see_events": may(request, EVENTS),
        **second_looks(request, seen.decision),
        "section": "decisions",
    }


def chart_sentence(seen: Seen, analysis: Analysis) -> str:
    """What the chart shows, for who cannot see it."""
    facts = ChartFacts(seen.decision, analysis, {}, seen.story.fills, None)
    prices = ", ".join(f"{level['words']} {level['price']:,.2f}" for level in levels(facts)) or "no price"
    fills = len([fill for fill in seen.story.fills if not fill.superseded])
    return (
        f"Chart of {seen.decision.instrument.symbol}, {analysis.bar_size} bars over {analysis.period}: candles with "
        f"SuperTrend, moving averages and Bollinger bands, then volume, MACD and RSI. Marked: {prices}, and "
        f"{fills} fill{'' if fills == 1 else 's'}. The analysis saw it {analysis.direction}."
    )


@require_safe
@shown_to(PERMISSION)
def decision_bars(request: HttpRequest, pk: int, analysis: int) -> HttpResponseBase:
    """The chart of one analysis as JSON; a browser that has it already is told so without the bars being read."""
    facts = chart_facts(pk, analysis)
    if facts is None:
        raise Http404("This decision has no such chart.")
    etag = chart_etag(facts)
    answer: HttpResponseBase | None = get_conditional_response(request, etag=etag)
    if answer is None:
        try:
            answer = HttpResponse(chart_data(facts), content_type="application/json")
        except ChartUnavailable as error:
            return HttpResponse(error.message, status=404, content_type="text/plain; charset=utf-8")
    answer["ETag"] = etag
    answer["Cache-Control"] = "private, no-cache"
    return answer


@require_safe
@shown_to(PERMISSION)
def decision_picture(request: HttpRequest, pk: int, analysis: int) -> HttpResponse:
    """The chart of one analysis as PNG, as a model is shown it."""
    found = analysis_of(pk, analysis)
    if found is None:
        raise Http404("This decision has no such chart.")
    try:
        picture = decision_chart(found)
    except ChartUnavailable as error:
        return HttpResponse(error.message, status=404, content_type="text/plain; charset=utf-8")
    return HttpResponse(picture, content_type="image/png", headers={"Cache-Control": "private, max-age=86400"})
