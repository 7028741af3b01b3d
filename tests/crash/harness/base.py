"""The rows that every cell begins with, the desk of one strategy, and the analyst that always says the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model

from research import facade
from research import types as research
from trading.models import Instrument, RiskProfile, Strategy, Workflow
from trading.services.strategies import risk_profile_save, strategy_save
from trading.services.workflows import workflow_publish, workflow_version_add

SYMBOL = "SPY"
STEPS: list[dict[str, Any]] = [
    {"name": "check_session"},
    {"name": "fetch_data", "parameters": {"timeframes": [1], "min_bars": [20]}},
    {"name": "generate_chart"},
    {"name": "ai_analyze"},
    {"name": "consolidate"},
    {"name": "decide"},
    {"name": "validate_risk"},
    {"name": "place_order", "parameters": {"wait_s": 1}},
]
PARAMETERS = {"period_1": "3 M", "bar_1": "1 day"}
# Wide, so that a cell may order as often as it likes; what limits do has tests of its own.
LIMITS = {
    "risk_per_trade": Decimal("0.001"),
    "max_orders_per_day": 1000,
    "max_open_orders": 100,
    "messages_per_minute": 600,
    "message_burst": 100,
    "duplicate_window_seconds": 0,
    "cool_down_seconds": 0,
    "max_stop_outs_per_day": 1000,
}
# The strategies by name: mode, analyst.
STRATEGIES = {"auto": ("auto", "rules"), "approve": ("approve", "rules"), "model": ("auto", "model")}
APPROVER = "approver"


def seed() -> None:
    """Make the strategies and their limits."""
    get_user_model().objects.create_superuser(APPROVER, password=None)
    workflow = Workflow.objects.create(name="crash")
    version = workflow_publish(workflow_version_add(workflow, STEPS), actor="harness")
    profile = risk_profile_save(RiskProfile(name="wide", is_desk=True, **LIMITS), actor="harness")
    instrument = Instrument.objects.create(symbol=SYMBOL)
    for name, (mode, analyst) in STRATEGIES.items():
        strategy = Strategy(
            name=name,
            workflow_version=version,
            risk_profile=profile,
            mode=mode,
            analyst=analyst,
            parameters=PARAMETERS,
            interval_seconds=0,
        )
        strategy_save(strategy, actor="harness", instruments=[instrument])


class Steady:
    """Buys when flat and sells what is held; computes nothing, so that a cell costs what its order path costs."""

    decided_by = "steady"
    needs_charts = False

    def analyze(self, timeframe: research.TimeframeInput) -> research.AnalystResult[research.Analysis]:
        """Up, whatever the bars say."""
        analysis = research.Analysis(
            symbol=timeframe.bars.symbol,
            period=timeframe.period,
            bar_size=timeframe.bars.bar_size,
            direction="bullish",
            strength=0.7,
            supports=(),
            resistances=(),
            atr=None,
            last_close=None,
            summary="up",
            facts={},
            decided_by=self.decided_by,
        )
        return research.AnalystResult(analysis)

    def consolidate(self, analyses: tuple[research.Analysis, ...]) -> research.AnalystResult[research.Consolidation]:
        """Up."""
        first = analyses[0]
        joined = research.Consolidation(
            symbol=first.symbol,
            analyses=analyses,
            direction="bullish",
            strength=0.7,
            supports=(),
            resistances=(),
            atr=None,
            summary="up",
            facts={},
            decided_by=self.decided_by,
        )
        return research.AnalystResult(joined)

    def decide(
        self,
        consolidation: research.Consolidation,
        price: Decimal,
        position: research.PositionContext,
        strategy_used: str,
    ) -> research.AnalystResult[research.Opinion]:
        """The one trade that this strategy knows."""
        kind: research.OpinionType = "buy" if position.side == "flat" else "sell"
        target, stop = ("1.08", "0.96") if kind == "buy" else ("0.92", "1.04")
        opinion = research.Opinion(
            symbol=consolidation.symbol,
            type=kind,
            current_price=price,
            target_price=(price * Decimal(target)).quantize(Decimal("0.01")),
            stop_loss=(price * Decimal(stop)).quantize(Decimal("0.01")),
            profit_margin=Decimal("0.08"),
            r_coefficient=Decimal(2),
            confidence=0.7,
            rationale="always",
            evidence=(),
            reason="",
            detail="",
            decided_by=self.decided_by,
            strategy_used=strategy_used,
        )
        return research.AnalystResult(opinion)


def use_steady() -> None:
    """Let every strategy that asks for the rules be answered by Steady."""
    others = facade.analyst

    def analyst(name: str, settings: research.ModelSettings | None = None, **more: str) -> research.Analyst:
        return Steady() if name == "rules" else others(name, settings, **more)

    facade.analyst = analyst
