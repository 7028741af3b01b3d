"""What tests of the pages' socket share: a page that opens it as a server would let it, and a simple line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from django.test import Client

from autotrader.core.live.hall import Hall
from autotrader.core.live.lines import Line
from autotrader.core.live.rules import Rules
from autotrader.core.live.socket_app import ROUTE, PageSockets
from autotrader.core.users.models import User
from tests.live import QUICK
from tests.support import PATIENCE_S

# A machine that has much else to do is no page that does not answer.
PATIENT = replace(QUICK, owed_s=300.0)
HOST = "127.0.0.1:8000"
OURS = f"http://{HOST}"
EVERY_POKE = ("orders", "trades")


@dataclass(frozen=True)
class Shown:
    """A line without a template."""

    cause: str
    html: str
    pokes: tuple[str, ...] = ("orders",)
    rows: tuple[str, ...] = ()


def shown(document: Mapping[str, Any]) -> Line:
    """The line of an event: its number and details."""
    return Shown(document["correlation_id"], f"<li>{document['seq']} {json.dumps(document['document'])}</li>")


def login(user: User) -> dict[str, str]:
    """The headers that this person's browser sends from a page of ours."""
    client = Client()
    client.force_login(user)
    return {"Cookie": f"other=1; sessionid={client.cookies['sessionid'].value}", "Origin": OURS}


@dataclass
class Page:
    """One socket, as a server would hand it over; `acks` as the script of the pages does."""

    app: PageSockets
    headers: dict[str, str]
    query: str = ""
    path: str = f"/{ROUTE}"
    scheme: str | None = "ws"
    acks: bool = True
    accepted: bool = False
    code: int | None = None
    frames: asyncio.Queue[dict[str, Any] | None] = field(default_factory=asyncio.Queue)

    def begin(self) -> None:
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._taking = asyncio.Event()
        self._taking.set()
        self._lines: list[dict[str, Any]] = []
        told = {"host": HOST, **self.headers}
        scope = {
            "type": "websocket", "path": self.path, "query_string": self.query.encode(),
            "client": ["127.0.0.1", 50000], "subprotocols": [],
            "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
        }  # fmt: skip
        if self.scheme:
            scope["scheme"] = self.scheme
        self._incoming.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self.app(scope, self._incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        await self._taking.wait()
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] == "websocket.close":
            self.code = message.get("code", 1000)
            self.frames.put_nowait(None)
        else:
            assert self.accepted
            assert message["text"].isascii()
            self.frames.put_nowait(json.loads(message["text"]))

    def stop_taking(self) -> None:
        self._taking.clear()

    def take(self) -> None:
        self._taking.set()

    def say(self, text: str) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def next(self) -> dict[str, Any] | None:
        """The next frame, None at the end."""
        frame = await asyncio.wait_for(self.frames.get(), PATIENCE_S)
        if frame and frame.get("lines") and self.acks:
            self.say(json.dumps({"ack": frame["to"]}))
        return frame

    async def named(self, name: str) -> Any:
        """What the next frame of this kind says; what comes before it is passed over."""
        while (frame := await self.next()) is not None:
            if name in frame:
                return frame[name]
        raise AssertionError(f"closed with {self.code} without {name}")

    async def lines(self, count: int) -> list[dict[str, Any]]:
        """The next so many lines."""
        while len(self._lines) < count:
            frame = await self.next()
            assert frame is not None, f"closed with {self.code}"
            found = frame.get("lines", [])
            assert len(found) <= 64
            assert not found or frame["to"] == found[-1]["seq"]
            self._lines += found
        found, self._lines = self._lines[:count], self._lines[count:]
        return found

    async def seqs(self, count: int) -> list[int]:
        return [line["seq"] for line in await self.lines(count)]

    async def to_the_end(self) -> list[dict[str, Any]]:
        found = []
        while (frame := await self.next()) is not None:
            found.append(frame)
        await asyncio.wait_for(self.task, PATIENCE_S)
        return found

    async def leave(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        self._taking.set()
        await asyncio.wait_for(self.task, PATIENCE_S)


@asynccontextmanager
async def serving(
    rules: Rules = PATIENT, render: Callable[[Mapping[str, Any]], Line] = shown, **changes: Any
) -> AsyncIterator[PageSockets]:
    """The application; its threads and connections are gone afterwards."""
    hall = Hall(replace(rules, **changes))
    try:
        yield PageSockets(render, hall, EVERY_POKE)
    finally:
        await hall.close()


@asynccontextmanager
async def opened(app: PageSockets, headers: dict[str, str], query: str = "", **more: Any) -> AsyncIterator[Page]:
    """A page whose socket has begun, or will be closed."""
    page = Page(app, headers, query, **more)
    page.begin()
    try:
        yield page
    finally:
        await page.leave()
