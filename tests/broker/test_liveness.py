"""An owner is taken for dead after three silent slots, and for nothing else while it starts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from broker.service import lock
from broker.service.liveness import START_LIMIT, Pulse
from tests.support import eventually

SLOT = 0.05
CALM = 15.0  # for one that answers, on a machine that may have much else to do
LONG = 30.0


class Door(BaseHTTPRequestHandler):
    """Answers with the status of its server."""

    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def door() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.status = 200  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[lock.HeldLock]:
    made = lock.take(tmp_path / "owner.lock")
    yield made
    made.release()


def announce(held: lock.HeldLock, port: int) -> None:
    held.write(lock.Holder(f"http://127.0.0.1:{port}", 1, "build", "now"))


@pytest.fixture
def pulse(held: lock.HeldLock) -> Pulse:
    return Pulse(held.path, lambda: "secret", slot=SLOT)


def test_one_that_answers_lives_until_it_refuses(pulse: Pulse, held: lock.HeldLock, door: ThreadingHTTPServer) -> None:
    pulse._slot = CALM
    announce(held, door.server_address[1])
    assert pulse.stalled(LONG) == ""
    eventually(lambda: pulse._answered > 0)
    assert pulse.stalled(START_LIMIT + 1) == ""
    pulse._slot = SLOT
    door.status = 503  # type: ignore[attr-defined]
    eventually(lambda: "did not answer" in pulse.stalled(LONG))
    door.status = 200  # type: ignore[attr-defined]
    eventually(lambda: pulse.stalled(LONG) == "")


def test_one_that_has_another_secret_by_now_lives(pulse: Pulse, held: lock.HeldLock, door: ThreadingHTTPServer) -> None:
    pulse._slot = CALM
    door.status = 401  # type: ignore[attr-defined]
    announce(held, door.server_address[1])
    assert pulse.stalled(LONG) == ""
    eventually(lambda: pulse._answered > 0)


def test_one_that_takes_no_connection_is_dead(pulse: Pulse, held: lock.HeldLock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        announce(held, silent.getsockname()[1])
        eventually(lambda: "did not answer" in pulse.stalled(LONG))


def test_the_silence_of_the_one_before_is_not_its_successor_s(pulse: Pulse, held: lock.HeldLock) -> None:
    announce(held, 1)
    eventually(lambda: pulse.stalled(LONG))
    assert pulse.stalled(0.01) == ""


def test_one_that_has_not_said_where_it_listens_is_starting(pulse: Pulse, held: lock.HeldLock) -> None:
    assert pulse.stalled(LONG) == ""
    assert "did not listen" in pulse.stalled(START_LIMIT + 1)
