"""Ask for a decision, then recompute everything from the market's own price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker import types
from broker.errors import MarketDataError
from research import types as research
from trading.models import Decision
from trading.models.decision import Purpose
from trading.models.strategy import Mode
from trading.selectors.orders import live_entry
from trading.selectors.positions import open_trade, position_quantity
from trading.services.decisions import Facts, decision_make
from trading.services.shadow import shadow_settle
from trading.workflow.analysts import analyst_of, lease_question
from trading.workflow.context import StepContext, StepResult, hold

NEEDS: tuple[str, ...] = ("consolidate",)


@dataclass(frozen=True, slots=True)
class Parameters:
    """`allow_add`: a buy while long opens another bracket, within the limits."""

    allow_add: bool = False


def run(context: StepContext) -> StepResult:
    """Output: the decision's id; a hold ends the execution with its reason."""
    try:
        quote = context.broker.quote(types.ConId(context.outputs["check_session"]["con_id"]))
    except MarketDataError as error:
        return hold("no_quote", error.message)
    if context.strategy.mode == Mode.SHADOW:
        shadow_settle(context.execution, quote)
    held = position_quantity(context.account, context.strategy, context.instrument)
    lease_question(context)
    result = _ask(context, quote, held)
    facts = Facts(
        quote=quote,
        position=held,
        entry_working=live_entry(context.account, context.strategy, context.instrument) is not None,
        allow_add=context.spec.parameters.allow_add,
        market_now=context.market_now,
        model_calls=_all_calls(context, result.call_ids),
    )
    made: list[Decision] = []

    def write() -> dict[str, Any]:
        made.append(decision_make(context.execution, result.value, facts))
        return {"decision": made[0].pk}

    planned = decision_make(context.execution, result.value, facts, save=False)
    output = {"type": planned.type, "purpose": planned.purpose, "reasons": planned.reasons}
    if planned.purpose == Purpose.NONE:
        return StepResult(output, write=write, stop="hold", reason=planned.reasons[0] if planned.reasons else "hold")
    return StepResult(output, write=write)


def _ask(context: StepContext, quote: types.Quote, held: Decimal) -> research.AnalystResult[research.Opinion]:
    consolidation = research.Consolidation.from_json(context.outputs["consolidate"]["document"])
    price = quote.last or quote.ask or quote.bid or quote.close
    if price is None:
        reason = research.Opinion.hold(
            context.instrument.symbol,
            reason="no_quote",
            detail="the broker shows no price at all",
            decided_by=consolidation.decided_by,
        )
        return research.AnalystResult(reason)
    trade = open_trade(context.account, context.strategy, context.instrument)
    side: research.Side = "flat" if not held else ("long" if held > 0 else "short")
    position = research.PositionContext(side, abs(held), trade.entry_price if trade else None)
    return analyst_of(context).decide(consolidation, price, position, strategy_used(context))


def strategy_used(context: StepContext) -> str:
    """`Indicator_<p1>_<b1>_<p2>_<b2>` from the timeframes that were fetched."""
    parts = [(row["period"], row["bar_size"]) for row in context.outputs["fetch_data"]["timeframes"]]
    return "_".join(["Indicator", *(text.replace(" ", "") for pair in parts for text in pair)])


def _all_calls(context: StepContext, last: list[int]) -> list[int]:
    before = [call for name in ("ai_analyze", "consolidate") for call in context.outputs[name]["model_calls"]]
    return before + last
