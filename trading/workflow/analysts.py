"""Which analyst an execution has, and how it reaches a model."""

from __future__ import annotations

from django.conf import settings

from research import facade
from research.types import Analyst, ModelSettings
from trading.models import Strategy
from trading.workflow.context import StepContext


def model_settings() -> ModelSettings | None:
    """How to reach the configured model; None where none is."""
    if not settings.AUTOTRADER_AI_MODEL:
        return None
    prices = settings.AUTOTRADER_AI_PRICES_USD_PER_MILLION
    return ModelSettings(
        base_url=settings.OPENAI_API_BASE,
        api_key=settings.OPENAI_API_KEY,
        model=settings.AUTOTRADER_AI_MODEL,
        timeout_s=float(settings.AUTOTRADER_AI_TIMEOUT_SECONDS),
        budget_per_day=settings.AUTOTRADER_AI_BUDGET_USD_PER_DAY,
        budget_per_cycle=settings.AUTOTRADER_AI_BUDGET_USD_PER_CYCLE,
        price_per_million={settings.AUTOTRADER_AI_MODEL: prices} if prices else {},
    )


def analyst_name(strategy: Strategy) -> str:
    """The strategy's choice; without one the model where it is configured, else the rules."""
    return strategy.analyst or ("model" if settings.AUTOTRADER_AI_MODEL else "rules")


def analyst_of(context: StepContext) -> Analyst:
    """The execution's analyst."""
    return facade.analyst(
        context.analyst_name,
        model_settings(),
        correlation_id=context.execution.correlation_id,
        cycle=context.cycle.correlation_id,
    )


def lease_question(context: StepContext) -> None:
    """Commit a lease that covers one question; the rules answer at once and need none."""
    if context.analyst_name != "rules":
        context.lease(float(settings.AUTOTRADER_AI_TIMEOUT_SECONDS))
