"""`manage.py up` and `prepare`: what runs, the first password, one copy only, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django_q.models import Schedule
from pytest_django import Settings

from autotrader.core.errors import ConfigInvalid
from autotrader.core.ops.supervisor import CONFIGURATION, OWNED_ELSEWHERE
from autotrader.management.commands import up
from broker.paper_gateway.hold import hold
from tests.ops import readme
from tests.support import PATIENCE_S, ROOT, eventually, free_port, gone
from trading.models import Strategy

PROMISED = 15.0  # seconds from the death of everything until orders may leave again
READY_LIMIT = 150.0  # the same beside the other tests of a busy machine


def names(settings: Settings, **values: object) -> list[str]:
    settings.AUTOTRADER_BROKER_PORT = free_port()
    for name, value in values.items():
        setattr(settings, name, value)
    return [child.name for child in up.children("127.0.0.1", 8000)]


def test_the_processes_follow_the_settings(settings: Settings) -> None:
    assert names(settings) == ["gateway", "broker", "work", "now", "web"]
    assert names(settings, AUTOTRADER_BROKER="tws") == ["broker", "work", "now", "web"]
    assert names(settings, AUTOTRADER_BROKER_URL="http://10.0.0.7:4000") == ["work", "now", "web"]


def test_a_gateway_that_listens_already_is_used(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        settings.AUTOTRADER_BROKER_PORT = gateway.getsockname()[1]
        assert [child.name for child in up.children("127.0.0.1", 8000)] == ["broker", "work", "now", "web"]


def test_an_owner_elsewhere_does_not_stop_the_desk(settings: Settings) -> None:
    settings.AUTOTRADER_BROKER_PORT = free_port()
    fatal = {child.name: child.fatal for child in up.children("127.0.0.1", 8000)}
    assert fatal["broker"] == {CONFIGURATION}
    assert fatal["web"] == {CONFIGURATION, OWNED_ELSEWHERE}


def test_a_stranger_on_the_usual_port_of_the_gateway_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.AUTOTRADER_STATE_DIR, settings.AUTOTRADER_BROKER_PORT_IS_SET = tmp_path, False
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = settings.AUTOTRADER_BROKER_PORT = stranger.getsockname()[1]
        with pytest.raises(ConfigInvalid, match=f"{port}.*AUTOTRADER_BROKER_PORT"):
            up.refuse_stranger()
        with hold(tmp_path / "paper.sqlite3") as held:
            assert held is not None
            held.announce("127.0.0.1", port)
            up.refuse_stranger()
        settings.AUTOTRADER_BROKER_PORT_IS_SET = True
        up.refuse_stranger()


def test_web_and_workers_may_never_own_the_connection() -> None:
    roles = {child.name: child.environment["AUTOTRADER_PROCESS_ROLE"] for child in up.children("127.0.0.1", 8000)}
    assert (roles["web"], roles["work"], roles["now"]) == ("web", "worker", "worker")


@pytest.mark.parametrize("bind", ["8000", "127.0.0.1:", ":8000", "127.0.0.1:web", "127.0.0.1:0"])
def test_an_address_that_is_none_is_refused(settings: Settings, bind: str) -> None:
    settings.AUTOTRADER_BIND = bind
    with pytest.raises(ConfigInvalid, match="AUTOTRADER_BIND"):
        up.web_address()


def test_the_password_is_made_once_and_works(db: None) -> None:
    password = up.first_password()
    assert len(password) >= 20
    user = authenticate(username=up.ADMIN, password=password)
    assert user is not None
    assert user.is_superuser
    assert up.first_password() == ""


def test_preparing_twice_makes_one_strategy(db: None) -> None:
    for _ in range(2):
        call_command("prepare", stdout=StringIO())
    assert (Strategy.objects.count(), Schedule.objects.filter(name="wake").count()) == (1, 1)


class Running:
    """`manage.py up` in a process of its own, with what it printed."""

    def __init__(self, state: Path) -> None:
        self.lines: list[str] = []
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("AUTOTRADER_LOG_DIR", "LOG_LEVEL")},
            "AUTOTRADER_STATE_DIR": str(state),
            "AUTOTRADER_BIND": f"127.0.0.1:{self.port}",
            "AUTOTRADER_BROKER_PORT": str(free_port()),
        }
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def restart_after_kill(self) -> float:
        """SIGKILL everything at once, then `up` again; the seconds from the kill until the broker is ready."""
        everything = [psutil.Process(self.process.pid), *self.family()]
        began = time.monotonic()
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(PATIENCE_S)
        eventually(lambda: all(gone(process.pid) for process in everything))
        self.lines = []
        self._start()
        self.wait_for("broker ready", READY_LIMIT)
        return time.monotonic() - began

    @property
    def command(self) -> list[str]:
        return [sys.executable, "manage.py", "up"]

    def _read(self) -> None:
        lines, process = self.lines, self.process
        assert process.stdout is not None
        lines += process.stdout

    def wait_for(self, text: str, timeout: float = READY_LIMIT) -> str:
        return eventually(lambda: [line for line in list(self.lines) if text in line], timeout)[0]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def clusters(self) -> dict[int, psutil.Process]:
        """The main process of each task cluster, by pid."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                if "qcluster" in " ".join(child.cmdline()):
                    found[child.pid] = child
        return found


def check_lines_of_the_readme(running: Running, tmp_path: Path) -> None:
    """As printed: quote, order, bars, preview, status, cancel, history, stream, cycle, health."""
    folder = tmp_path / "readme"
    folder.mkdir()
    told = readme.run(folder, f"http://127.0.0.1:{running.port}", running.environment)
    quote, placed, bars, preview, status, cancelled, orders, stream, cycle, health = told
    assert json.loads(quote)["bid"]
    assert json.loads(bars)["count"] == 5
    assert json.loads(preview)["allowed"]
    ref = json.loads(placed)["order_ref"]
    assert json.loads(placed)["status"] == "ACCEPTED"
    assert json.loads(status)["order_ref"] == ref
    assert json.loads(cancelled)["status"] == "CANCELLED"
    assert ref in {row["order_ref"] for row in json.loads(orders)["results"]}
    assert '"type":"ORDER_CANCELLED"' in stream
    assert json.loads(cycle)["state"] == "QUEUED"
    assert json.loads(health)["broker"] == "ready"
    # One id joins what the request caused, in the log of every process.
    logs = Path(running.environment["AUTOTRADER_STATE_DIR"]) / "logs"
    caused = json.loads(placed)["correlation_id"]
    wanted = {("web", "request"), ("web", "ORDER_SENDING"), ("broker", "call"), ("broker", "ORDER_PLACED")}
    eventually(
        lambda: (
            wanted
            <= {(line["role"], line["event"]) for line in log_lines(logs) if line.get("correlation_id") == caused}
        )
    )


def log_lines(folder: Path) -> list[dict[str, Any]]:
    """What every process has written down so far, without a line that is not whole yet."""
    whole = [path.read_text().rpartition("\n")[0] for path in folder.glob("*.jsonl")]
    return [json.loads(line) for text in whole for line in text.splitlines()]


def health_of(running: Running) -> dict[str, str]:
    """What the web says of the desk to anybody; a broker that nobody knows of where it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/health", timeout=PATIENCE_S) as answer:
            told: dict[str, str] = json.load(answer)
    except OSError:
        return {"broker": ""}
    return told


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    family = running.family() if running.process.poll() is None else []
    running.process.kill()
    for process in family:
        if process.is_running():
            process.kill()


@pytest.mark.crash
@pytest.mark.timeout(900)
def test_up_from_an_empty_folder_to_ctrl_c(running: Running, tmp_path: Path) -> None:
    running.wait_for("Ctrl-C stops everything")
    assert re.search(r"password +\S{20}", running.wait_for("password"))
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/admin/login/", timeout=PATIENCE_S) as page:
        assert page.status == 200
    running.wait_for("broker ready")
    check_lines_of_the_readme(running, tmp_path)

    second = subprocess.run(
        running.command, cwd=ROOT, env=running.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert second.returncode == 3
    assert str(running.process.pid) in second.stderr

    main = eventually(lambda: found[min(found)] if len(found := running.clusters()) == 2 else None)
    assert main is not None
    workers = eventually(lambda: found if len(found := main.children(recursive=True)) >= 5 else [])
    main.kill()
    running.wait_for("ended with SIGKILL")
    assert all(gone(worker.pid) for worker in workers)
    eventually(lambda: len(running.clusters()) == 2)

    took = running.restart_after_kill()
    print(f"ready {took:.1f} s after kill -9 of everything; {PROMISED:g} s on a machine that does nothing else")
    eventually(lambda: health_of(running)["broker"] == "ready")

    family = eventually(lambda: found if len(found := running.family()) > 10 else [])
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE_S) == 0
    assert all(gone(process.pid) for process in family)
