"""The pages' socket over real connections, served by the web process as it runs in life."""

from __future__ import annotations

import asyncio
import http.client
import socket
from functools import partial
from itertools import count

import pytest
from django.test import Client

from autotrader.core.audit.models import AuditHead
from autotrader.core.live.rules import Rules
from autotrader.core.users.models import User
from tests.api.test_stream import web as web
from tests.live import elsewhere, make_key, until, write
from tests.load.clients import request
from tests.load.pages import CLOSE, Frames, PageReader, opening, stuck_page
from tests.support import PATIENCE_S, eventually


@pytest.fixture
def user(transactional_db: None) -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def cookie(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


numbers = count(1)


@pytest.fixture
def start(web: int, user: User) -> int:
    """The log's last number, once the web process knows that this test's database is not the last one's."""
    write(100 * next(numbers))  # no two tests begin at the same number
    key = make_key(user)["Authorization"].removeprefix("Bearer ")
    now = _head()
    eventually(lambda: _begins_at(web, key) == now)
    return now


def _begins_at(port: int, key: str) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as found:
        found.sendall(request("/api/events/stream", key))
        body = b""
        while b"event: start" not in body:
            more = found.recv(4096)
            assert more, body
            body += more
            if not b"HTTP/1.1 200".startswith(body[:12]):  # busy with the log of before, or with streams that were left
                return -1
    return int(body.partition(b"\nid: ")[2].partition(b"\n")[0])


def _head() -> int:
    return AuditHead.objects.get().seq


def closed_with(port: int, asked: bytes) -> tuple[int, int]:
    """The status of the answer, and the code of the close frame that follows; 0 where none does."""
    frames = Frames()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as found:
        found.sendall(asked)
        while more := found.recv(65536):
            for opcode, payload in frames.feed(more):
                if opcode == CLOSE:
                    return frames.status, int.from_bytes(payload[:2], "big")
    return frames.status, 0


def test_a_browser_is_told_why_it_may_not(web: int, cookie: str, start: int) -> None:
    assert closed_with(web, opening(web, "")) == (101, 4401)
    assert closed_with(web, opening(web, cookie, Origin="https://evil.example")) == (101, 4403)
    asked = opening(web, cookie)
    assert closed_with(web, asked.replace(b"Origin:", b"X-Origin:")) == (101, 4403)
    assert closed_with(web, asked.replace(b"/live/", b"/live/?after_id=-1")) == (101, 4400)
    assert closed_with(web, asked.replace(b"/live/", b"/other/")) == (403, 0)


def test_a_plain_request_finds_no_page_there(web: int, cookie: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web, timeout=PATIENCE_S)
    connection.request("GET", "/live/", headers={"Cookie": cookie})
    assert connection.getresponse().status == 404
    connection.close()


async def test_events_of_another_process_arrive_over_cuts(web: int, cookie: str, start: int) -> None:
    page = PageReader(web, cookie)
    await page.connect()
    assert page.last == start
    for _ in range(4):
        await elsewhere(write, 5)
        await until(partial(_has_more, page, start))
        page.cut()
        await page.closed()
        await elsewhere(write, 5)
        await page.connect()
    last = await elsewhere(_head)
    await until(lambda: page.last == last)
    page.cut()
    assert (page.lines, page.lost, page.doubled, page.resyncs) == (last - start, 0, 0, 0)


def _has_more(page: PageReader, than: int) -> bool:
    return page.last > than


async def test_a_logout_closes_it_at_the_next_look(web: int, cookie: str, start: int) -> None:
    """Every two seconds; and after five without a good look no event leaves in any case."""
    from django.contrib.sessions.models import Session

    assert (Rules().recheck_s, Rules().stale_s) == (2, 5)
    page = PageReader(web, cookie)
    await page.connect()
    await elsewhere(lambda: Session.objects.all().delete())
    await asyncio.wait_for(page.closed(), PATIENCE_S)
    assert page.code == 4401


async def test_a_page_that_reads_nothing_is_dropped_and_another_is_told_everything(
    web: int, cookie: str, start: int
) -> None:
    silent, page = await asyncio.to_thread(stuck_page, web, cookie), PageReader(web, cookie)
    await page.connect()
    for _ in range(8):
        await elsewhere(partial(write, 100))
        await asyncio.sleep(0)
    last = await elsewhere(_head)
    await until(lambda: page.last == last or page.is_closed)
    assert await asyncio.to_thread(_read_all, silent) in {4408, None}
    while page.last < last:
        await page.connect()
        await until(lambda: page.last == last or page.is_closed)
    page.cut()
    assert (page.lost, page.doubled) == (0, 0)


def _read_all(silent: socket.socket) -> int | None:
    """The code it was closed with; None where it was cut, since it did not take that either within a second."""
    silent.settimeout(PATIENCE_S)
    found, code = Frames(), 0
    try:
        while more := silent.recv(65536):
            for opcode, payload in found.feed(more):
                code = int.from_bytes(payload[:2], "big") if opcode == CLOSE else code
    except ConnectionResetError:
        return None
    finally:
        silent.close()
    return code
