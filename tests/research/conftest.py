"""Fixtures of research: a loopback model server and settings that point at it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from research.types import ModelSettings
from tests.research.openai_server import LoopbackModelServer
from tests.support import PATIENCE_S


@pytest.fixture
def server() -> Iterator[LoopbackModelServer]:
    with LoopbackModelServer() as running:
        yield running


@pytest.fixture
def model_settings(server: LoopbackModelServer) -> ModelSettings:
    return ModelSettings(
        base_url=server.base_url,
        api_key="sk-loopback",
        model="test-model",
        timeout_s=PATIENCE_S,
        budget_per_day=Decimal(5),
        price_per_million={"test-model": (Decimal("2.00"), Decimal("8.00"))},
    )
