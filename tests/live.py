"""What tests of the event stream share: the frames of a response, a caller of the ASGI application, and events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from django.db import connection

from autotrader.core.audit import record, recording
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.live.app import ROUTE, EventStream
from autotrader.core.live.rules import Rules
from autotrader.core.users.keys import Terms, key_create
from autotrader.core.users.models import User
from tests.support import PATIENCE_S

T = TypeVar("T")
# Where a test does not say otherwise: as in life, but without long waits, and with all the time that a machine may need
# which has much else to do. No sign of life comes between what a test waits for.
QUICK = Rules(
    recheck_s=0.2, look_s=0.3, poll_s=0.02, stale_s=60.0, answer_s=30.0, keep_alive_s=300.0, last_words_s=60.0
)


@dataclass(frozen=True)
class Told:
    """One frame: `event` is "" for an event of the log, whose document is `data`."""

    id: int | None
    event: str
    data: Any
    comment: str


class Frames:
    """Bytes in, frames out, however they were cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, more: bytes) -> list[Told]:
        *whole, self._rest = (self._rest + more).split(b"\n\n")
        return [_told(block) for block in whole]


def _told(block: bytes) -> Told:
    fields = {"": "", "id": "", "event": "", "data": ""}
    for line in block.decode("ascii").split("\n"):
        name, _, value = line.partition(": ") if not line.startswith(":") else ("", "", line[2:])
        fields[name] = value
    number = int(fields["id"]) if fields["id"] else None
    return Told(number, fields["event"], json.loads(fields["data"]) if fields["data"] else None, fields[""])


@dataclass
class Caller:
    """One request, as a server would make it of the wire."""

    app: EventStream
    headers: dict[str, str]
    query: str = ""
    method: str = "GET"
    path: str = f"/{ROUTE}"
    status: int = 0
    answer: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    frames: asyncio.Queue[Told | None] = field(default_factory=asyncio.Queue)

    def begin(self) -> None:
        self._taking, self._started, self._leaving = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._taking.set()
        self._parser = Frames()
        told = {"host": "127.0.0.1:8000", **self.headers}
        scope = {
            "type": "http", "method": self.method, "path": self.path, "query_string": self.query.encode(),
            "scheme": "http", "client": ["127.0.0.1", 50000],
            "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
        }  # fmt: skip
        self.task = asyncio.create_task(self.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._leaving.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self._taking.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.answer = {name.decode(): value.decode() for name, value in message["headers"]}
            self._started.set()
            return
        self.body += message["body"]
        for frame in self._parser.feed(message["body"]) if self.status == 200 else ():
            self.frames.put_nowait(frame)
        if not message.get("more_body", False):
            self.frames.put_nowait(None)

    async def started(self) -> int:
        await asyncio.wait_for(self._started.wait(), PATIENCE_S)
        return self.status

    def stop_taking(self) -> None:
        self._taking.clear()

    def take(self) -> None:
        self._taking.set()

    async def next(self) -> Told | None:
        """The next frame, None at the end."""
        return await asyncio.wait_for(self.frames.get(), PATIENCE_S)

    async def named(self, event: str) -> Told:
        """The next frame of this kind; what comes before it is passed over."""
        while (frame := await self.next()) is not None:
            if frame.event == event and (event or frame.data is not None):
                return frame
        raise AssertionError(f"the response ended without {event or 'an event'}")

    async def seqs(self, count: int) -> list[int]:
        """The numbers of the next so many events; each must be told under its own id."""
        found = []
        while len(found) < count:
            frame = await self.named("")
            assert frame.id == frame.data["seq"]
            found.append(frame.data["seq"])
        return found

    async def to_the_end(self) -> list[Told]:
        found = []
        while (frame := await self.next()) is not None:
            found.append(frame)
        return found

    async def leave(self) -> None:
        self._leaving.set()
        self._taking.set()
        await asyncio.wait_for(self.task, PATIENCE_S)


@asynccontextmanager
async def serving(rules: Rules = QUICK, **changes: Any) -> AsyncIterator[EventStream]:
    """The application over nothing; its threads and connections are gone afterwards."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = EventStream(nothing, replace(rules, **changes))
    try:
        yield app
    finally:
        await app.close()


@asynccontextmanager
async def calling(app: EventStream, headers: dict[str, str], query: str = "", **more: Any) -> AsyncIterator[Caller]:
    """A request that has been answered, at least with its status."""
    caller = Caller(app, headers, query, **more)
    caller.begin()
    try:
        await caller.started()
        yield caller
    finally:
        await caller.leave()


async def elsewhere(work: Callable[..., T], *arguments: Any) -> T:
    """Run it on a thread, as another part of the desk would, and give its database connection back."""

    def run() -> T:
        try:
            return work(*arguments)
        finally:
            connection.close()

    return await asyncio.to_thread(run)


async def until(true: Callable[[], object], timeout: float = PATIENCE_S) -> None:
    """Ask until it is so; `tests.support.eventually` for a loop."""
    async with asyncio.timeout(timeout):
        while not true():
            await asyncio.sleep(0.01)


def write(count: int, *, account: str = "", subject: str = "s", document: dict[str, Any] | None = None) -> None:
    """So many events in one transaction."""
    with recording():
        for number in range(count):
            told = {"number": number} if document is None else document
            record(EventType.STRATEGY_CHANGED, subject, account=account, document=told)


def make_key(
    user: User, *, scopes: Iterable[str] = ("read",), accounts: tuple[str, ...] = (), strategies: tuple[int, ...] = ()
) -> dict[str, str]:
    """The header of a new key of this person."""
    terms = Terms(
        name="stream",
        scopes=tuple(scopes),
        expires_at=system_now() + timedelta(days=1),
        accounts=accounts,
        strategies=strategies,
        requests_per_minute=60_000,
    )
    return {"Authorization": f"Bearer {key_create(terms, user=user, actor='test')[1]}"}
