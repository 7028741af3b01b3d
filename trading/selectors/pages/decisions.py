"""What the pages about decisions show: the list, one decision with its story, and the facts of its charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, Q

from autotrader.core.rest.paging import Place
from research import facade
from research.types import ModelCallRecord
from trading.models import Analysis, Approval, Decision, Fill, Order, RiskVerdict, StepRun, Strategy, Trade
from trading.selectors.history import DECISIONS, history_page
from trading.selectors.pages.trades import AWAITED, FINAL, NOT_RECKONED, OPEN
from trading.selectors.stories import DecisionStory, decision_story, why
from trading.selectors.trade_costs import TradeResult

SHOWN = 40
SEVERAL = "several currencies"


@dataclass(frozen=True, slots=True)
class Row:
    """A decision in the list and the sentence that explains it."""

    decision: Decision
    why: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list. `older` is the id after which the next one begins, None at the end."""

    rows: list[Row]
    older: int | None
    strategies: list[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """One decision with its story, the approval it needed, the calls it paid for and what it cost so far."""

    story: DecisionStory
    approval: Approval | None
    calls: Sequence[ModelCallRecord]

    @property
    def decision(self) -> Decision:
        """The decision itself."""
        return self.story.decision

    @property
    def model_cost(self) -> Decimal:
        """What the model calls that it rests on cost in USD, whichever decision asked them first."""
        return sum((call.cost for call in self.calls), Decimal(0))

    @property
    def commission(self) -> Decimal | None:
        """The commissions of its own fills as the broker reported them; None where none is known."""
        known = [row.commission for row in self.story.fills if row.commission is not None and not row.superseded]
        return sum(known, Decimal(0)) if known else None

    @property
    def fees_pending(self) -> int:
        """How many of its own fills have no commission yet."""
        return sum(row.commission is None and not row.superseded for row in self.story.fills)

    @property
    def trades(self) -> list[tuple[TradeResult, str]]:
        """Its trades, each with what there is of a result: one of the words of the list of trades."""
        return [(row, result_word(row)) for row in self.story.results]

    @property
    def result(self) -> str:
        """What there is of a result of its closed trades: "final" only where all of them have one, in one currency."""
        words = [word for _, word in self.trades if word != OPEN]
        if not words:
            return OPEN
        currencies = {row.trade.instrument.currency for row, word in self.trades if word != OPEN}
        missing = next((word for word in (NOT_RECKONED, AWAITED) if word in words), FINAL)
        return missing if missing != FINAL or currencies == {self.decision.instrument.currency} else SEVERAL

    @property
    def pnl(self) -> Decimal | None:
        """The result of its closed trades after all commissions; None unless `result` is "final"."""
        if self.result != FINAL:
            return None
        return sum((row.pnl for row, word in self.trades if word == FINAL and row.pnl is not None), Decimal(0))


@dataclass(frozen=True, slots=True)
class ChartFacts:
    """What a chart of an analysis is made of: the bars' place, how the indicators were computed, and what was traded.

    `entry_price` is the trade's own, where the decision opened one.
    """

    decision: Decision
    analysis: Analysis
    parameters: dict[str, Any]
    fills: list[Fill]
    entry_price: Decimal | None


def result_word(result: TradeResult) -> str:
    """What there is of a trade's result, as the list of trades says it."""
    if result.trade.state != "CLOSED" or result.trade.pnl is None:
        return OPEN
    if not result.is_reckoned:
        return NOT_RECKONED
    return AWAITED if result.fees_pending else FINAL


def decisions_listed(asked: dict[str, str], before: int | None) -> Listed:
    """The newest decisions with these values (symbol, strategy, type, state), older than the id `before`."""
    place = None if before is None else Place(before)
    found = history_page(
        Decision.objects.all(), replace(DECISIONS, read=("id",)), asked, place, SHOWN, is_limited=False
    )
    refusals = Prefetch("verdicts", RiskVerdict.objects.filter(allowed=False).order_by("id"))
    orders = Prefetch("orders", Order.objects.order_by("id"))
    shown = Decision.objects.select_related("instrument", "strategy", "account").prefetch_related(refusals, orders)
    rows = shown.filter(pk__in=[row["id"] for row in found.rows]).order_by("-id")
    return Listed(
        rows=[Row(row, why(row, row.verdicts.all())) for row in rows],
        older=found.place.key if found.place else None,
        strategies=list(Strategy.objects.order_by("name").values_list("name", flat=True)),
    )


def decision_seen(pk: int) -> Seen | None:
    """All that the page about one decision shows; None where there is no such decision."""
    decision = Decision.objects.filter(pk=pk).first()
    if decision is None:
        return None
    story = decision_story(decision)
    approval = Approval.objects.filter(decision=pk).first()
    return Seen(story=story, approval=approval, calls=facade.model_calls(story.model_calls))


def analysis_of(pk: int, analysis: int) -> Analysis | None:
    """An analysis of this decision with what its picture is drawn from; None where it has no such one."""
    rows = Analysis.objects.select_related("bars", "chart", "execution__instrument")
    return rows.filter(pk=analysis, execution__decision=pk).first()


def chart_facts(pk: int, analysis: int) -> ChartFacts | None:
    """What is drawn for an analysis of this decision; None where it has no such one.

    The fills are those of its orders and of the trades that it opened or changed, in order of time.
    """
    found = analysis_of(pk, analysis)
    decision = Decision.objects.select_related("instrument").filter(pk=pk).first()
    if found is None or decision is None:
        return None
    opened = Trade.objects.filter(decision=pk).order_by("id").first()
    return ChartFacts(
        decision=decision,
        analysis=found,
        parameters=_parameters(found),
        fills=_fills(pk),
        entry_price=opened.entry_price if opened else None,
    )


def _parameters(analysis: Analysis) -> dict[str, Any]:
    """The indicators' lengths as the execution chose them; empty where no step did."""
    step = StepRun.objects.filter(execution=analysis.execution_id, name="generate_chart").first()
    chosen = step.output.get("parameters") if step else None
    return chosen if isinstance(chosen, dict) else {}


def _fills(pk: int) -> list[Fill]:
    own = Order.objects.filter(Q(decision=pk) | Q(changes__decision=pk)).values("pk")
    touched = Fill.objects.filter(order__in=own, trade__isnull=False).values("trade")
    trades = Trade.objects.filter(Q(decision=pk) | Q(pk__in=touched)).values("pk")
    rows = Fill.objects.filter(Q(order__in=own) | Q(trade__in=trades), superseded=False)
    return list(rows.select_related("order").order_by("time", "id"))
