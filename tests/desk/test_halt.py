"""The kill switch on the whole desk: a working entry ends in our rows, protection stays, and nothing new leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from autotrader.core.audit.models import Event
from autotrader.core.users.models import User
from autotrader.management.gateways import replay_times
from broker.gates import halt_reading
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service.owner import Owner, serve
from tests.desk.bars_folder import START, trading_days
from tests.desk.conftest import build_strategy
from tests.support import PATIENCE_S, eventually
from trading.models import Cycle, Decision, Discrepancy, Order, Strategy
from trading.services.cycles import cycle_queue
from trading.services.halts import halt, release
from trading.workflow.lanes import run_cycle_here


@pytest.fixture
def gateway(transactional_db: None, tmp_path: Path, bars_folder: Path, settings: Settings) -> Iterator[EmbeddedGateway]:
    """The desk's own gateway, whose clock stands at a close."""
    settings.AUTOTRADER_PAPER_DATA, settings.AUTOTRADER_STATE_DIR = str(bars_folder), tmp_path
    at = replay_times(trading_days()[START], ["RISE"]).cycle_at
    with EmbeddedGateway(data_folder=bars_folder, store_path=tmp_path / "paper.sqlite3", set_clock=at) as running:
        settings.AUTOTRADER_BROKER_PORT = running.port
        yield running


@pytest.fixture
def owner(gateway: EmbeddedGateway) -> Iterator[Owner]:
    with serve() as running:
        assert running.broker.settle(PATIENCE_S), running.broker.status()
        yield running


def cycle_of(owner: Owner, strategy: Strategy) -> Cycle:
    cycle = cycle_queue(strategies=[strategy], trigger="manual", actor="test", lane="test", wake=False)
    run_cycle_here(cycle, owner.broker)  # type: ignore[arg-type]
    owner.broker.drain()
    return cycle


def reasons(cycle: Cycle) -> list[str]:
    """Why the cycle's decision was refused."""
    return list(Decision.objects.get(execution__cycle=cycle).reasons)


def states() -> dict[str, str]:
    return dict(Order.objects.values_list("role", "state"))


def test_a_halt_ends_the_entry_in_our_rows_and_refuses_the_next(owner: Owner) -> None:
    strategy = build_strategy("s", ["RISE"])
    cycle_of(owner, strategy)
    assert states() == {"entry": "ACCEPTED", "stop": "ACCEPTED", "target": "ACCEPTED"}

    outcome = halt(actor="ann", reason="strange fills", wait_s=PATIENCE_S)

    assert (outcome.asked, outcome.confirmed, outcome.done) == (1, 1, True)
    assert "1 asked to end, 1 confirmed" in outcome.sentence
    eventually(lambda: set(states().values()) == {"CANCELLED"})
    assert "HALTED" in reasons(cycle_of(owner, strategy))
    eventually(lambda: Event.objects.filter(type="HALT_CANCELS_CONFIRMED").exists())
    assert not Discrepancy.objects.exists()

    boss, seen = User.objects.create_superuser("boss", password="x"), halt_reading().seen
    release(user=boss, reason="it was a drill", seen=seen)
    assert "HALTED" not in reasons(cycle_of(owner, strategy))


def test_a_halt_leaves_the_protection_of_a_position(owner: Owner, gateway: EmbeddedGateway) -> None:
    cycle_of(owner, build_strategy("s", ["RISE"]))
    gateway.advance(replay_times(trading_days()[START + 1], ["RISE"]).cycle_at)
    owner.broker.drain()
    assert states()["entry"] == "FILLED"

    outcome = halt(actor="ann", reason="strange fills", wait_s=PATIENCE_S)

    assert (outcome.asked, len(outcome.kept), outcome.done) == (0, 2, True)
    assert {states()[role] for role in ("stop", "target")} == {"ACCEPTED"}
