"""The kill switch killed itself: at each step the next process goes on where it was left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from autotrader.core.audit.models import Event
from autotrader.core.users.models import User
from broker import gates, get_broker, latch, remote
from broker.models import Halt
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_service.house import CLOSE, bracket
from tests.support import ROOT, child_environment, eventually

pytestmark = [pytest.mark.crash, pytest.mark.timeout(480)]
LONG = 120  # seconds for a process to start and to come to its end, on a busy machine
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def gateway(
    transactional_db: None, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedGateway]:
    monkeypatch.setattr(remote, "PING_LIMIT", 30.0)  # an owner that is only slow is there
    settings.AUTOTRADER_STATE_DIR, settings.AUTOTRADER_MAY_OWN_BROKER = tmp_path, False
    with EmbeddedGateway(set_clock=CLOSE, store_path=tmp_path / "paper.sqlite3") as running:
        settings.AUTOTRADER_BROKER_PORT = running.port
        yield running


@pytest.fixture
def start(gateway: EmbeddedGateway, tmp_path: Path, settings: Settings) -> Iterator[Start]:
    """Starts commands of this desk; all are ended."""
    running: list[subprocess.Popen[str]] = []

    def begin(*words: str, crash: str = "", until: str = "ready") -> subprocess.Popen[str]:
        environment = child_environment(
            AUTOTRADER_STATE_DIR=str(tmp_path),
            AUTOTRADER_BROKER_PORT=str(gateway.port),
            AUTOTRADER_CRASH=crash,
            AUTOTRADER_TIME_FACTOR="0.2",
        )
        command = [sys.executable, "manage.py", *words]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        running.append(process)
        if words == ("run_broker",) and until:
            assert process.stdout is not None
            eventually(lambda: until in process.stdout.readline(), LONG)  # type: ignore[union-attr]
            settings.AUTOTRADER_BROKER_SECRET = (tmp_path / "broker.secret").read_text().strip()
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate(timeout=30)


def place_two() -> None:
    with get_broker() as broker:
        for group in ("G1", "G2"):
            broker.place(bracket(broker, group))


def cancel_frames(gateway: EmbeddedGateway) -> int:
    with ControlClient(gateway.host, gateway.control_port) as control:
        return int(control.status()["frames"].get("cancelOrder", 0))


def none_work() -> bool:
    with get_broker() as broker:
        return broker.open_orders() == ()


def types_of_events() -> list[str]:
    return list(Event.objects.filter(subject="halt:1").order_by("seq").values_list("type", flat=True))


def test_who_halts_dies_after_the_file_and_the_owner_does_the_rest(start: Start) -> None:
    start("run_broker")
    place_two()
    assert start("halt", "--reason", "a drill", crash="halt_file").wait(LONG) < 0
    eventually(none_work)
    row = eventually(lambda: Halt.objects.filter(cancelled_at__isnull=False).first())
    assert row is not None
    assert (row.state, row.reason, row.asked, row.confirmed) == ("HALTED", "a drill", 2, 2)
    assert types_of_events() == ["HALT_CHANGED", "HALT_CANCELS_ASKED", "HALT_CANCELS_CONFIRMED"]


def test_owners_that_die_among_the_cancels_are_followed_by_one_that_ends_them(
    start: Start, gateway: EmbeddedGateway, tmp_path: Path
) -> None:
    first = start("run_broker", crash="cancel_writing")
    place_two()
    gates.halt_set("HALTED", "ann", "a drill", cancel="entries")
    assert first.wait(LONG) < 0
    assert cancel_frames(gateway) == 0
    for point in ("cancel_written", "halt_cancels_proven"):
        assert start("run_broker", crash=point, until="").wait(LONG) < 0
    found = latch.read(tmp_path)
    assert found is not None
    assert found.is_cancelling
    start("run_broker")
    assert none_work()
    eventually(lambda: "HALT_CANCELS_CONFIRMED" in types_of_events())
    assert types_of_events().count("HALT_CHANGED") == 1
    assert cancel_frames(gateway) <= 3


@pytest.mark.parametrize(
    ("point", "state", "releases"), [("halt_release_committing", "HALTED", 0), ("halt_loosening", "ACTIVE", 1)]
)
def test_who_releases_dies_and_it_is_released_wholly_or_not(
    start: Start, tmp_path: Path, point: str, state: str, releases: int
) -> None:
    gates.halt_set("HALTED", "ann", "a drill")
    User.objects.create_superuser("boss", "", "a-long-password-here")
    release = start("halt", "--release", "--user", "boss", "--reason", "it is over", crash=point)
    assert release.wait(LONG) < 0
    assert latch.read(tmp_path) is not None
    gates.halt_sync()
    assert gates.halt_state() == state
    assert (latch.read(tmp_path) is None) == (state == "ACTIVE")
    assert types_of_events().count("HALT_CHANGED") == 1 + releases
