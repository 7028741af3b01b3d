"""A decision that a model on loopback was really asked about, with its charts, its calls and the controls' words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from autotrader.core import audit
from autotrader.core.artifacts.services import artifact_store
from research.types import ModelSettings
from tests.research.openai_server import LoopbackModelServer
from tests.research.test_model import PNG, whole
from tests.trading.builders import claimed, facts, market, quote, strategy
from trading.models import Decision
from trading.risk.rules import judge
from trading.services.decisions import decision_judge, decision_make
from trading.services.proposals import decision_proposal


@contextmanager
def configured_model(settings: Any) -> Iterator[LoopbackModelServer]:
    """The desk's model is a server on loopback; agreeable unless told otherwise."""
    with LoopbackModelServer() as server:
        settings.OPENAI_API_BASE = server.base_url
        settings.OPENAI_API_KEY = "sk-loopback"
        settings.AUTOTRADER_AI_MODEL = "test-model"
        settings.AUTOTRADER_AI_TIMEOUT_SECONDS = 20
        settings.AUTOTRADER_AI_BUDGET_USD_PER_DAY = Decimal(5)
        settings.AUTOTRADER_AI_BUDGET_USD_PER_CYCLE = None
        yield server


def settings_of(server: LoopbackModelServer) -> ModelSettings:
    return ModelSettings(base_url=server.base_url, api_key="sk-loopback", model="test-model", timeout_s=20.0)


def asked_decision(server: LoopbackModelServer, name: str = "asked") -> Decision:
    """What the model answered, made a decision on SPY at 101.50, and put before every control."""
    for picture in PNG:
        artifact_store(kind="chart", data=picture, media_type="image/png")
    said, calls = whole(settings_of(server))
    execution = claimed(strategy(name, symbols=("SPY",)), "SPY")
    ids = [call.call_id for call in calls if call.call_id is not None]
    seen = quote("101.49", "101.50", symbol="SPY")
    with audit.recording():
        decision = decision_make(execution, said, facts(quote=seen, model_calls=ids))
        if decision.type != "hold":
            proposal, _ = decision_proposal(decision, replace(market("SPY"), quote=seen))
            decision_judge(decision, judge(proposal), quantity=proposal.quantity, limit_price=proposal.limit_price)
    return Decision.objects.get(pk=decision.pk)
