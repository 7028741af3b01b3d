"""A thousand clients, clients that stop reading, and a thousand reconnects."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time

from tests.load.clients import Reader, stuck
from tests.load.frame import Figure, percentile
from tests.load.house import STREAMS_A_KEY, House, Web, head, keys

CLIENTS, RATE = 1000, 5
STUCK, WATCHED_S = 50, 30
READERS, RECONNECTS, WRITERS, EACH = 20, 1000, 16, 250


def fan_out(house: House, seconds: float = 20) -> list[Figure]:
    """1,000 clients at 5 events a second."""
    with house.web() as web:
        return asyncio.run(_fan_out(house, web, seconds))


async def _fan_out(house: House, web: Web, seconds: float) -> list[Figure]:
    names = await asyncio.to_thread(keys, -(-CLIENTS // STREAMS_A_KEY))
    readers = [Reader(web.port, names[number // STREAMS_A_KEY]) for number in range(CLIENTS)]
    await readers[0].connect()
    threads, memory, began = web.threads(), web.memory_mb(), time.monotonic()
    await asyncio.gather(*(reader.connect() for reader in readers[1:]))
    opened = time.monotonic() - began
    cpu, began = web.cpu_s(), time.monotonic()
    with house.writing("--rate", str(RATE)) as writer:
        await asyncio.sleep(seconds)
        most_threads, most_connections = web.threads(), await asyncio.to_thread(web.connections)
        written = await asyncio.to_thread(_finish, writer)
    cpu, began = web.cpu_s() - cpu, time.monotonic() - began
    await _until(lambda: all(reader.last == readers[0].last for reader in readers) and readers[0].events == written)
    late = [ms for reader in readers for ms in reader.late_ms]
    return [
        Figure(f"{CLIENTS} streams at {RATE} events/s: delivered late, median", percentile(late, 0.5), "ms"),
        Figure("  99 % of them", percentile(late, 0.99), "ms", 400),
        Figure("  the latest", max(late), "ms"),
        Figure("  lost", sum(reader.lost + written - reader.events for reader in readers), "events", 0),
        Figure("  doubled", sum(reader.doubled for reader in readers), "events", 0),
        Figure("  database connections of the web process", most_connections, "", 5),
        Figure("  threads more than with one stream", most_threads - threads, "", 5),
        Figure("  memory a stream", (web.memory_mb() - memory) / CLIENTS * 1000, "kB"),
        Figure("  processor", cpu / began * 100, "%"),
        Figure("  all of them opened in", opened, "s"),
    ]


def _finish(writer: subprocess.Popen[str]) -> int:
    out, _ = writer.communicate("", timeout=600)
    return int(out)


async def _until(true: object, timeout: float = 60) -> None:
    assert callable(true)
    async with asyncio.timeout(timeout):
        while not true():
            await asyncio.sleep(0.05)


def stop_reading(house: House) -> list[Figure]:
    """50 clients that ask and never read, at 5 events a second and at as many as can be written."""
    found = []
    for name, arguments, most in (
        (f"at {RATE} events/s", ("--rate", str(RATE)), 10),
        ("at any rate", ("--threads", "4", "--each", "100000", "--together", "50"), 30),
    ):
        with house.web() as web:
            found += asyncio.run(_stop_reading(house, web, name, arguments, most))
    return found


async def _stop_reading(house: House, web: Web, name: str, arguments: tuple[str, ...], most: float) -> list[Figure]:
    names = await asyncio.to_thread(keys, STUCK // STREAMS_A_KEY + 1)
    reader = Reader(web.port, names[-1])
    await reader.connect()  # who reads, so that what one stream needs at all is there
    before = await asyncio.to_thread(head)
    memory = web.memory_mb()
    sockets = [stuck(web.port, names[number // STREAMS_A_KEY]) for number in range(STUCK)]
    peak, began = memory, time.monotonic()
    with house.writing(*arguments):
        while time.monotonic() - began < WATCHED_S:
            await asyncio.sleep(0.25)
            peak = max(peak, web.memory_mb())
            if reader._closed.is_set():
                await reader.connect()
    count = await asyncio.to_thread(head) - before
    await _catch_up(reader, before + count)
    for found in sockets:
        found.close()
    return [
        Figure(f"{STUCK} readers that stop reading, {name}: memory more", peak - memory, "MB", most),
        Figure("  events meanwhile", count, ""),
        Figure("  lost by one that reads beside them", reader.lost + max(0, before + count - reader.last), "events", 0),
    ]


async def _catch_up(reader: Reader, last: int) -> None:
    deadline = time.monotonic() + 60
    while reader.last < last and time.monotonic() < deadline:
        if reader._closed.is_set():
            await reader.connect()
        await asyncio.sleep(0.02)


def reconnect(house: House) -> list[Figure]:
    """Readers that are cut off again and again while 16 writers commit in whatever order."""
    with house.web() as web:
        return asyncio.run(_reconnect(house, web))


async def _reconnect(house: House, web: Web) -> list[Figure]:
    names = await asyncio.to_thread(keys, READERS // STREAMS_A_KEY)
    readers = [Reader(web.port, names[number // STREAMS_A_KEY]) for number in range(READERS)]
    await asyncio.gather(*(reader.connect() for reader in readers))
    before = await asyncio.to_thread(head)
    cutters = [asyncio.create_task(_cut_again_and_again(reader)) for reader in readers]
    with house.writing("--threads", str(WRITERS), "--each", str(EACH)) as writer:
        written = await asyncio.to_thread(_finish, writer)
        await asyncio.gather(*cutters)
    last = await asyncio.to_thread(head)
    await asyncio.gather(*(_catch_up(reader, last) for reader in readers))
    return [
        Figure(
            f"{sum(reader.connects - 1 for reader in readers)} reconnects, {WRITERS} writers: events each",
            last - before,
            "",
        ),
        Figure("  lost", sum(reader.lost + last - reader.last for reader in readers), "events", 0),
        Figure("  doubled", sum(reader.doubled for reader in readers), "events", 0),
        Figure("  written and not on record", written - (last - before), "events", 0),
    ]


async def _cut_again_and_again(reader: Reader) -> None:
    for _ in range(RECONNECTS // READERS):
        await asyncio.sleep(random.uniform(0.01, 0.3))
        reader.cut()
        await reader.closed()
        await reader.connect()
