"""`manage.py halt` against owners that answer, that are frozen, that are gone, and without a database."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import call_command
from pytest_django import Settings

from broker import get_broker, halts, latch
from broker.kill_switch import has_open
from broker.models import Halt
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service import lock
from broker.service.owner import Place, serve
from tests.broker_service.house import FAST, MemoryDesk, bracket
from tests.support import PATIENCE_S, ROOT, child_environment, gone

Process = subprocess.Popen[str]
DEAD_DATABASE = "postgresql://nobody@127.0.0.1:1/nothing"


def halt(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command here; its exit code and its JSON."""
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("halt", "--json", *arguments, stdout=out)
    return int(str(ended.value.code)), json.loads(out.getvalue())


def halt_without_database(state: Path, port: int, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The same in a process of its own, whose database is dead."""
    environment = child_environment(
        AUTOTRADER_STATE_DIR=str(state),
        AUTOTRADER_BROKER_PORT=str(port),
        AUTOTRADER_DATABASE_URL=DEAD_DATABASE,
        AUTOTRADER_TIME_FACTOR="0.2",
    )
    command = [sys.executable, "manage.py", "halt", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def frames(gateway: EmbeddedGateway, name: str) -> int:
    with ControlClient(gateway.host, gateway.control_port) as control:
        return int(control.status()["frames"].get(name, 0))


def owner_pid(place: Place) -> int:
    holder = lock.read(place.lock_path)
    assert holder is not None
    return holder.pid


def test_an_owner_that_answers_ends_the_entries(
    process: Process, place: Place, state: Path, gateway: EmbeddedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOTRADER_TIME_FACTOR", "10")  # it may take long, and is not killed for that
    with get_broker() as broker:
        broker.place(bracket(broker))
        code, told = halt()
        assert (code, told["asked"], told["confirmed"], told["working"]) == (0, 1, 1, [])
        assert broker.open_orders() == ()
    assert told["file_ms"] < 1000
    assert owner_pid(place) == process.pid
    assert frames(gateway, "cancelOrder") == 1
    assert Halt.objects.get().state == "HALTED"


def test_a_frozen_owner_is_killed_and_its_work_done_without_a_database(
    process: Process, place: Place, state: Path, gateway: EmbeddedGateway
) -> None:
    with get_broker() as broker:
        broker.place(bracket(broker))
    process.send_signal(signal.SIGSTOP)
    code, told = halt_without_database(state, place.port)
    assert (code, told["asked"], told["confirmed"], told["row"]) == (0, 1, 1, "later")
    assert gone(process.pid)
    assert frames(gateway, "cancelOrder") == 1
    found = latch.read(state)
    assert found is not None
    assert found.cancelled_at is not None
    assert not Halt.objects.exists()
    halts.halt_sync(grace=0)
    row = Halt.objects.get()
    assert (row.state, row.asked, row.confirmed, row.cancelled_at) == ("HALTED", 1, 1, found.cancelled_at)


def test_without_an_owner_the_command_connects_itself(
    place: Place, state: Path, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    with serve(place, timing=FAST) as first:
        assert first.broker.settle(PATIENCE_S)
        first.broker.place(bracket(first.broker))
        first.broker.drain()
    code, told = halt("--cancel", "all", "--yes", "--reason", "a drill")
    assert (code, told["cancel"], told["working"], told["row"]) == (0, "all", [], "written")
    assert frames(gateway, "reqGlobalCancel") == 1
    row = Halt.objects.get()
    assert (row.state, row.reason, row.confirmed) == ("HALTED", "a drill", told["confirmed"])


def test_a_gateway_that_is_away_leaves_the_halt_in_force_and_says_so(
    place: Place, state: Path, settings: Settings
) -> None:
    settings.AUTOTRADER_BROKER_PORT, settings.AUTOTRADER_BROKER_PORT_IS_SET = 1, True
    code, told = halt("--wait", "1")
    assert (code, told["state"], told["done"]) == (1, "HALTED", False)
    assert "no connection" in told["problem"]


def test_reducing_and_no_cancels_at_all(place: Place, state: Path) -> None:
    code, told = halt("--reduce", "--cancel", "none")
    assert (code, told["state"], told["cancel"]) == (0, "REDUCING", "")
    found = latch.read(state)
    assert found is not None
    assert found.state == "REDUCING"


def test_all_needs_a_yes_where_nobody_can_be_asked(place: Place, gateway: EmbeddedGateway) -> None:
    code, told = halt("--cancel", "all")
    assert (code, told["cancel"]) == (0, "entries")
    assert frames(gateway, "reqGlobalCancel") == 0


def test_only_the_process_that_has_the_lock_open_is_the_holder(tmp_path: Path) -> None:
    held = lock.take(tmp_path / "broker.lock")
    try:
        assert has_open(os.getpid(), held.path)
        assert not has_open(psutil.Process().ppid(), held.path)
    finally:
        held.release()


@pytest.mark.parametrize("words", [(), ("--user", "nobody"), ("--user", "nobody", "--reason", "a reason")])
def test_a_release_needs_a_user(place: Place, state: Path, words: tuple[str, ...]) -> None:
    latch.path_of(state).touch()
    with pytest.raises(SystemExit) as ended:
        call_command("halt", "--release", *words)
    assert ended.value.code == 3
    assert latch.path_of(state).exists()


def test_where_the_file_cannot_be_written_the_row_holds(state: Path, settings: Settings) -> None:
    """And no lock of the owner's can be read there either: nothing is proven, and that is said."""
    settings.AUTOTRADER_STATE_DIR = state / "a file"
    settings.AUTOTRADER_STATE_DIR.touch()
    code, told = halt("--reason", "strange fills")
    assert (code, told["row"], told["done"]) == (1, "written", False)
    assert "lock cannot be used" in told["problem"]
    row = Halt.objects.get()
    assert (row.state, row.reason, row.cancel) == ("HALTED", "strange fills", "entries")
    assert halt("--cancel", "none")[0] == 0
