"""The analyst that asks a language model: two charts, then the joined view, then a decision; any failure is a hold."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from research.analysts.rules import FACTS, bars_problem
from research.llm import conversation
from research.llm.budget import Ledger
from research.llm.checks import check_decision, check_view
from research.llm.conversation import Question
from research.llm.prompts import prompt
from research.llm.schema import DecisionAnswer, ViewAnswer
from research.measure import profit_margin, r_coefficient
from research.types import (
    Analysis,
    AnalystResult,
    Consolidation,
    Failure,
    ModelSettings,
    Opinion,
    PositionContext,
    TimeframeInput,
    price_of,
)

RECENT_BARS = 10


class ModelAnalyst:
    """Asks the model of the settings; its words are data until every check has passed."""

    needs_charts = True

    def __init__(self, settings: ModelSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self.decided_by = settings.model

    def analyze(self, timeframe: TimeframeInput) -> AnalystResult[Analysis]:
        """One question about one chart; nothing is asked about bars that nobody should judge."""
        problem = bars_problem(timeframe.bars)
        if problem:
            return AnalystResult(self._analysis(timeframe, None, Failure("data_invalid", problem)))
        if timeframe.chart is None:
            return AnalystResult(self._analysis(timeframe, None, Failure("chart_missing", "there is no chart to show")))
        bars, last_close = timeframe.bars, float(timeframe.bars.close[-1])
        question = Question(
            purpose=f"chart {timeframe.ordinal}",
            prompt=prompt("chart_1" if timeframe.ordinal == 1 else "chart_2"),
            data=_chart_data(timeframe),
            kind=ViewAnswer,
            check=lambda answer, outside: check_view(answer, outside, bars.symbol, last_close),
            images=(timeframe.chart,),
        )
        reply = conversation.ask(question, self._settings, self._ledger)
        return AnalystResult(self._analysis(timeframe, reply.answer, reply.failure), reply.calls)

    def consolidate(self, analyses: tuple[Analysis, ...]) -> AnalystResult[Consolidation]:
        """One question about all analyses; none where one of them failed."""
        if not analyses:
            raise ValueError("there is no analysis to consolidate")
        failure = next((analysis.failure for analysis in analyses if analysis.failure), None)
        if failure:
            return AnalystResult(self._consolidation(analyses, None, failure))
        question = Question(
            purpose="consolidation",
            prompt=prompt("consolidate"),
            data={"code": analyses[0].symbol, "analyses": [_analysis_data(analysis) for analysis in analyses]},
            kind=ViewAnswer,
            check=lambda answer, outside: check_view(answer, outside, analyses[0].symbol, analyses[0].last_close),
        )
        reply = conversation.ask(question, self._settings, self._ledger)
        return AnalystResult(self._consolidation(analyses, reply.answer, reply.failure), reply.calls)

    def decide(
        self, consolidation: Consolidation, quote_price: Decimal, position: PositionContext, strategy_used: str = ""
    ) -> AnalystResult[Opinion]:
        """One question for the proposal; a failure before, or any doubt about the answer, is a hold with its reason."""
        priced = quote_price.is_finite() and quote_price > 0
        failure = consolidation.failure
        if failure is None and not priced:
            failure = Failure("no_quote", f"{quote_price} is no price to decide on")
        if failure:
            price = quote_price if priced else None
            return AnalystResult(self._hold(consolidation, failure, price, strategy_used))
        known = (*consolidation.evidence, "quote", "position")
        question = Question(
            purpose="decision",
            prompt=prompt("decide"),
            data=_decision_data(consolidation, quote_price, position, strategy_used, known),
            kind=DecisionAnswer,
            check=lambda answer, outside: check_decision(
                answer, outside, symbol=consolidation.symbol, quote=quote_price, strategy_used=strategy_used,
                evidence=known,
            ),
        )  # fmt: skip
        reply = conversation.ask(question, self._settings, self._ledger)
        if reply.answer is None:
            failure = reply.failure or Failure("model_error", "there is no answer")
            return AnalystResult(self._hold(consolidation, failure, quote_price, strategy_used), reply.calls)
        return AnalystResult(self._opinion(consolidation, reply.answer, quote_price), reply.calls)

    def _analysis(self, timeframe: TimeframeInput, answer: ViewAnswer | None, failure: Failure | None) -> Analysis:
        bars = timeframe.bars
        last = timeframe.indicators.at(-1) if len(bars.close) else {}
        close = float(bars.close[-1]) if len(bars.close) and not failure else None
        return Analysis(
            symbol=bars.symbol,
            period=timeframe.period,
            bar_size=bars.bar_size,
            direction=answer.direction if answer else "neutral",
            strength=answer.strength if answer else 0.0,
            supports=tuple(answer.supports) if answer else (),
            resistances=tuple(answer.resistances) if answer else (),
            atr=last.get("atr"),
            last_close=close,
            summary=answer.summary if answer else failure.detail if failure else "",
            facts={name: last.get(name) for name in FACTS},
            decided_by=self.decided_by,
            evidence=(timeframe.citation,),
            failure=failure,
        )

    def _consolidation(
        self, analyses: tuple[Analysis, ...], answer: ViewAnswer | None, failure: Failure | None
    ) -> Consolidation:
        return Consolidation(
            symbol=analyses[0].symbol,
            analyses=analyses,
            direction=answer.direction if answer else "neutral",
            strength=answer.strength if answer else 0.0,
            supports=tuple(answer.supports) if answer else (),
            resistances=tuple(answer.resistances) if answer else (),
            atr=analyses[0].atr,
            summary=answer.summary if answer else failure.detail if failure else "",
            facts={"atr_long": analyses[-1].atr},
            decided_by=self.decided_by,
            failure=failure,
        )

    def _hold(
        self, consolidation: Consolidation, failure: Failure, price: Decimal | None, strategy_used: str
    ) -> Opinion:
        return Opinion.hold(
            consolidation.symbol, reason=failure.code, detail=failure.detail, decided_by=self.decided_by, price=price,
            strategy_used=strategy_used, evidence=consolidation.evidence,
        )  # fmt: skip

    def _opinion(self, consolidation: Consolidation, answer: DecisionAnswer, quote: Decimal) -> Opinion:
        """The checked answer; margin and R are computed here, the model's own stay in its stored answer."""
        if answer.type == "hold" or answer.target_price is None or answer.stop_loss is None:
            return Opinion.hold(
                consolidation.symbol, reason="model_hold", detail=answer.rationale, decided_by=self.decided_by,
                price=quote, strategy_used=answer.strategy_used, evidence=tuple(answer.evidence),
                confidence=answer.confidence,
            )  # fmt: skip
        price, target, stop = (price_of(part) for part in (answer.current_price, answer.target_price, answer.stop_loss))
        return Opinion(
            symbol=consolidation.symbol,
            type=answer.type,
            current_price=price,
            target_price=target,
            stop_loss=stop,
            profit_margin=profit_margin(price, target),
            r_coefficient=r_coefficient(price, target, stop),
            confidence=answer.confidence,
            rationale=answer.rationale,
            evidence=tuple(answer.evidence),
            reason="",
            detail="",
            decided_by=self.decided_by,
            strategy_used=answer.strategy_used,
        )


def create(settings: ModelSettings | None, correlation_id: str, cycle: str) -> ModelAnalyst:
    """The analyst of this file, for the registry; its calls are kept in the database."""
    from research.services import DatabaseLedger

    if settings is None or not settings.model:
        raise ValueError("the analyst `model` needs a model; set AUTOTRADER_AI_MODEL or OPENAI_MODEL")
    ledger = DatabaseLedger(correlation_id, cycle, settings.budget_per_day, settings.budget_per_cycle)
    return ModelAnalyst(settings, ledger)


def _chart_data(timeframe: TimeframeInput) -> dict[str, Any]:
    bars = timeframe.bars
    names = ("open", "high", "low", "close", "volume")
    recent = slice(max(0, len(bars.close) - RECENT_BARS), len(bars.close))
    return {
        "code": bars.symbol,
        "id": timeframe.citation,
        "period": timeframe.period,
        "bar_size": bars.bar_size,
        "as_of": timeframe.as_of.isoformat(),
        "last_bars": {name: [_rounded(value) for value in getattr(bars, name)[recent]] for name in names},
        "indicators": {name: _rounded(value) for name, value in timeframe.indicators.at(-1).items()},
    }


def _analysis_data(analysis: Analysis) -> dict[str, Any]:
    return {
        "id": analysis.evidence[0] if analysis.evidence else "",
        "bar_size": analysis.bar_size,
        "period": analysis.period,
        "direction": analysis.direction,
        "strength": analysis.strength,
        "supports": list(analysis.supports),
        "resistances": list(analysis.resistances),
        "atr": _rounded(analysis.atr),
        "last_close": _rounded(analysis.last_close),
        "summary": analysis.summary,
    }


def _decision_data(
    consolidation: Consolidation, quote: Decimal, position: PositionContext, strategy_used: str, known: tuple[str, ...]
) -> Mapping[str, Any]:
    average = position.average_price
    return {
        "code": consolidation.symbol,
        "strategy_used": strategy_used,
        "quote": float(quote),
        "position": {
            "side": position.side,
            "quantity": float(position.quantity),
            "average_price": float(average) if average is not None else None,
        },
        "view": {
            "direction": consolidation.direction,
            "strength": consolidation.strength,
            "supports": list(consolidation.supports),
            "resistances": list(consolidation.resistances),
            "summary": consolidation.summary,
        },
        "timeframes": [
            {"bar_size": part.bar_size, "direction": part.direction, "atr": _rounded(part.atr)}
            for part in consolidation.analyses
        ],
        "evidence_ids": list(known),
    }


def _rounded(value: float | None) -> float | None:
    """A number as JSON may carry it, six places; None for what is none."""
    return None if value is None or value != value or abs(value) == float("inf") else round(float(value), 6)
