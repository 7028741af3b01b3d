"""A page's socket on a plain connection: it counts the lines, acknowledges as a page does, and comes again."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from tests.load.clients import opening as one_of_few

SENT = re.compile(r"sent-(\d+)")
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
ACK_LINES, ACK_S = 64, 5.0
BEGIN_ANEW = 4408


def opening(port: int, cookie: str, after: int | None = None, **headers: str) -> bytes:
    """The request that a browser opens a socket with."""
    told = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": f"http://127.0.0.1:{port}",
        "Cookie": cookie,
        **headers,
    }
    query = "" if after is None else f"?after_id={after}"
    lines = (f"GET /live/{query} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", "")
    return "\r\n".join(lines).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A short frame of a client, masked as the protocol wants it."""
    mask = os.urandom(4)
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + bytes(a ^ mask[n % 4] for n, a in enumerate(payload))


class Frames:
    """Bytes of a server in, its answer and frames out."""

    def __init__(self) -> None:
        self.status = 0
        self._raw = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are whole by now, as opcode and payload."""
        self._raw += data
        if not self.status:
            end = self._raw.find(b"\r\n\r\n")
            if end < 0:
                return []
            self.status = int(self._raw[9:12])
            del self._raw[: end + 4]
        found = []
        while (whole := self._whole()) is not None:
            found.append(whole)
        return found

    def _whole(self) -> tuple[int, bytes] | None:
        raw = self._raw
        if len(raw) < 2:
            return None
        size, at = raw[1] & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            if len(raw) < at:
                return None
            size = struct.unpack(">H" if at == 4 else ">Q", raw[2:at])[0]
        if len(raw) < at + size:
            return None
        found = raw[0] & 0x0F, bytes(raw[at : at + size])
        del raw[: at + size]
        return found


@dataclass
class PageReader(asyncio.Protocol):
    """One page over all of its sockets; `lost` and `doubled` count numbers out of turn, `resyncs` beginnings anew.

    `refused` counts the other ends that the server said.
    """

    port: int
    cookie: str
    last: int = -1
    lost: int = 0
    doubled: int = 0
    lines: int = 0
    resyncs: int = 0
    connects: int = 0
    code: int = 0
    refused: int = 0
    away: list[bool] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._frames = transport, Frames()
        self._unsaid, self._said_at = 0, time.monotonic()
        transport.write(opening(self.port, self.cookie, self.last if self.last >= 0 else None))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT:
                self._take(json.loads(payload), now)
            elif opcode == PING:
                self._transport.write(frame(PONG, payload))
            elif opcode == CLOSE:
                self.code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                self.refused += self.code != BEGIN_ANEW
                self._transport.write(frame(CLOSE, payload[:2]))
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()

    def _take(self, told: dict[str, Any], now: int) -> None:
        if start := told.get("start"):
            self.last = self.last if self.last >= 0 else start["after"]
            self._begun.set()
        if (away := told.get("away")) is not None:
            self.away.append(away)
        if resync := told.get("resync"):
            self.resyncs += 1
            self.last = resync["after"]
        for line in told.get("lines", ()):
            number = line["seq"]
            self.lost += max(0, number - self.last - 1)
            self.doubled += number <= self.last
            self.last = max(self.last, number)
            self.lines += 1
            self._unsaid += 1
            if found := SENT.match(line["cause"]):
                self.late_ms.append((now - int(found[1])) / 1e6)
        if self._unsaid >= ACK_LINES or (self._unsaid and time.monotonic() - self._said_at >= ACK_S):
            self.acknowledge()

    def acknowledge(self) -> None:
        """Say what was seen."""
        self._transport.write(frame(TEXT, json.dumps({"ack": self.last}).encode()))
        self._unsaid, self._said_at = 0, time.monotonic()

    async def connect(self) -> None:
        """Come (again), from the last number seen."""
        self._begun, self._closed = asyncio.Event(), asyncio.Event()
        async with one_of_few():
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.port)
            self.connects += 1
            waits = [asyncio.create_task(event.wait()) for event in (self._begun, self._closed)]
            await asyncio.wait_for(asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED), 60)
            for wait in waits:
                wait.cancel()

    def cut(self) -> None:
        """Gone without a word."""
        self._transport.abort()

    async def closed(self) -> None:
        """Until the connection is gone."""
        await self._closed.wait()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self._closed.is_set()


def stuck_page(port: int, cookie: str) -> socket.socket:
    """A page that opens a socket and then reads nothing; the kernel keeps as little for it as it can."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect(("127.0.0.1", port))
    found.sendall(opening(port, cookie))
    return found
