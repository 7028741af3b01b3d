"""Join what the analyst saw in all timeframes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from research import types as research
from trading.models import Analysis
from trading.workflow.analysts import analyst_of, lease_question
from trading.workflow.context import StepContext, StepResult

NEEDS: tuple[str, ...] = ("ai_analyze",)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Nothing to choose."""


def run(context: StepContext) -> StepResult:
    """Output: the consolidation's document and the ids of its paid calls."""
    analyses = tuple(research.Analysis.from_json(part) for part in context.outputs["ai_analyze"]["documents"])
    lease_question(context)
    result = analyst_of(context).consolidate(analyses)
    joined = result.value

    def write() -> dict[str, Any]:
        row = Analysis.objects.create(
            execution=context.execution,
            timeframe=0,
            direction=joined.direction,
            strength=joined.strength,
            summary=joined.summary,
            facts=dict(joined.facts),
            decided_by=joined.decided_by[:80],
            model_calls=result.call_ids,
        )
        return {"analysis": row.pk}

    return StepResult({"document": joined.as_json(), "model_calls": result.call_ids}, write=write)
