"""Whether the database answers: known at once, both ways, however it fails; and what requests are told meanwhile."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from autotrader.core.ops import breaker as breakers
from autotrader.core.ops import database_away, measures, probes
from autotrader.core.ops.breaker import Breaker
from autotrader.core.ops.probes import PostgresProbe, SqliteProbe, probe_of
from autotrader.core.ops.traffic import GIVEN_UP, TrafficMiddleware
from autotrader.core.users.models import User
from tests.live import make_key
from tests.ops.web import Relay, Web, state_folder
from tests.support import PATIENCE_S, eventually

PATIENCE = 0.2
AT_ONCE = 0.5  # a tenth of it in life


class Database:
    """Answers as a test says: a reason, "" for well, or not at all."""

    def __init__(self) -> None:
        self.reason = ""
        self.answers = threading.Event()
        self.answers.set()

    def __call__(self) -> str:
        self.answers.wait(PATIENCE_S)
        return self.reason

    def close(self) -> None:
        self.answers.set()


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def breaker(database: Database) -> Iterator[Breaker]:
    made = Breaker(database, every=0.02, patience=PATIENCE_S)
    yield made
    made.stop()
    database.close()


def falls_silent(breaker: Breaker, database: Database) -> None:
    """From now on it does not answer, and little patience is had with it."""
    breaker._patience = PATIENCE
    database.answers.clear()


def test_a_database_that_fails_is_known_and_known_to_be_back(breaker: Breaker, database: Database) -> None:
    eventually(lambda: breaker.look().ok)
    database.reason = "connection refused"
    eventually(lambda: not breaker.look().ok)
    assert breaker.look().reason == "connection refused"
    database.reason = ""
    eventually(lambda: breaker.look().ok)


def test_a_database_that_never_answers_is_known_without_waiting_for_it(breaker: Breaker, database: Database) -> None:
    eventually(lambda: breaker.look().ok)
    falls_silent(breaker, database)
    eventually(lambda: not breaker.look().ok)
    began = time.monotonic()
    for _ in range(100):
        assert "no answer" in breaker.look().reason
    assert time.monotonic() - began < 100 * PATIENCE / 2
    breaker._patience = PATIENCE_S
    database.answers.set()
    eventually(lambda: breaker.look().ok)


def test_the_first_look_waits_for_a_first_answer_and_a_peek_for_none(database: Database) -> None:
    database.answers.clear()
    silent = Breaker(database, patience=PATIENCE_S)
    assert silent.peek().ok, "nothing is known yet, and nobody is refused for that"
    assert not silent.look().ok
    silent.stop()
    database.close()


def test_who_met_an_error_gets_a_look_that_began_afterwards(database: Database) -> None:
    slow = Breaker(database, every=2 * PATIENCE_S, patience=PATIENCE_S)
    eventually(lambda: slow.look().ok)
    database.reason = "gone"
    assert slow.look().ok, "not asked since"
    assert not slow.ask(PATIENCE_S).ok
    slow.stop()


def test_a_listener_that_never_answers_is_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "CONNECT_LIMIT", int(PATIENCE_S))
    with socket.create_server(("127.0.0.1", 0)) as hole:
        host, port = hole.getsockname()
        config = {"NAME": "x", "USER": "x", "PASSWORD": "", "HOST": host, "PORT": str(port), "OPTIONS": {}}
        silent = Breaker(PostgresProbe(config))
        began = time.monotonic()
        assert not silent.look().ok
        assert time.monotonic() - began < PATIENCE_S / 2
        silent.stop()


def test_a_file_that_is_not_there_or_no_database_is_away(tmp_path: Path) -> None:
    assert SqliteProbe(str(tmp_path / "none.sqlite3"))()
    (tmp_path / "text.sqlite3").write_text("no database at all" * 100)
    assert SqliteProbe(str(tmp_path / "text.sqlite3"))()


def test_the_database_of_the_settings_answers(transactional_db: None) -> None:
    probe = probe_of()
    assert probe() == ""
    assert probe() == ""
    probe.close()


# What requests are told


@pytest.fixture
def watched(settings: Settings, breaker: Breaker, monkeypatch: pytest.MonkeyPatch) -> Breaker:
    """The middleware as the web has it, with a database of the test's."""
    settings.AUTOTRADER_WATCHES_DATABASE = True
    monkeypatch.setattr(breakers, "_breaker", breaker)
    return breaker


def test_a_page_is_refused_as_a_page_and_the_api_in_its_envelope(watched: Breaker, database: Database) -> None:
    database.reason = "gone"
    eventually(lambda: watched.look().reason == "gone")
    middleware = database_away.DatabaseAwayMiddleware(lambda request: pytest.fail("it was asked"))
    page = middleware(RequestFactory().get("/admin/"))
    answer: Any = middleware(RequestFactory().get("/api/orders/x/status"))
    assert (page.status_code, page["Content-Type"][:9], page["Retry-After"]) == (503, "text/html", "1")
    assert b'"code": "STORAGE"' in answer.content
    assert answer["Cache-Control"] == "no-store"


def test_a_query_that_meets_a_failing_database_is_told_apart_from_a_fault(watched: Breaker) -> None:
    middleware = database_away.DatabaseAwayMiddleware(lambda request: pytest.fail("it was asked"))
    request = RequestFactory().post("/approvals/1/approve")
    answer = middleware.process_exception(request, OperationalError("server closed the connection"))
    assert answer is not None
    assert answer.status_code == 503
    assert b"not known" in answer.content
    assert middleware.process_exception(request, ValueError("x")) is None


async def test_a_request_that_hangs_is_answered_when_the_database_is_found_away(
    watched: Breaker, database: Database
) -> None:
    eventually(lambda: watched.look().ok)
    going_on = asyncio.Event()
    sent: list[dict[str, Any]] = []
    scopes: list[dict[str, Any]] = []
    counted = measures.HTTP_REQUESTS.labels("other", "POST", "5xx")._value
    before = counted.get()

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        falls_silent(watched, database)
        await going_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    receive: Any = asyncio.Queue().get
    guard = database_away.InFlightGuard(hanging)
    asked = {"type": "http", "method": "POST", "path": "/api/orders/place"}
    await asyncio.wait_for(guard(asked, receive, send), PATIENCE_S)
    assert sent[0]["status"] == 503
    assert b"whether it was done is not known" in sent[1]["body"]
    assert counted.get() == before + 1
    assert scopes[0][GIVEN_UP](), "who counts requests passes over this one"
    going_on.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(sent) == 2, "what was given up says nothing more"


async def test_a_look_at_health_that_hangs_is_answered_without_what_it_had_received(
    watched: Breaker, database: Database
) -> None:
    eventually(lambda: watched.look().ok)
    going_on = asyncio.Event()
    request = {"type": "http.request", "body": b"", "more_body": False}
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    received.put_nowait(request)
    sent: list[dict[str, Any]] = []

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        falls_silent(watched, database)
        await going_on.wait()

    async def plain(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == request
        leaving = asyncio.ensure_future(receive())  # as Django looks meanwhile whether the client leaves
        await send({"type": "http.response.start", "status": 503, "headers": []})
        leaving.cancel()

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    guard = database_away.InFlightGuard(hanging, plain)
    asked = {"type": "http", "method": "GET", "path": "/health"}
    await asyncio.wait_for(guard(asked, received.get, send), PATIENCE_S)
    assert [message["status"] for message in sent] == [503]
    going_on.set()


def test_a_request_that_another_answers_is_not_counted_twice() -> None:
    request: Any = RequestFactory().get("/somewhere")
    counted = measures.HTTP_REQUESTS.labels("other", "GET", "2xx")._value
    before = counted.get()
    for is_given_up, count in ((True, 0), (False, 1)):
        request.scope = {GIVEN_UP: lambda is_given_up=is_given_up: is_given_up}
        TrafficMiddleware(lambda request: HttpResponse())(request)
        assert counted.get() == before + count


@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_the_web_answers_at_once_while_postgresql_hangs_or_refuses(transactional_db: None, tmp_path: Path) -> None:
    user = User.objects.create_superuser("admin", password="a long enough password")
    key = make_key(user)
    state = state_folder(tmp_path / "state")
    with Relay() as relay, Web(state, AUTOTRADER_DATABASE_URL=relay.url()) as web:
        for away in (relay.hang, relay.refuse):
            eventually(lambda: web.get("/health").json["db_ok"])
            eventually(lambda: web.get("/api/history/events", **key).status == 200)
            away()
            _first_requests(web, key)
            eventually(lambda: not web.get("/health").json["db_ok"])
            # A request that meets the failure says so before the probe has noticed.
            eventually(lambda: web.get("/api/history/events", **key).json["detail"] == database_away.NOT_DONE)
            _known(web, key)
            relay.open()
            eventually(lambda: web.get("/health").json["db_ok"])
        eventually(lambda: web.get("/api/history/events", **key).status == 200)


def _first_requests(web: Web, key: dict[str, str]) -> None:
    """Nobody knows yet: four at once, none of which waits for the connect time-out."""
    with ThreadPoolExecutor(4) as pool:
        paths = ["/api/history/events", "/api/live/positions", "/admin/", "/api/history/orders"]
        answers = list(pool.map(lambda path: web.get(path, Cookie=f"sessionid={'x' * 32}", **key), paths))
    assert [answer.status for answer in answers] == [503] * 4
    assert max(answer.seconds for answer in answers) < 20, "they would wait without end"
    assert answers[0].json["error"]["code"] == "STORAGE"
    assert answers[0].headers["x-correlation-id"] == answers[0].json["error"]["correlation_id"]


def _known(web: Web, key: dict[str, str]) -> None:
    told = sorted(web.get("/api/history/events", **key).seconds for _ in range(9))
    assert told[4] < AT_ONCE
    health = web.get("/health", Cookie=f"sessionid={'x' * 32}")
    assert (health.status, health.json["status"], health.seconds < 20) == (503, "down", True)
    assert web.get("/static/autotrader/icons.svg").status == 200, "a page that stands there keeps its icons"


def test_only_the_web_watches_its_database_and_knows_within_a_second() -> None:
    assert settings.AUTOTRADER_WATCHES_DATABASE is False
    assert breakers.EVERY + breakers.PATIENCE + database_away.TICK < 0.9
