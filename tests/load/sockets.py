"""A thousand pages, a thousand reconnects of theirs, and pages that stop reading."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time

from tests.load.frame import Figure, percentile
from tests.load.house import House, Web, cookies, head
from tests.load.pages import BEGIN_ANEW, CLOSE, Frames, PageReader, stuck_page
from tests.load.streams import _finish, _until

# Fewer for a look at whether it works at all; the figures that are written down are of a thousand.
PAGES = int(os.environ.get("AUTOTRADER_LOAD_PAGES", "1000"))
A_PERSON, RATE, SECONDS = 20, 5, 20
COMING, RECONNECTS, WRITERS, EACH = 20, PAGES, 8, 250
STUCK, WATCHED_S = min(50, PAGES), 45.0


def sockets(house: House) -> list[Figure]:
    """Three looks, each at a web process of its own."""
    found = []
    for look in (_fan_out, _reconnect, _stop_reading):
        with house.web() as web:
            found += asyncio.run(look(house, web))
    return found


async def _people(count: int) -> list[str]:
    return await asyncio.to_thread(cookies, -(-count // A_PERSON))


async def _fan_out(house: House, web: Web) -> list[Figure]:
    """Every page at 5 events a second."""
    people = await _people(PAGES)
    pages = [PageReader(web.port, people[number // A_PERSON]) for number in range(PAGES)]
    await pages[0].connect()
    threads, memory, began = web.threads(), web.memory_mb(), time.monotonic()
    await asyncio.gather(*(page.connect() for page in pages[1:]))
    opened = time.monotonic() - began
    cpu, began = web.cpu_s(), time.monotonic()
    with house.writing("--rate", str(RATE)) as writer:
        await asyncio.sleep(SECONDS)
        most_threads, most_connections = web.threads(), await asyncio.to_thread(web.connections)
        written = await asyncio.to_thread(_finish, writer)
    cpu, began = web.cpu_s() - cpu, time.monotonic() - began
    await _until(lambda: all(page.lines >= written or page.is_closed for page in pages))
    late = [ms for page in pages for ms in page.late_ms]
    return [
        Figure(f"{PAGES} pages at {RATE} events/s: delivered late, median", percentile(late, 0.5), "ms"),
        Figure("  95 % of them", percentile(late, 0.95), "ms"),
        Figure("  99 % of them", percentile(late, 0.99), "ms", 400),
        Figure("  the latest", max(late), "ms"),
        Figure("  lost", sum(page.lost + written - page.lines for page in pages), "events", 0),
        Figure("  doubled", sum(page.doubled for page in pages), "events", 0),
        Figure("  sent off", sum(page.resyncs or page.is_closed for page in pages), "pages", 0),
        Figure("  database connections of the web process", most_connections, "", 5),
        Figure("  threads more than with one page", most_threads - threads, "", 5),
        Figure("  memory a page", (web.memory_mb() - memory) / PAGES * 1000, "kB"),
        Figure("  processor", cpu / began * 100, "%"),
        Figure("  all of them opened in", opened, "s"),
    ]


async def _reconnect(house: House, web: Web) -> list[Figure]:
    """Pages that are cut off again and again while many write, each a little at a time."""
    # Each of a person of its own: one may not open so many a minute.
    people = await _people(COMING * A_PERSON)
    pages = [PageReader(web.port, cookie) for cookie in people]
    await asyncio.gather(*(page.connect() for page in pages))
    before = await asyncio.to_thread(head)
    with house.writing("--threads", str(WRITERS), "--each", str(EACH)) as writer:
        await asyncio.gather(*(_cut_again_and_again(page) for page in pages))
        written = await asyncio.to_thread(_finish, writer)
    last = await asyncio.to_thread(head)
    await asyncio.gather(*(_catch_up(page, last) for page in pages))
    reconnects = sum(page.connects - 1 for page in pages)
    return [
        Figure(f"{reconnects} reconnects of pages, {WRITERS} writers: events each", last - before, ""),
        Figure("  lost", sum(page.lost + max(0, last - page.last) for page in pages), "events", 0),
        Figure("  doubled", sum(page.doubled for page in pages), "events", 0),
        Figure("  told to begin anew, since they were 256 behind", sum(page.resyncs for page in pages), ""),
        Figure("  refused", sum(page.refused for page in pages), "", 0),
        Figure("  written and not on record", written - (last - before), "events", 0),
    ]


async def _cut_again_and_again(page: PageReader) -> None:
    for _ in range(RECONNECTS // COMING):
        await asyncio.sleep(random.uniform(0.01, 0.3))
        page.cut()
        await page.closed()
        await page.connect()


async def _catch_up(page: PageReader, last: int) -> None:
    deadline = time.monotonic() + 60
    while page.last < last and time.monotonic() < deadline:
        if page.is_closed:
            await page.connect()
        await asyncio.sleep(0.02)


async def _stop_reading(house: House, web: Web) -> list[Figure]:
    """Pages that open a socket and never read, beside one that does."""
    people = await _people(STUCK + 1)
    page = PageReader(web.port, people[-1])
    await page.connect()
    before, memory = await asyncio.to_thread(head), web.memory_mb()
    silent = [stuck_page(web.port, people[number // A_PERSON]) for number in range(STUCK)]
    peak, began, gone = memory, time.monotonic(), float("inf")
    with house.writing("--rate", "40") as writer:
        while time.monotonic() - began < WATCHED_S:
            await asyncio.sleep(0.25)
            peak = max(peak, web.memory_mb())
            if page.is_closed:
                await page.connect()
            if gone > WATCHED_S and not await asyncio.to_thread(_sockets_open, web, silent):
                gone = time.monotonic() - began
        await asyncio.to_thread(_finish, writer)
    count = await asyncio.to_thread(head) - before
    await _catch_up(page, before + count)
    codes = await asyncio.to_thread(lambda: [_code(found) for found in silent])
    return [
        Figure(f"{STUCK} pages that stop reading: memory more, each", (peak - memory) / STUCK, "MB", 1),
        Figure("  the last of them dropped after", gone, "s", 30),
        Figure("  closed with a code other than 4408", sum(code not in {0, BEGIN_ANEW} for code in codes), "", 0),
        Figure("  events meanwhile", count, ""),
        Figure("  lost by one that reads beside them", page.lost + max(0, before + count - page.last), "events", 0),
    ]


def _sockets_open(web: Web, silent: list[socket.socket]) -> int:
    """How many of them the web process still holds."""
    ours = {found.getsockname()[1] for found in silent}
    return sum(bool(at.raddr) and at.raddr.port in ours for at in web.process.net_connections("tcp") if at.fd != -1)


def _code(silent: socket.socket) -> int:
    """What the page would have read last: the code it was closed with, 0 where the connection was cut."""
    frames, code = Frames(), 0
    silent.settimeout(5)
    try:
        while more := silent.recv(65536):
            for opcode, payload in frames.feed(more):
                code = int.from_bytes(payload[:2], "big") if opcode == CLOSE else code
    except OSError:
        return code
    finally:
        silent.close()
    return code
