"""Requests share a few threads that stay, and none waits long for those that are held up."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from asgiref.sync import sync_to_async

from autotrader.core.ops.lanes import PATIENCE_S, Lanes, Sorted, SyncSite


class Site:
    """An application that notes which thread it runs on, and stays there until it is let go."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.let_go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await sync_to_async(self._run, thread_sensitive=True)(scope["path"])

    def _run(self, path: str) -> None:
        self.threads.append(threading.current_thread().name)
        if path == "/slow":
            assert self.let_go.wait(10)
        elif path == "/busy":
            time.sleep(0.02)  # as an answer out of the database takes


async def ask(lanes: Lanes | Sorted, path: str) -> None:
    await lanes({"type": "http", "path": path}, None, None)


async def test_one_request_after_another_runs_on_one_thread() -> None:
    site = Site()
    lanes = Lanes(site)
    for _ in range(5):
        await ask(lanes, "/")
    assert len(set(site.threads)) == 1


async def test_many_at_once_share_the_lanes() -> None:
    site = Site()
    lanes = Lanes(site, 3, patience_s=10)
    await asyncio.gather(*(ask(lanes, "/") for _ in range(30)))
    assert len(site.threads) == 30
    assert len(set(site.threads)) <= 3


async def test_who_finds_all_lanes_held_up_gets_one_of_its_own() -> None:
    site = Site()
    lanes = Lanes(site, 2, patience_s=0.05)
    slow = [asyncio.create_task(ask(lanes, "/slow")) for _ in range(2)]
    async with asyncio.timeout(5):
        while len(site.threads) < 2:
            await asyncio.sleep(0.01)
        await ask(lanes, "/")
    assert site.threads[-1].startswith("lane-own")
    site.let_go.set()
    await asyncio.gather(*slow)
    await ask(lanes, "/")
    assert not site.threads[-1].startswith("lane-own")
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith("lane-own") for name in names)


async def test_a_site_with_too_much_to_do_opens_no_more_threads() -> None:
    site = Site()
    lanes = Lanes(site, 2, patience_s=0.3)
    await asyncio.gather(*(ask(lanes, "/busy") for _ in range(60)))  # the last waits twice as long as patience lasts
    assert len(site.threads) == 60
    assert not any(name.startswith("lane-own") for name in site.threads)


async def test_what_our_own_rows_answer_waits_for_nobody_who_asks_the_broker() -> None:
    site = Site()
    lanes = Sorted(site, ("/history/",))
    slow = [asyncio.create_task(ask(lanes, "/slow")) for _ in range(2)]
    async with asyncio.timeout(5):
        while len(site.threads) < 2:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        await ask(lanes, "/history/orders")
    assert time.monotonic() - began < PATIENCE_S
    assert not site.threads[-1].startswith("lane-own")
    site.let_go.set()
    await asyncio.gather(*slow)


def test_every_view_and_middleware_runs_in_one_step() -> None:
    """An async one would be left out of the chain of a sync site."""
    site = SyncSite()
    assert not asyncio.iscoroutinefunction(site._middleware_chain)
    assert not getattr(site._middleware_chain, "async_mode", False)
