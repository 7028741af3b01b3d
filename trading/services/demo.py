"""The demo strategy: daily and weekly charts of SPY, AAPL and IBM by the two-indicator workflow."""

from __future__ import annotations

from typing import Any

from autotrader.core import audit
from trading.models import Instrument, RiskProfile, Strategy, Workflow, WorkflowVersion
from trading.services.strategies import desk_profile_ensure, risk_profile_save, strategy_save
from trading.services.workflows import workflow_publish, workflow_version_add

TWO_INDICATORS: list[dict[str, Any]] = [
    {"name": "check_session"},
    {"name": "fetch_data", "parameters": {"timeframes": [1, 2], "min_bars": [200, 100]}},
    {"name": "generate_chart"},
    {"name": "ai_analyze"},
    {"name": "consolidate"},
    {"name": "decide"},
    {"name": "validate_risk"},
    {"name": "place_order"},
]
PARAMETERS = {"period_1": "2 Y", "bar_1": "1 day", "period_2": "5 Y", "bar_2": "1 week"}
SYMBOLS = ("SPY", "AAPL", "IBM")


def demo_seed() -> Strategy:
    """Make the demo strategy, or return it unchanged where it exists."""
    found = Strategy.objects.filter(name="demo").first()
    if found is not None:
        return found
    with audit.acting(actor="seed_demo"), audit.recording():
        desk_profile_ensure(actor="seed_demo")
        strategy = Strategy(
            name="demo",
            workflow_version=_workflow(),
            risk_profile=_profile(),
            parameters=PARAMETERS,
        )
        instruments = [Instrument.objects.get_or_create(symbol=symbol)[0] for symbol in SYMBOLS]
        return strategy_save(strategy, actor="seed_demo", instruments=instruments)


def _workflow() -> WorkflowVersion:
    workflow, _ = Workflow.objects.get_or_create(
        name="Two indicators",
        defaults={"description": "Two timeframes, each read by the analyst, joined, then decided."},
    )
    published = workflow.versions.exclude(published_at=None).order_by("-number").first()
    return published or workflow_publish(workflow_version_add(workflow, TWO_INDICATORS), actor="seed_demo")


def _profile() -> RiskProfile:
    found = RiskProfile.objects.filter(name="standard").first()
    return found or risk_profile_save(RiskProfile(name="standard"), actor="seed_demo")
