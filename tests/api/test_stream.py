"""The event stream over real sockets, served by the web process as it runs in life."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import count

import pytest
from django.test import Client

from autotrader.core.audit.models import AuditHead
from autotrader.core.users.models import User
from tests.live import elsewhere, make_key, until, write
from tests.load.clients import Reader, stuck
from tests.support import PATIENCE_S, ROOT, child_environment, eventually, free_port


@pytest.fixture(scope="module")
def web(django_db_setup: None, django_db_blocker: object) -> Iterator[int]:
    """The port of a web process on the test's database."""
    port = free_port()
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        environment = child_environment(AUTOTRADER_PROCESS_ROLE="web", LOG_LEVEL="error")
    command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen([*command, "autotrader.asgi:application"], env=environment, cwd=ROOT)
    try:
        eventually(lambda: _listens(port), 200)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(100)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def user(transactional_db: None) -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def key(user: User) -> str:
    return make_key(user)["Authorization"].removeprefix("Bearer ")


numbers = count(1)


@pytest.fixture
def start(web: int, key: str) -> int:
    """The log's last number, once the web process knows that this test's database is not the last one's."""
    write(100 * next(numbers))  # no two tests begin at the same number
    now = _head()

    def begins_at() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", web, timeout=PATIENCE_S)
        connection.request("GET", "/api/events/stream", headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        _, line = response.readline(), response.readline()
        connection.close()
        # It may still be busy with the log of before, or with the streams that were left just now.
        return int(line.removeprefix(b"id: ")) if response.status == 200 else -1

    eventually(lambda: begins_at() == now)
    return now


def answer(port: int, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, headers=headers)
        found = connection.getresponse()
        return found.status, {name.lower(): value for name, value in found.getheaders()}, found.read()
    finally:
        connection.close()


def test_what_is_no_stream_is_answered_as_everywhere(web: int, key: str) -> None:
    bearer = {"Authorization": f"Bearer {key}"}
    assert answer(web, "GET", "/api/events/stream")[0] == 401
    status, headers, body = answer(web, "GET", "/api/events/stream?after_id=-1", **bearer)
    assert (status, json.loads(body)["error"]["code"]) == (422, "INVALID")
    assert json.loads(body)["error"]["correlation_id"] == headers["x-correlation-id"]
    status, headers, body = answer(web, "HEAD", "/api/events/stream", **bearer)
    assert (status, headers["allow"], body) == (405, "GET", b"")
    assert answer(web, "POST", "/api/events/stream", **bearer)[0] == 405
    for path in ("/api/events/stream/", "/api/events/Stream", "/api/events", "//api/events/stream"):
        assert answer(web, "GET", path, **bearer)[0] == 404


def test_a_browsers_session_reads_it_too(web: int, user: User) -> None:
    client = Client()
    client.force_login(user)
    connection = http.client.HTTPConnection("127.0.0.1", web, timeout=PATIENCE_S)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    connection.request("GET", "/api/events/stream?after_id=0", headers={"Cookie": cookie})
    found = connection.getresponse()
    assert (found.status, found.getheader("Content-Type")) == (200, "text/event-stream")
    assert found.readline() == b"retry: 1000\n"
    connection.close()


async def test_events_of_another_process_arrive_over_cuts(web: int, key: str, start: int) -> None:
    reader = Reader(web, key)
    await reader.connect()
    assert reader.last == start
    for _ in range(4):
        await elsewhere(write, 5)
        await until(lambda: reader.last > start)
        reader.cut()
        await reader.closed()
        await elsewhere(write, 5)
        await reader.connect()
    last = await elsewhere(_head)
    await until(lambda: reader.last == last)
    reader.cut()
    assert (reader.events, reader.lost, reader.doubled) == (last - start, 0, 0)


async def test_a_client_that_reads_nothing_costs_one_response(web: int, key: str, start: int) -> None:
    """The server ends it at 512 KiB whether it is read or not; what was sent can be read afterwards, and resumed."""
    silent = await asyncio.to_thread(stuck, web, key, f"Last-Event-ID: {start}")
    await elsewhere(_write_much)
    last = await elsewhere(_head)
    body = await asyncio.to_thread(_read_all, silent)
    assert len(body) <= 530_000
    seen = body.count(b'\ndata: {"seq"')
    assert 100 < seen < last - start
    reader = Reader(web, key, last=start + seen)
    while reader.last < last:
        await reader.connect()
        await until(lambda: reader.last == last or reader._closed.is_set())
    reader.cut()
    assert (reader.events, reader.lost, reader.doubled) == (last - start - seen, 0, 0)


def _write_much() -> None:
    for _ in range(12):
        write(100, document={"text": "x" * 1000})


def _read_all(silent: socket.socket) -> bytes:
    silent.settimeout(PATIENCE_S)
    body = b""
    while not body.endswith(b"\r\n0\r\n\r\n"):
        more = silent.recv(65536)
        assert more, "the connection was closed before the end of the response"
        body += more
    silent.close()
    return body


def _head() -> int:
    return AuditHead.objects.get().seq
