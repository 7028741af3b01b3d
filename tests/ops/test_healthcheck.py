"""`manage.py healthcheck`: exit codes, the JSON form, and that it works with the web dead and the database dead."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from autotrader.core.ops import beats
from autotrader.core.ops.health import BrokerState
from autotrader.management.commands import healthcheck
from autotrader.management.commands.healthcheck import DEGRADED, DOWN, OK
from autotrader.operations import parts
from tests.support import PATIENCE_S, ROOT, child_environment, eventually, free_port


def run(*words: str) -> tuple[int, str]:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("healthcheck", *words, stdout=out)
    return int(ended.value.code or 0), out.getvalue()


def elsewhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def state(settings: Settings, tmp_path: Path) -> Path:
    settings.AUTOTRADER_STATE_DIR = tmp_path
    return tmp_path


def test_a_desk_without_processes_is_degraded_and_each_is_named(transactional_db: None, state: Path) -> None:
    code, text = run("--url", elsewhere())
    assert code == DEGRADED
    for name in ("web", "work", "now", "broker"):
        assert f"! The process {name} is not running." in text
    assert "does not answer" in text
    assert text.rstrip().endswith("degraded")


def test_a_desk_in_which_all_is_well_is_ok(
    transactional_db: None, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats.supervise([], state / "beats")
    monkeypatch.setattr(parts, "broker_state", lambda: BrokerState("ready", "", clock="set"))
    web = healthcheck.WebState("http://x/health", ok=True, status="ok", ms=4, reason="")
    monkeypatch.setattr(healthcheck, "web_state", lambda url: web)
    code, text = run()
    assert (code, text.rstrip().splitlines()[-1]) == (OK, "ok")
    code, told = run("--json")
    document = json.loads(told)
    assert (code, document["code"], document["problems"], document["health"]["status"]) == (OK, OK, [], "ok")


@pytest.mark.parametrize(("status", "expected"), [("degraded", DEGRADED), ("down", DOWN), ("?", DEGRADED)])
def test_what_only_the_web_knows_of_counts(
    transactional_db: None, state: Path, monkeypatch: pytest.MonkeyPatch, status: str, expected: int
) -> None:
    beats.supervise([], state / "beats")
    monkeypatch.setattr(parts, "broker_state", lambda: BrokerState("ready", "", clock="set"))
    web = healthcheck.WebState("http://x/health", ok=True, status=status, ms=4, reason="")
    monkeypatch.setattr(healthcheck, "web_state", lambda url: web)
    code, text = run()
    assert code == expected
    assert f"! The web at http://x/health calls the desk {status}" in text


def test_the_whole_is_told_as_one_object(transactional_db: None, state: Path) -> None:
    code, text = run("--json", "--url", elsewhere())
    told: dict[str, Any] = json.loads(text)
    assert code == told["code"] == DEGRADED
    assert set(told) == {"code", "problems", "web", "clock", "health"}
    assert told["health"]["database"]["migrations"] == 0
    assert told["clock"]["system"].endswith("Z")
    assert told["clock"]["skew_s"] is None


def test_what_speaks_no_http_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def greet() -> None:
            caller, _ = stranger.accept()
            with caller:
                caller.sendall(b"SSH-2.0-stranger\r\n")
                caller.recv(1)

        monkeypatch.setattr(healthcheck, "WEB_LIMIT", PATIENCE_S)
        threading.Thread(target=greet, daemon=True).start()
        told = healthcheck.web_state(f"http://127.0.0.1:{stranger.getsockname()[1]}")
    assert (told.ok, told.reason) == (False, "what answers there is no AutoTrader")


@pytest.mark.parametrize("url", ["nonsense", "http://a b:1", "http://[", "http://127.0.0.1:x", "http://127.0.0.1:1"])
def test_an_address_at_which_nothing_can_answer_is_a_reason_not_a_failure(url: str) -> None:
    told = healthcheck.web_state(url)
    assert not told.ok
    assert told.reason
    assert "urlopen" not in told.reason


def test_what_answers_but_is_no_autotrader_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = f"http://127.0.0.1:{stranger.getsockname()[1]}"
        assert not healthcheck.web_state(address).ok
    assert healthcheck.reachable("0.0.0.0:8000") == "127.0.0.1:8000"
    assert healthcheck.reachable("[::]:8000") == "[::1]:8000"


def test_one_process_can_be_looked_at_alone(state: Path) -> None:
    assert run("--process", "work")[0] == DOWN
    beats.start("work", state / "beats")
    # Its file counts for some seconds, and is touched each second: on a machine that stands still in between, again.
    assert eventually(lambda: [text.strip() for code, text in [run("--process", "work")] if code == OK]) == [
        "work: runs"
    ]
    assert json.loads(run("--process", "work", "--json")[1])["pid"] == os.getpid()


def test_a_dead_database_is_down_and_everything_else_is_still_told(tmp_path: Path) -> None:
    environment = child_environment(
        AUTOTRADER_STATE_DIR=str(tmp_path),
        AUTOTRADER_DATABASE_URL=f"postgresql://u@127.0.0.1:{free_port()}/x",
    )
    command = [sys.executable, "manage.py", "healthcheck", "--json", "--url", elsewhere()]
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == DOWN, told.stderr
    document = json.loads(told.stdout)
    assert document["health"]["db_ok"] is False
    assert document["health"]["queue"] is None
    assert document["health"]["disk"]["free_bytes"] > 0
    assert [one["name"] for one in document["health"]["processes"]] == ["web", "work", "now", "broker"]
