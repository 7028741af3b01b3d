"""What no sound request has, sent by nobody to the web process: it costs next to nothing, and fails nowhere."""

from __future__ import annotations

import http.client
import socket

import psutil
import pytest

from tests.api.test_stream import web

__all__ = ["web"]
MEGABYTE = b"x" * 1_000_000
MANY = 60
FORM = b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n\xc3\xa9\r\n--x--\r\n'
# Python knows them by a name, and most read no text.
ENCODINGS = ("hex", "rot13", "base64", "zlib", "undefined", "idna", "punycode", "unicode_escape", "utf-16", "nonsense")


def _resident(port: int) -> int:
    found = [row for row in psutil.net_connections("tcp") if row.laddr.port == port and row.status == "LISTEN"]
    return psutil.Process(found[0].pid).memory_info().rss


def _sent(port: int, how: str) -> bytes:
    """What is answered to a body of MANY megabytes from nobody."""
    chunked = how == "Transfer-Encoding: chunked"
    head = f"POST /api/orders/place HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{how}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=100) as wire:
        wire.sendall(head.encode())
        for _ in range(MANY):
            wire.sendall(b"%x\r\n%b\r\n" % (len(MEGABYTE), MEGABYTE) if chunked else MEGABYTE)
        wire.sendall(b"0\r\n\r\n" if chunked else b"")
        answer = b""
        while more := wire.recv(65536):
            answer += more
    return answer


@pytest.mark.parametrize("how", [f"Content-Length: {MANY * len(MEGABYTE)}", "Transfer-Encoding: chunked"])
def test_a_huge_body_from_nobody_is_not_kept(web: int, transactional_db: None, how: str) -> None:
    before = _resident(web)
    assert _sent(web, how).startswith(b"HTTP/1.1 401")
    assert _resident(web) - before < 20_000_000


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_claimed_encoding_fails_inside(web: int, transactional_db: None, encoding: str) -> None:
    assert _status(web, "GET", "/api/history/events?limit=%C3%A9", "text/plain", encoding) == 401
    assert _status(web, "POST", "/api/halt?limit=%C3%A9", "application/json", encoding, b"{}") == 401
    assert _status(web, "POST", "/login/", "multipart/form-data; boundary=x", encoding, FORM) == 403
    assert _status(web, "POST", "/login/", "application/x-www-form-urlencoded", encoding, b"username=%C3%A9") == 403


def _status(port: int, method: str, path: str, kind: str, encoding: str, body: bytes = b"") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=45)
    # With the cookie the form is read, for its token.
    headers = {"Content-Type": f"{kind}; charset={encoding}", "Cookie": f"csrftoken={'a' * 32}"}
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()
