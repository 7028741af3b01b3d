"""Ask the analyst about each timeframe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autotrader.core.artifacts.models import Artifact
from autotrader.core.artifacts.services import artifact_read
from research import facade
from research import types as research
from trading.models import Analysis
from trading.services.charts import indicator_parameters, load_bars
from trading.workflow.analysts import analyst_of, lease_question
from trading.workflow.context import StepContext, StepResult

NEEDS: tuple[str, ...] = ("fetch_data", "generate_chart")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Nothing to choose."""


def run(context: StepContext) -> StepResult:
    """Output: the analyses' documents, from which later steps go on, and the ids of their rows and paid calls."""
    analyst = analyst_of(context)
    answers: list[tuple[dict[str, Any], research.AnalystResult[research.Analysis]]] = []
    for row in context.outputs["fetch_data"]["timeframes"]:
        lease_question(context)
        answers.append((row, analyst.analyze(_timeframe(context, row))))
        if answers[-1][1].value.failure is not None:
            break

    def write() -> dict[str, Any]:
        rows = [_save(context, row, result) for row, result in answers]
        return {"analyses": [row.pk for row in rows]}

    documents = [result.value.as_json() for _, result in answers]
    calls = [call for _, result in answers for call in result.call_ids]
    return StepResult({"documents": documents, "model_calls": calls}, write=write)


def _timeframe(context: StepContext, row: dict[str, Any]) -> research.TimeframeInput:
    bars = load_bars(row["bars"])
    prepared = context.outputs["generate_chart"]
    chart_id = prepared["charts"].get(str(row["timeframe"]))
    return research.TimeframeInput(
        period=row["period"],
        bars=bars,
        indicators=facade.indicators(bars, indicator_parameters(prepared["parameters"])),
        as_of=datetime.fromisoformat(row["as_of"]),
        ordinal=row["timeframe"],
        chart=artifact_read(Artifact.objects.get(pk=chart_id)) if chart_id else None,
    )


def _save(context: StepContext, row: dict[str, Any], result: research.AnalystResult[research.Analysis]) -> Analysis:
    seen = result.value
    return Analysis.objects.create(
        execution=context.execution,
        timeframe=row["timeframe"],
        period=row["period"],
        bar_size=row["bar_size"],
        direction=seen.direction,
        strength=seen.strength,
        summary=seen.summary,
        facts=dict(seen.facts),
        decided_by=seen.decided_by[:80],
        bars_id=row["bars"],
        chart_id=context.outputs["generate_chart"]["charts"].get(str(row["timeframe"])),
        model_calls=result.call_ids,
    )
