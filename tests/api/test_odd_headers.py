"""Headers that a server fails at, sent by nobody over a real socket: none is a failure inside, none is believed."""

from __future__ import annotations

import socket

import pytest

from tests.api.test_stream import web

__all__ = ["web"]
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ODD = "é".encode()
NAMES = (
    b"Daphne-Root-Path", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions", b"X-Forwarded-For", b"Origin",
    b"Cookie", b"Referer", b"User-Agent", b"Accept", b"If-None-Match", b"If-Modified-Since", b"Range", b"Authorization",
    b"X-API-Key", b"Last-Event-ID", b"Idempotency-Key", b"X-Correlation-Id", b"Forwarded", b"Accept-Encoding",
    b"Content-Type", b"X-HTTP-Method-Override", b"X-CSRFToken",
)  # fmt: skip


def _answer(port: int, path: bytes, *headers: bytes, upgrade: bool = False) -> bytes:
    """The first bytes of what is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=45) as wire:
        lines = [b"GET %b HTTP/1.1" % path, b"Host: 127.0.0.1", *headers]
        ending = UPGRADE if upgrade else b"Connection: close\r\n"
        wire.sendall(b"\r\n".join(lines) + b"\r\n" + ending + b"\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer and (more := wire.recv(65536)):
            answer += more
        return answer


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("name", NAMES, ids=bytes.decode)
def test_a_header_beyond_ascii_is_no_failure_inside(web: int, transactional_db: None, name: bytes) -> None:
    for value in (ODD, b"\xff\xfe", b"%C3%A9", b"%", b"a" * 3000):
        line = b"%b: %b" % (name, value)
        assert _status(_answer(web, b"/api/approvals", line)) in (400, 401), value
        assert _status(_answer(web, b"/login/", line)) in (200, 400), value
        assert _status(_answer(web, b"/live/?after_id=0", line, upgrade=True)) in (101, 400), value


def test_nobody_says_where_the_site_is_mounted(web: int, transactional_db: None) -> None:
    for value in (b"/evil", b"//evil.example", b"%2F%2Fevil.example"):
        answer = _answer(web, b"/desk/", b"Daphne-Root-Path: %b" % value)
        assert b"evil" not in answer
        assert _status(answer) == 302


def test_a_method_and_a_path_beyond_ascii_are_refused(web: int, transactional_db: None) -> None:
    with socket.create_connection(("127.0.0.1", web), timeout=45) as wire:
        wire.sendall(b"G\xc3\xa9T / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert _status(wire.recv(65536)) < 500
    assert _status(_answer(web, b"/\xc3\xa9")) == 400
    assert _status(_answer(web, b"/?\xc3\xa9")) == 400
