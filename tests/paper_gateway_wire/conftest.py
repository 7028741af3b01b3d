"""A gateway with a set clock per test, and clients of it: the real ib_insync, or raw bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from ib_insync import IB, Contract, Stock

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.wire.framing import FrameReader, frame
from tests.paper_gateway_wire.raw_client import order_fields
from tests.support import PATIENCE_S

# A Monday, half an hour after the opening in New York.
START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
NEXT_CLOSE = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
ACCOUNT = "DU7654321"


@dataclass
class Client:
    """An ib_insync client with the errors it was sent."""

    ib: IB
    errors: list[tuple[int, int, str]] = field(default_factory=list)

    async def fence(self) -> datetime:
        """Return once everything the gateway wrote before has been handled."""
        return await self.ib.reqCurrentTimeAsync()

    async def contract(self, symbol: str) -> Contract:
        """A qualified stock."""
        contract = Stock(symbol, "SMART", "USD")
        await self.ib.qualifyContractsAsync(contract)
        return contract

    def codes(self, request_id: int) -> list[int]:
        """The error codes that came for one request or order."""
        return [code for number, code, _ in self.errors if number == request_id]


@asynccontextmanager
async def connected(
    port: int, client_id: int = 1, version: int = 176, host: str = "127.0.0.1"
) -> AsyncIterator[Client]:
    """An ib_insync client, connected for the length of the block."""
    ib = IB()
    ib.client.MinClientVersion = min(157, version)
    ib.client.MaxClientVersion = version
    ib.client.MaxRequests = 0
    client = Client(ib)
    ib.errorEvent += lambda request_id, code, text, contract: client.errors.append((request_id, code, text))
    await ib.connectAsync(host, port, clientId=client_id, timeout=PATIENCE_S)
    try:
        yield client
    finally:
        ib.disconnect()


class RawClient:
    """A client that says exactly the bytes it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.reader = FrameReader()
        self.next_id = 0

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def message(self, *fields: object) -> None:
        """One frame of the given fields."""
        self.send(frame(("\0".join(str(value) for value in fields) + "\0").encode()))

    def receive(self) -> list[str] | None:
        """The fields of the next frame, None when the gateway closed the connection."""
        while (payload := self.reader.next()) is None:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.reader.feed(data)
        return payload.decode().split("\0")[:-1]

    def until(self, *message_ids: str) -> list[str]:
        """The next message of one of those ids; fails when the connection ends before."""
        while (fields := self.receive()) is not None:
            if fields[0] in message_ids:
                return fields
        raise AssertionError(f"the connection ended before message {message_ids}")

    def order(self, action: str, quantity: int, *, limit: float | None = None, order_id: int = 0) -> int:
        """Place an order for SPY, at the market without a limit; its id, the next one unless given."""
        self.next_id = order_id or self.next_id + 1
        self.message(*order_fields(self.next_id, action, quantity, limit))
        return self.next_id

    def greet(self, offer: str = "v157..176") -> list[str] | None:
        """Offer versions; the answer."""
        self.send(b"API\0" + frame(offer.encode()))
        return self.receive()

    def start(self, client_id: int = 1, offer: str = "v157..176") -> RawClient:
        """Handshake and startApi, up to the last notice."""
        assert self.greet(offer) is not None
        self.message(71, 2, client_id, "")
        while (fields := self.until("4"))[3] != "2158":
            assert fields[3] in {"2104", "2106"}
        return self


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE_S) -> None:
    """Poll until the condition holds; fails after the deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        result = condition()
        if await result if isinstance(result, Awaitable) else result:
            return
        assert asyncio.get_running_loop().time() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


@pytest.fixture
def gateway() -> Iterator[EmbeddedGateway]:
    """A gateway with seeded prices, standing at START."""
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, seed=7) as running:
        yield running


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[EmbeddedGateway]:
    """A gateway that replays two weeks of one invented stock from CSV, standing inside the session of START."""
    days = [date(2026, 2, 23) + timedelta(days=offset) for offset in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)]
    rows = [f"{day},{100 + index},{102 + index},99,{101 + index},1000000" for index, day in enumerate(days)]
    (tmp_path / "ACME_1d.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, data_folder=tmp_path) as running:
        yield running


@pytest.fixture
async def client(gateway: EmbeddedGateway) -> AsyncIterator[Client]:
    """Client 1 of that gateway."""
    async with connected(gateway.port) as one:
        yield one


async def advance(gateway: EmbeddedGateway, to: datetime, *clients: Client) -> None:
    """Advance the gateway's clock once it has heard all clients, and let them handle what came of it."""
    for one in clients:
        await one.fence()
    await asyncio.to_thread(gateway.advance, to)
    for one in clients:
        assert await one.fence() == to
