"""The paper gateway in a process of its own under raw clients: orders, ticks, and memory that stays flat."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil

from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.universe import Universe
from tests.bench.frame import Measured, against, bench
from tests.paper_gateway_wire.raw_client import SpeedClient, encode

CLIENTS = 8
ORDERS = 250  # of each client; every order is cancelled at once
MESSAGES = 2 * ORDERS * CLIENTS
LINES = 100
STEPS = 8
MEMORY_ORDERS = 10_000
START = datetime(2026, 3, 2, 15, tzinfo=UTC)
STANDING = ("--set-clock", START.isoformat())


@dataclass(frozen=True)
class Process:
    """A gateway that serves."""

    pid: int
    port: int
    control: int


@contextmanager
def gateway(*options: str) -> Iterator[Process]:
    """A gateway process with a store in a file and prices of seed 1; the last of two options that say the same wins."""
    command = [sys.executable, "-m", "broker.paper_gateway", "--port", "0", "--control", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*command, "--store", f"{folder}/paper.sqlite3", *options], stdout=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stdout is not None
        said = dict(word.split("=", 1) for word in child.stdout.readline().split() if "=" in word)
        try:
            yield Process(child.pid, int(said["port"]), int(said["control"]))
        finally:
            child.terminate()


async def place_and_cancel(port: int, orders: int) -> None:
    """All clients at once place and cancel that many orders each, and see every one cancelled."""

    async def one(client: SpeedClient) -> None:
        frames = b"".join(client.orders(orders))
        cancelled = client.counts[b"4"] + orders
        await asyncio.gather(client.send(frames), client.until(b"4", cancelled))

    await together(port, one)


async def together(port: int, run: Callable[[SpeedClient], Coroutine[None, None, None]]) -> None:
    """The same thing by CLIENTS clients, each connected first."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(SpeedClient(port, number + 1)) for number in range(CLIENTS)]
        await asyncio.gather(*[run(client) for client in clients])


async def echo_the_same(orders: int) -> None:
    """The same frames through an asyncio server that answers each byte for byte: what sockets alone cost."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def one(port: int) -> None:
        frames = b"".join(SpeedClient(0, 0).orders(orders))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(frames)
        await reader.readexactly(len(frames))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await asyncio.gather(*[one(server.sockets[0].getsockname()[1]) for _ in range(CLIENTS)])


@bench(f"gateway: {MESSAGES:,} order messages, {CLIENTS} clients", target=MESSAGES / 2000)
def order_messages() -> Measured:
    """Place and cancel; 2,000 messages a second or more."""
    with gateway(*STANDING) as process:
        return against(
            lambda: asyncio.run(place_and_cancel(process.port, ORDERS)),
            lambda: asyncio.run(echo_the_same(ORDERS)),
            rounds=3,
        )


@asynccontextmanager
async def watching(port: int) -> AsyncIterator[list[SpeedClient]]:
    """CLIENTS clients with LINES streams of quotes each."""
    symbols = [spec.symbol for spec in Universe(()).all() if spec.sec_type == "STK" and spec.currency == "USD"]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(SpeedClient(port, number + 1)) for number in range(CLIENTS)]
        for client in clients:
            for line in range(LINES):
                contract = (0, symbols[line % len(symbols)], "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
                await client.send(encode(1, 11, line + 1, *contract, 0, "", 0, 0, ""))
            await client.until(b"58", LINES)
        yield clients


def ticks_of(client: SpeedClient) -> int:
    """How many ticks a client was sent."""
    return sum(client.counts[kind] for kind in (b"1", b"2", b"45", b"46"))


async def seconds_for_ticks(process: Process, ticks: int) -> float:
    """How long that many ticks take on their way to the clients while the clock is advanced minute by minute."""
    async with watching(process.port) as clients:
        with ControlClient("127.0.0.1", process.control) as control:
            now = datetime.fromisoformat(control.status()["now"])
            before = sum(map(ticks_of, clients))
            started = time.perf_counter()
            while sum(map(ticks_of, clients)) - before < ticks:
                now += timedelta(minutes=1)
                await asyncio.to_thread(control.advance, now)
                for client in clients:
                    await client.fence()
            return (time.perf_counter() - started) * ticks / (sum(map(ticks_of, clients)) - before)


@bench(f"gateway: 40,000 ticks, {CLIENTS} clients, {LINES} lines each", target=2.0)
def ticks() -> Measured:
    """20,000 ticks a second or more."""
    with gateway(*STANDING) as process:
        return Measured(asyncio.run(seconds_for_ticks(process, 40_000)))


@bench(f"gateway: memory grown over {MEMORY_ORDERS:,} orders", target=4, unit="MiB")
def memory() -> Measured:
    """After a first round, orders that came and went leave nothing behind."""
    orders = MEMORY_ORDERS // CLIENTS
    with gateway(*STANDING) as process:
        asyncio.run(place_and_cancel(process.port, ORDERS))
        before = psutil.Process(process.pid).memory_info().rss
        asyncio.run(place_and_cancel(process.port, orders))
        return Measured((psutil.Process(process.pid).memory_info().rss - before) / 2**20)
