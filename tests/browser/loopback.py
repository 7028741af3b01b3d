"""A small web server for the client's own tests: one page, its panels counted, and a WebSocket held by the test."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from tests.support import ROOT, eventually

OURS = ROOT / "autotrader" / "static" / "autotrader"
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, TEXT = 8, 1
FOREIGN = "text/html; charset=ascii"  # of an answer that is not the site's own, and says no correlation id


def htmx() -> bytes:
    """The htmx that the pages load."""
    spec = find_spec("django_htmx")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "static" / "django_htmx" / "htmx-2.min.js").read_bytes()


def frame(code: int, data: bytes) -> bytes:
    """One unmasked frame of a server."""
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    return bytes([0x80 | code]) + size + data


def read_frame(stream: BinaryIO) -> tuple[int, bytes]:
    """One masked frame of a browser, shorter than 64 KiB. Raises EOFError where it has gone."""
    head = stream.read(2)
    if len(head) < 2:
        raise EOFError
    size = head[1] & 0x7F
    if size == 126:
        size = struct.unpack(">H", stream.read(2))[0]
    mask, data = stream.read(4), stream.read(size)
    return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


class Desk(ThreadingHTTPServer):
    """Answers `/` with `body`, `/panel/<name>` with a count or its `inner` part, and with some of the `rows` where the
    page names them; keeps every socket of `/live/`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = ""
        self.counts: Counter[str] = Counter()
        self.places: list[int] = []
        self.lists: list[str] = []  # whose rows each socket wants
        self.said: list[dict[str, Any]] = []
        self.links: list[Any] = []
        self.refuses = False
        self.failing: set[str] = set()
        self.steady: set[str] = set()  # panels whose answer never changes
        self.inner: dict[str, str] = {}
        self.rows: dict[str, str] = {}
        self.is_foreign = False  # its rows come as a proxy would answer
        self.alone: list[list[str]] = []  # the rows that were asked for, request by request
        self.holds: dict[str, threading.Event] = {}  # panels that answer what was true when they were asked, but later

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def tell(self, **told: Any) -> None:
        """A frame to the newest socket."""
        self.links[-1].sendall(frame(TEXT, json.dumps(told).encode()))

    def lines(self, *lines: dict[str, Any]) -> None:
        """A frame of lines."""
        self.tell(to=lines[-1]["seq"], lines=list(lines))

    def hang_up(self, code: int = 1001) -> None:
        """End the newest socket."""
        with suppress(OSError):
            self.links[-1].sendall(frame(CLOSE, struct.pack(">H", code)))

    def opened(self, times: int = 1) -> None:
        """Wait for the socket, and greet it."""
        eventually(lambda: len(self.places) >= times)
        self.tell(start={"after": self.places[-1], "head": self.places[-1]})

    @property
    def acked(self) -> list[int]:
        return [said["ack"] for said in list(self.said) if "ack" in said]


class Handler(BaseHTTPRequestHandler):
    """One request, or one socket until it ends."""

    protocol_version = "HTTP/1.1"
    server: Desk

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/live/":
            asked = parse_qs(path.query)
            self.server.lists.append(asked.get("rows", [""])[0])
            self._hold(int(asked["after_id"][0]))
        elif path.path == "/":
            self._answer(self.server.body.encode(), "text/html; charset=utf-8")
        elif path.path in ("/htmx.js", "/static/django_htmx/htmx-2.min.js"):
            self._answer(htmx(), "text/javascript")
        elif path.path.startswith("/panel/"):
            self._panel(path.path.removeprefix("/panel/"), parse_qs(path.query).get("only", []))
        elif path.path == "/favicon.ico":
            self._answer(b"", "image/x-icon", 404)
        else:
            name = path.path.rpartition("/")[2]
            self._answer((OURS / name).read_bytes(), mimetypes.guess_type(name)[0] or "text/plain")

    def _panel(self, name: str, only: list[str]) -> None:
        desk = self.server
        if only:
            desk.alone.append(only)
            kind = FOREIGN if desk.is_foreign else "text/html"
            self._answer("".join(desk.rows.get(key, "") for key in only).encode(), kind)
            return
        desk.counts[name] += 1
        told = "" if name in desk.steady else f" {desk.counts[name]}"
        inner = desk.inner.get(name, f"<p>{name}{told}</p>")
        if name in desk.holds:
            desk.holds[name].wait(10)
        self._answer(inner.encode(), "text/html", 503 if name in desk.failing else 200)

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if kind != FOREIGN:
            self.send_header("X-Correlation-Id", "c1")
        self.end_headers()
        self.wfile.write(body)

    def _hold(self, after: int) -> None:
        if self.server.refuses:
            self._answer(b"", "text/plain", 503)
            return
        key = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + MAGIC).encode()).digest()).decode()
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", key)):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        self.server.links.append(self.connection)
        self.server.places.append(after)
        with suppress(OSError, EOFError):
            while (got := read_frame(self.rfile))[0] != CLOSE:
                self.server.said.append(json.loads(got[1]))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test says what went wrong."""


@contextmanager
def desk() -> Iterator[Desk]:
    """The server, on a free port, until the block ends."""
    server = Desk()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
