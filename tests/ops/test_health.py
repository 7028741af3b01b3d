"""Health: what is wrong is named, by whom it is seen, and never a guess where nothing is known."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from autotrader.core.audit.models import AuditHead
from autotrader.core.ops import breaker as breakers
from autotrader.core.ops.beats import Beat
from autotrader.core.ops.breaker import Breaker
from autotrader.core.ops.health import (
    AuditState,
    BrokerState,
    DatabaseState,
    DiskState,
    LaneState,
    Parts,
    StreamState,
    judged,
)
from autotrader.core.users.models import User
from autotrader.operations import parts, views
from tests import database
from tests.live import make_key
from tests.ops.test_up import Running, log_lines
from tests.ops.test_up import running as running
from tests.support import PATIENCE_S, ROOT, eventually, gone

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
WELL = Parts(
    database=DatabaseState(ok=True, reason="", since_s=60),
    broker=BrokerState("ready", ""),
    processes=[Beat("web", running=True, pid=1, host="h", age_s=0.4)],
    queue=[LaneState("work", 3, 2.0)],
    stream=StreamState(alive=True, subscribers=2, lag_s=0.1, problem=""),
    audit=AuditState(10, 30.0),
    disk=DiskState(10**10, 10**11),
)


def problems(**changes: Any) -> list[str]:
    return judged(replace(WELL, **changes), now=NOW, build="b").problems


def test_a_desk_without_a_problem_is_ok() -> None:
    found = judged(WELL, now=NOW, build="b")
    assert (found.status, found.db_ok, found.broker, found.problems) == ("ok", True, "ready", [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"broker": BrokerState("not_ready", "reading the book")}, "reading the book"),
        ({"broker": BrokerState("unavailable", "no owner")}, "no owner"),
        ({"broker": BrokerState("ready", "", action="log in anew")}, "log in anew"),
        ({"broker": BrokerState("ready", "", skew_s=-2.5)}, "-2.5 s"),
        ({"processes": [Beat("now", running=False, pid=7, host="h", age_s=9.0)]}, "now is not running"),
        ({"queue": [LaneState("now", 1, 91.0)]}, "91 s"),
        ({"stream": StreamState(alive=False, subscribers=1, lag_s=None, problem="")}, "nobody reads"),
        ({"stream": StreamState(alive=True, subscribers=1, lag_s=6.0, problem="")}, "6 s behind"),
        ({"stream": StreamState(alive=True, subscribers=1, lag_s=0.0, problem="a row is missing")}, "a row is missing"),
        ({"audit": AuditState(10, 1000.0)}, "17 minutes"),
        ({"audit": AuditState(10, None)}, "No anchor"),
        ({"audit": AuditState(None, 30.0)}, "no head row"),
        ({"disk": DiskState(10**8, 10**11)}, "95 MB"),
        ({"failing": ["The workers' step “loss guard” fails since noon."]}, "loss guard"),
        ({"database": DatabaseState(ok=True, reason="", since_s=1, migrations=2)}, "2 migrations"),
    ],
)
def test_each_problem_is_named_and_degrades(changes: dict[str, Any], words: str) -> None:
    found = judged(replace(WELL, **changes), now=NOW, build="b")
    assert found.status == "degraded"
    assert [line for line in found.problems if words in line] == found.problems
    assert found.problems


def test_what_rests_or_is_empty_is_no_problem() -> None:
    resting = StreamState(alive=False, subscribers=0, lag_s=None, problem="")
    assert problems(stream=resting, audit=AuditState(0, None), queue=[LaneState("work", 0, 0.0)]) == []
    assert problems(broker=BrokerState("ready", "", skew_s=1.9)) == []


def test_a_database_that_is_away_is_down_whatever_else_is_well() -> None:
    found = judged(replace(WELL, database=DatabaseState(ok=False, reason="refused", since_s=3)), now=NOW, build="b")
    assert (found.status, found.db_ok) == ("down", False)
    assert found.problems == ["The database does not answer: refused."]


# Who is told what


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of what another test was told within the last second."""
    monkeypatch.setattr(views, "_well", parts.Kept(views._well._ask))


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_anybody_is_told_three_fields(db: None, path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 200
    assert set(answer.json()) == {"status", "db_ok", "broker"}
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Correlation-Id"]
    assert Client().head(path).status_code == 200
    assert Client().get(path, headers={"accept": "text/html"}).json()["db_ok"] is True


def test_who_may_view_events_is_told_everything(person: User) -> None:
    client = Client()
    client.force_login(person)
    told = client.get("/health").json()
    assert {"problems", "processes", "queue", "stream", "audit", "disk", "database", "broker_state"} <= set(told)
    assert told["broker"] == "unavailable"
    assert [one["name"] for one in told["processes"]] == ["web", "work", "now", "broker"]
    by_key = Client().get("/api/health", headers=make_key(person))
    assert set(by_key.json()) == set(told)
    assert set(Client().get("/health", headers=make_key(person, scopes=("halt",))).json()) == {
        "status",
        "db_ok",
        "broker",
    }


def test_a_log_without_its_head_is_a_problem_and_no_failure(person: User) -> None:
    client = Client()
    client.force_login(person)
    with transaction.atomic(), connection.cursor() as cursor, database.append_only_lifted(cursor):
        AuditHead.objects.all().delete()
    answer = client.get("/health")
    told = answer.json()
    assert (answer.status_code, told["status"], told["audit"]["events"]) == (200, "degraded", None)
    assert any("no head row" in line for line in told["problems"])


def test_nobody_makes_the_desk_look_at_itself_more_than_once_a_second(
    db: None, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_well", parts.Kept(views._well._ask, seconds=60))
    first = Client().get("/health").json()
    with django_assert_num_queries(0):
        assert Client().get("/health").json() == first


def test_while_one_asks_the_others_are_told_what_was_last_known() -> None:
    asks, go_on = threading.Event(), threading.Event()
    count = itertools.count(1)

    def ask() -> int:
        number = next(count)
        if number == 2:
            asks.set()
            assert go_on.wait(PATIENCE_S)
        return number

    kept = parts.Kept(ask, seconds=0)
    assert kept.get() == 1
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(kept.get)
        try:
            assert asks.wait(PATIENCE_S)
            assert [kept.get() for _ in range(20)] == [1] * 20
        finally:
            go_on.set()
        assert slow.result(PATIENCE_S) == 2
    assert kept.get() == 3


def test_who_may_not_view_events_is_told_as_little_as_anybody(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("somebody", password="x"))
    assert set(client.get("/health").json()) == {"status", "db_ok", "broker"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_health_is_only_read(person: User, method: str) -> None:
    client = Client()
    assert client.generic(method, "/health").status_code in (401, 405)
    client.force_login(person)
    assert client.generic(method, "/health").status_code == 405


def test_a_forged_key_is_no_way_to_more_and_a_parameter_is_refused(db: None) -> None:
    assert Client().get("/health", headers={"Authorization": "Bearer at_forged__nothing"}).status_code == 401
    assert Client().get("/health?verbose=1").status_code == 422


def test_without_a_database_the_body_is_told_all_the_same(
    person: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def __call__(self) -> str:
            return "refused"

        def close(self) -> None:
            """Nothing is open."""

    client = Client()
    client.force_login(person)
    settings.AUTOTRADER_WATCHES_DATABASE = True
    away = Breaker(Away())
    monkeypatch.setattr(breakers, "_breaker", away)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {"status": "down", "db_ok": False, "broker": "unavailable"}
    assert client.get("/api/history/events").json()["error"]["code"] == "STORAGE"
    away.stop()


# The real processes


class Desk:
    """The web of a running desk, asked with a key of its administrator."""

    def __init__(self, running: Running, state: Path) -> None:
        self._url = f"http://127.0.0.1:{running.port}"
        self.state, self.logs = state, state / "logs"
        options = ("--user", "admin", "--name", "test", "--scope", "read", "--scope", "trade", "--scope", "admin")
        made = _manage(running, "create_api_key", *options, "--json")
        self._key = json.loads(made.stdout)["key"]

    def text(self, path: str, body: bytes | None = None) -> str:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", "Idempotency-Key": "k"}
        request = urllib.request.Request(f"{self._url}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text("/health"))
        return found

    def pids(self) -> dict[str, int]:
        """The processes that live."""
        return {one["name"]: one["pid"] for one in self.health()["processes"] if one["running"]}

    def figures(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.text("/api/metrics"))
        return {
            f"{sample.name}{sorted(sample.labels.values())}": sample.value for one in families for sample in one.samples
        }

    def rows(self) -> dict[str, float]:
        """The same figures, counted by us in the database's file."""
        with sqlite3.connect(f"file:{self.state / 'autotrader.sqlite3'}?mode=ro", uri=True) as link:
            found: dict[str, float] = {}
            for name, query in COUNTS.items():
                for *labels, count in link.execute(query):
                    found[f"autotrader_{name}{sorted(map(str, labels))}"] = count
            return found


COUNTS = {
    "orders": "SELECT state, count(*) FROM trading_order GROUP BY state",
    "executions": "SELECT state, count(*) FROM trading_workflowexecution GROUP BY state",
    "cycles": "SELECT state, trigger, count(*) FROM trading_cycle GROUP BY state, trigger",
    "steps_total": "SELECT name, state, count(*) FROM trading_steprun GROUP BY name, state",
    "decisions": "SELECT type, state, count(*) FROM trading_decision GROUP BY type, state",
    "verdicts_total": "SELECT rule, CASE allowed WHEN 1 THEN 'allowed' ELSE 'refused' END, count(*) "
    "FROM trading_riskverdict GROUP BY rule, allowed",
    "fills_total": "SELECT count(*) FROM trading_fill",
    "events_total": "SELECT seq FROM audit_audithead",
}


@pytest.mark.crash
@pytest.mark.timeout(600)
def test_a_killed_process_is_named_and_a_workers_cycle_is_counted(running: Running, tmp_path: Path) -> None:
    running.wait_for("broker ready")
    desk = Desk(running, tmp_path)
    names = {"gateway", "broker", "work", "now", "web"}
    eventually(lambda: set(desk.pids()) == names)
    started = json.loads(desk.text("/api/cycles", b'{"strategies": ["demo"]}'))
    eventually(lambda: "autotrader_cycles['DONE', 'api']" in desk.figures(), 100, every=0.3)
    eventually(lambda: _one_id_joins_the_cycle_s_lines(desk, started["correlation_id"]))

    def agrees() -> bool:
        before, told, after = desk.rows(), desk.figures(), desk.rows()
        return before == after and all(told.get(name) == count for name, count in before.items())

    eventually(agrees, every=0.3)
    assert any(name.startswith("autotrader_broker_calls_total['bars'") for name in desk.figures())
    for name in ("now", "work", "gateway", "broker"):
        pid = eventually(lambda name=name: desk.pids().get(name))
        os.kill(running.process.pid, signal.SIGSTOP)  # so that it is not there again before anybody has looked
        os.kill(pid, signal.SIGKILL)
        eventually(lambda name=name: f"The process {name} is not running." in desk.health()["problems"])
        os.kill(running.process.pid, signal.SIGCONT)
    eventually(lambda: set(desk.pids()) == names, 100, every=0.2)
    _healthcheck_names_the_web(running, desk)


def _one_id_joins_the_cycle_s_lines(desk: Desk, caused: str) -> bool:
    """In the log of every process: the request's id, and that of an execution, which begins with it."""
    found = {
        (line["role"], line["event"], identity == caused)
        for line in log_lines(desk.logs)
        if (identity := line.get("correlation_id", "")).partition(".")[0] == caused
    }
    of_the_request = {("web", "request", True), ("web", "CYCLE_QUEUED", True), ("worker", "CYCLE_STARTED", True)}
    of_an_execution = {("worker", "EXECUTION_CLAIMED", False), ("worker", "DECISION_MADE", False)}
    return of_the_request | of_an_execution | {("broker", "call", True), ("broker", "call", False)} <= found


def _healthcheck_names_the_web(running: Running, desk: Desk) -> None:
    os.kill(running.process.pid, signal.SIGSTOP)  # so that it starts nothing again
    _history_goes_on_without_the_broker(desk)
    os.kill(desk.pids()["web"], signal.SIGKILL)
    told = _manage(running, "healthcheck")
    assert told.returncode == 1, told.stdout + told.stderr
    assert "The process web is not running." in told.stdout
    assert "answers" in told.stdout
    os.kill(running.process.pid, signal.SIGCONT)


def _history_goes_on_without_the_broker(desk: Desk) -> None:
    pid = eventually(lambda: desk.pids().get("broker"))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: gone(pid))
    with pytest.raises(urllib.error.HTTPError) as refused:
        desk.text("/api/live/positions")
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "1")
    began = time.monotonic()
    for _ in range(5):
        assert json.loads(desk.text("/api/history/events"))["results"]
    assert (time.monotonic() - began) / 5 < 5


def _manage(running: Running, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=running.environment, capture_output=True, text=True, check=False)
