"""A gateway with a set clock, a desk that keeps its orders in memory, and owners that are stopped at the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_django import Settings

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.support import PATIENCE_S

Process = subprocess.Popen[str]
LIMIT = 100.0

# What needs models is imported in the fixtures: this file may be read before Django is set up.
if TYPE_CHECKING:
    from broker.service.owner import Owner, Place
    from tests.broker_service.house import MemoryDesk


@pytest.fixture(autouse=True)
def state(settings: Settings, tmp_path: Path, transactional_db: None) -> Path:
    """The state folder of this test."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    return tmp_path


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has much else to do is no owner and no gateway that falls silent."""
    from broker import front, remote

    monkeypatch.setattr(remote, "PING_LIMIT", PATIENCE_S / 2)
    monkeypatch.setattr(front, "CONNECT_LIMIT", PATIENCE_S)
    monkeypatch.setattr(front, "READY_LIMIT", PATIENCE_S)


@pytest.fixture
def gateway(state: Path) -> Iterator[EmbeddedGateway]:
    """A gateway with seeded prices at the close of 2019-06-03."""
    from tests.broker_service.house import CLOSE

    with EmbeddedGateway(set_clock=CLOSE, store_path=state / "paper.sqlite3") as running:
        yield running


@pytest.fixture
def desk() -> Iterator[MemoryDesk]:
    """Takes what flows upward."""
    from broker.service import desk as desks
    from tests.broker_service.house import MemoryDesk

    made = MemoryDesk()
    before = desks.register(made)
    yield made
    desks.register(before)


@pytest.fixture
def place(gateway: EmbeddedGateway, settings: Settings) -> Place:
    """Where the owner of this test connects; the settings say the same."""
    from broker.service.owner import Place

    settings.AUTOTRADER_BROKER_PORT = gateway.port
    return Place()


@pytest.fixture
def start(desk: MemoryDesk) -> Iterator[Callable[..., Owner]]:
    """Starts owners; all are stopped at the end."""
    from broker.service.owner import serve
    from tests.broker_service.house import FAST

    with ExitStack() as stack:

        def begin(place: Place, **options: Any) -> Owner:
            owner = stack.enter_context(serve(place, **{"timing": FAST, **options}))
            assert owner.broker.settle(PATIENCE_S), owner.broker.status()
            return owner

        yield begin


@pytest.fixture
def owner(start: Callable[..., Owner], place: Place) -> Owner:
    """An owner that is ready."""
    return start(place)


@pytest.fixture
def spawn(place: Place, state: Path) -> Iterator[Callable[..., Process]]:
    """Starts `manage.py run_broker` processes; all are ended."""
    from tests.support import ROOT, child_environment

    running: list[Process] = []

    def begin(**changes: str) -> Process:
        environment = child_environment(
            AUTOTRADER_STATE_DIR=str(state), AUTOTRADER_BROKER_PORT=str(place.port), **changes
        )
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_broker"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=LIMIT)


@pytest.fixture
def process(spawn: Callable[..., Process], state: Path, settings: Settings) -> Process:
    """A run_broker that is ready; this process may not own."""
    begun = spawn()
    assert begun.stdout is not None
    assert begun.stdout.readline().startswith("broker listening at http://127.0.0.1:")
    assert begun.stdout.readline().startswith("broker ready account=DU")
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    settings.AUTOTRADER_BROKER_SECRET = (state / "broker.secret").read_text().strip()
    return begun
