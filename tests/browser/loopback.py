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
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from tests.support import ROOT

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
    page names them; keeps every socket of `/live/`.

    What is counted or listed is so after the answer was made: whoever has seen it may change what is answered next. A
    page that was not greeted in time opens another socket, so all of them are told everything.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = ""
        self.counts: Counter[str] = Counter()
        self.places: list[int] = []
        self.lists: list[str] = []  # whose rows each socket wants
        self.said: list[dict[str, Any]] = []
        self.links: list[Any] = []
        self.greets = True  # each socket as it opens; else those that wait are greeted by `greet`
        self.turns_away = 0  # the code with which sockets are closed as they open
        self.head = 0
        self.hashes: dict[int, str] = {}  # of the event at whose number a socket begins, where it is told
        self.refuses = False
        self.failing: set[str] = set()
        self.steady: set[str] = set()  # panels whose answer never changes
        self.inner: dict[str, str] = {}
        self.rows: dict[str, str] = {}
        self.is_foreign = False  # its rows come as a proxy would answer
        self.alone: list[list[str]] = []  # the rows that were asked for, request by request
        self.holds: dict[str, threading.Event] = {}  # panels that answer what was true when they were asked, but later
        self._waiting: list[tuple[Any, int]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    @property
    def begun(self) -> list[int]:
        """Where sockets began, without those that began where the one before did."""
        return [place for place, _ in groupby(list(self.places))]

    def tell(self, **told: Any) -> None:
        """A frame to the page."""
        self._send(frame(TEXT, json.dumps(told).encode()))

    def lines(self, *lines: dict[str, Any]) -> None:
        """A frame of lines."""
        self.tell(to=lines[-1]["seq"], lines=list(lines))

    def hang_up(self, code: int = 1001) -> None:
        """End the page's socket."""
        self._send(frame(CLOSE, struct.pack(">H", code)))

    def greet(self) -> None:
        """Greet the sockets that wait for it, and from now on each that comes."""
        with self._lock:
            self.greets = True
            while self._waiting:
                self._greet(*self._waiting.pop())

    def came(self, link: Any, after: int) -> None:
        """A socket has opened; a handler says so."""
        with self._lock:
            self.links.append(link)
            self.places.append(after)
            if self.turns_away:
                link.sendall(frame(CLOSE, struct.pack(">H", self.turns_away)))
            elif self.greets:
                self._greet(link, after)
            else:
                self._waiting.append((link, after))

    def _greet(self, link: Any, after: int) -> None:
        start: dict[str, Any] = {"after": after, "head": max(after, self.head)}
        if after in self.hashes:
            start["hash"] = self.hashes[after]
        with suppress(OSError):
            link.sendall(frame(TEXT, json.dumps({"start": start}).encode()))

    def _send(self, data: bytes) -> None:
        with self._lock:
            for link in self.links:
                with suppress(OSError):
                    link.sendall(data)

    def answer_of(self, name: str) -> tuple[bytes, int]:
        """What a panel that is asked now is answered, and the status; how often it was asked."""
        with self._lock:
            number = self.counts[name] + 1
            told = "" if name in self.steady else f" {number}"
            answer = self.inner.get(name, f"<p>{name}{told}</p>").encode(), 503 if name in self.failing else 200
            self.counts[name] = number
        return answer

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
            kind = FOREIGN if desk.is_foreign else "text/html"
            rows = "".join(desk.rows.get(key, "") for key in only)
            desk.alone.append(only)
            self._answer(rows.encode(), kind)
            return
        held = desk.holds.get(name)
        body, status = desk.answer_of(name)
        if held is not None:
            held.wait(240)
        self._answer(body, "text/html", status)

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
        with suppress(OSError, EOFError):
            self.server.came(self.connection, after)
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
