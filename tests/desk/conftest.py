"""The `desk` fixture: a gateway with a set clock, the owner with its writer, and a strategy to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from autotrader.management.gateways import Replay, replay, replay_times
from broker import front
from broker.paper_gateway.control import ControlClient
from tests.desk.bars_folder import START, trading_days, write_folder
from tests.research.openai_server import LoopbackModelServer
from tests.support import PATIENCE_S
from trading.models import Cycle, Decision, Instrument, Order, RiskProfile, Strategy, Workflow
from trading.services.cycles import cycle_queue
from trading.services.demo import TWO_INDICATORS
from trading.services.strategies import risk_profile_save, strategy_save
from trading.services.workflows import workflow_publish, workflow_version_add
from trading.workflow.lanes import run_cycle_here


def build_strategy(name: str, symbols: list[str], steps: list[dict[str, Any]] | None = None, **fields: Any) -> Strategy:
    """A strategy made through the services, on the two-indicator workflow unless `steps` are given."""
    workflow, _ = Workflow.objects.get_or_create(name=f"workflow of {name}")
    version = workflow_publish(workflow_version_add(workflow, steps or TWO_INDICATORS), actor="test")
    profile = RiskProfile.objects.filter(name="test").first() or risk_profile_save(
        RiskProfile(name="test"), actor="test"
    )
    strategy = Strategy(name=name, workflow_version=version, risk_profile=profile, **fields)
    instruments = [Instrument.objects.get_or_create(symbol=symbol)[0] for symbol in symbols]
    return strategy_save(strategy, actor="test", instruments=instruments)


@dataclass
class Desk:
    """What a test drives: cycles, the market's clock, and what the gateway has seen."""

    market: Replay
    days: list[date]
    position: int
    cycles: list[Cycle] = field(default_factory=list)

    @property
    def account(self) -> str:
        return self.market.account

    def run(self, strategy: Strategy, **options: Any) -> Cycle:
        """One cycle at the present time."""
        cycle = cycle_queue(strategies=[strategy], trigger="manual", actor="test", lane="test", wake=False, **options)
        run_cycle_here(cycle, self.market.broker)
        self.market.broker.drain()
        cycle.refresh_from_db()
        self.cycles.append(cycle)
        return cycle

    def next_day(self, count: int = 1) -> None:
        """Play the market to the close of the next session, day by day."""
        for _ in range(count):
            self.position += 1
            self.market.advance(replay_times(self.days[self.position], ["RISE"]).cycle_at)

    def decision(self, cycle: Cycle) -> Decision:
        return Decision.objects.select_related("execution").get(execution__cycle=cycle)

    def orders(self, cycle: Cycle) -> dict[str, Order]:
        """The cycle's orders by role."""
        return {order.role: order for order in Order.objects.filter(decision__execution__cycle=cycle)}

    def frames(self, name: str) -> int:
        """How many frames of this kind the gateway was sent."""
        control = ControlClient(self.market.gateway.host, self.market.gateway.control_port)
        return int(control.status()["frames"].get(name, 0))


@pytest.fixture(scope="session")
def bars_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("bars"))


@pytest.fixture
def open_desk(
    transactional_db: None, bars_folder: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Open a desk on a day of one's choice, on a folder of one's choice."""
    for limit in ("CONNECT_LIMIT", "READY_LIMIT"):  # a machine that has much else to do is no gateway that is away
        monkeypatch.setattr(front, limit, PATIENCE_S)
    with ExitStack() as stack:

        def open_at(position: int = START, folder: Path = bars_folder, account: str = "DUR0000001") -> Desk:
            settings.AUTOTRADER_PAPER_DATA = str(folder)
            days = trading_days()
            at = replay_times(days[position], ["RISE"]).cycle_at
            return Desk(stack.enter_context(replay(account, at)), days, position)

        yield open_at


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    """A desk on the synthetic bars at START."""
    return open_desk()


@pytest.fixture
def model(settings: Any) -> Iterator[LoopbackModelServer]:
    """A model endpoint on loopback, configured as the desk's model; agreeable unless told otherwise."""
    with LoopbackModelServer() as server:
        settings.OPENAI_API_BASE = server.base_url
        settings.OPENAI_API_KEY = "sk-loopback"
        settings.AUTOTRADER_AI_MODEL = "test-model"
        settings.AUTOTRADER_AI_TIMEOUT_SECONDS = 20
        yield server
