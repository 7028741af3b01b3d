"""Clients on plain sockets: a stream that counts what it gets, and a kept connection that asks again and again."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

SENT = re.compile(rb'"sent_ns":(\d+)')
AT_ONCE = 40  # a server's backlog is 50
_openings: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def opening() -> asyncio.Semaphore:
    """To be held while a connection is opened; one for each event loop."""
    return _openings.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))


def request(path: str, key: str, *more: str) -> bytes:
    """A GET of HTTP/1.1."""
    lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", *more, "", "")
    return "\r\n".join(lines).encode()


class Chunks:
    """The body of a chunked answer."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self.status = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body that are whole by now."""
        self._raw += data
        if not self.status and not self._head():
            return b""
        body = []
        while (end := self._raw.find(b"\r\n")) >= 0:
            size = int(self._raw[:end], 16)
            if len(self._raw) < end + 4 + size:
                break
            body.append(bytes(self._raw[end + 2 : end + 2 + size]))
            del self._raw[: end + 4 + size]
            self.ended = self.ended or not size
        return b"".join(body)

    def _head(self) -> bool:
        end = self._raw.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.status = int(self._raw[9:12])
        del self._raw[: end + 4]
        return True


@dataclass
class Reader(asyncio.Protocol):
    """One client of the stream over all of its connections; `lost` and `doubled` count numbers out of turn."""

    port: int
    key: str
    last: int = -1
    lost: int = 0
    doubled: int = 0
    events: int = 0
    late_ms: list[float] = field(default_factory=list)
    connects: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._chunks, self._rest = transport, Chunks(), b""
        more = [f"Last-Event-ID: {self.last}"] if self.last >= 0 else []
        transport.write(request("/api/events/stream", self.key, *more))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        *whole, self._rest = (self._rest + self._chunks.feed(data)).split(b"\n\n")
        for frame in whole:
            self._take(frame, now)
        if self._chunks.ended:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()

    def _take(self, frame: bytes, now: int) -> None:
        if frame.startswith(b"retry:"):
            self.last = self.last if self.last >= 0 else int(frame.partition(b"id: ")[2].partition(b"\n")[0])
            self._begun.set()
        if not frame.startswith(b"id: ") or b"\ndata:" not in frame or b"\nevent:" in frame:
            return
        number = int(frame[4 : frame.index(b"\n")])
        self.lost += max(0, number - self.last - 1)
        self.doubled += number <= self.last
        self.last = max(self.last, number)
        self.events += 1
        if found := SENT.search(frame):
            self.late_ms.append((now - int(found[1])) / 1e6)

    async def connect(self) -> None:
        """Come (again), from the last number seen."""
        self._begun, self._closed = asyncio.Event(), asyncio.Event()
        async with opening():
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.port)
            self.connects += 1
            await asyncio.wait_for(
                asyncio.wait(
                    [asyncio.create_task(self._begun.wait()), asyncio.create_task(self._closed.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                ),
                60,
            )

    def cut(self) -> None:
        """Gone without a word."""
        self._transport.abort()

    async def closed(self) -> None:
        """Until the connection is gone."""
        await self._closed.wait()


def stuck(port: int, key: str, *more: str) -> socket.socket:
    """A client that asks and then reads nothing; the kernel keeps as little for it as it can."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect(("127.0.0.1", port))
    found.sendall(request("/api/events/stream", key, *more))
    return found


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, key: str) -> tuple[int, int]:
    """One request on a kept connection: the status and the length of the answer."""
    writer.write(request(path, key))
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    if length is None:
        raise RuntimeError(f"no length: {head!r}")
    await reader.readexactly(int(length[1]))
    return int(head[9:12]), int(length[1])
