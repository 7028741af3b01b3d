"""Requests share a few threads that stay, and none waits long for those that are held up."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import request_finished, request_started
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse

from autotrader.core.ops import lanes
from autotrader.core.ops.lanes import LANES, MOST_OWN, Files, Lanes, Sorted, SyncSite
from autotrader.core.rest.busy import busy
from tests.live import until
from tests.support import PATIENCE_S as PATIENCE


class Site:
    """An application that notes which thread it runs on, and stays there until it is let go."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.let_go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await sync_to_async(self._run, thread_sensitive=True)(scope["path"])

    def _run(self, path: str) -> None:
        self.threads.append(threading.current_thread().name)
        if path.endswith("/slow"):
            assert self.let_go.wait(2 * PATIENCE)


async def ask(lanes: Lanes | Sorted | Files, path: str) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await lanes({"type": "http", "path": path, "method": "GET"}, None, send)
    return sent


async def hold(lanes: Lanes | Sorted, site: Site, count: int, path: str = "/slow") -> list[asyncio.Task[list[Any]]]:
    """So many requests that stay until the site lets go, each on its thread."""
    before = len(site.threads)
    slow = [asyncio.create_task(ask(lanes, path)) for _ in range(count)]
    await until(lambda: len(site.threads) >= before + count)
    return slow


async def test_one_request_after_another_runs_on_one_thread() -> None:
    site = Site()
    shared = Lanes(site, busy)
    for _ in range(5):
        await ask(shared, "/")
    assert len(set(site.threads)) == 1


async def test_many_at_once_share_the_lanes() -> None:
    site = Site()
    shared = Lanes(site, busy, 3, patience_s=PATIENCE)
    await asyncio.gather(*(ask(shared, "/") for _ in range(30)))
    assert len(site.threads) == 30
    assert len(set(site.threads)) <= 3


async def test_who_finds_all_lanes_held_up_gets_one_of_its_own() -> None:
    site = Site()
    shared = Lanes(site, busy, 2, patience_s=0.05)
    slow = await hold(shared, site, 2)
    await ask(shared, "/")
    assert site.threads[-1].startswith("lane-own")
    site.let_go.set()
    await asyncio.gather(*slow)
    await ask(shared, "/")
    assert not site.threads[-1].startswith("lane-own")
    await until(lambda: not any(thread.name.startswith("lane-own") for thread in threading.enumerate()))


async def test_no_more_than_so_many_get_one_of_their_own_and_the_others_are_told_to_come_again() -> None:
    site = Site()
    shared = Lanes(site, busy, 2, patience_s=0.05, most_own=3)
    slow = await hold(shared, site, 5)
    for path, kind in (("/api/orders/place", b"application/json"), ("/desk/", b"text/plain; charset=utf-8")):
        start, body = await ask(shared, path)
        headers = dict(start["headers"])
        assert (start["status"], headers[b"retry-after"], headers[b"content-type"]) == (503, b"1", kind)
        assert headers[b"x-correlation-id"] in body["body"]
        assert int(headers[b"content-length"]) == len(body["body"])
    assert json.loads((await ask(shared, "/api/x"))[1]["body"])["error"]["code"] == "BUSY"
    assert len(site.threads) == 5
    site.let_go.set()
    await asyncio.gather(*slow)
    assert await ask(shared, "/") == []


async def test_one_of_its_own_counts_until_its_thread_has_ended_whoever_left() -> None:
    site = Site()
    shared = Lanes(site, busy, 1, patience_s=0.05, most_own=1)
    slow = await hold(shared, site, 2)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert (await ask(shared, "/"))[0]["status"] == 503
    site.let_go.set()
    await until(lambda: shared._own_left and not shared._free.empty())
    assert await ask(shared, "/") == []
    site.let_go.clear()
    again = await hold(shared, site, 2)
    site.let_go.set()
    await asyncio.gather(*again)


async def test_a_lane_whose_caller_left_is_free_when_its_thread_is() -> None:
    site = Site()
    shared = Lanes(site, busy, 1, patience_s=0.05)
    left = asyncio.create_task(ask(shared, "/slow"))
    async with asyncio.timeout(PATIENCE):
        while not site.threads:
            await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        await ask(shared, "/")
        assert site.threads[-1].startswith("lane-own")
        site.let_go.set()
        while site.threads[-1].startswith("lane-own"):
            await ask(shared, "/")


async def test_a_site_with_too_much_to_do_opens_no_more_threads() -> None:
    """The last waits twice as long as patience lasts. Whoever finds it at an end is told so here.

    All of it takes place on the loop, where nothing takes longer but what is waited for.
    """

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.02)  # as an answer out of the database takes

    shared = Lanes(answers, busy, 2, patience_s=0.3, most_own=0)
    assert await asyncio.gather(*(ask(shared, "/") for _ in range(60))) == [[]] * 60


async def test_what_our_own_rows_answer_waits_for_nobody_who_asks_the_broker() -> None:
    site = Site()
    shared = Sorted(site, busy, ("/history/",), ("/health",))
    slow = await hold(shared, site, 2) + await hold(shared, site, 2, "/health/slow")
    await ask(shared, "/history/orders")
    assert not site.threads[-1].startswith("lane-own"), "it waited for none that was held up"
    site.let_go.set()
    await asyncio.gather(*slow)


async def test_what_a_lane_has_done_or_failed_at_comes_back_to_who_waits() -> None:
    said: contextvars.ContextVar[str] = contextvars.ContextVar("said")
    said.set("here")
    lane = ThreadPoolExecutor(1)

    def work() -> tuple[str, bool]:
        return said.get(), threading.current_thread() is threading.main_thread()

    def fail() -> None:
        raise KeyError("there")

    assert await lanes._run_on(lane, work) == ("here", False)
    assert await lanes._run_on(lane, lambda: said.set("there")), "what a thread says stays there"
    assert said.get() == "here"
    with pytest.raises(KeyError, match="there"):
        await lanes._run_on(lane, fail)
    lane.shutdown()
    with pytest.raises(RuntimeError):
        await lanes._run_on(lane, fail)


async def test_who_has_left_is_told_nothing_and_the_lane_goes_on() -> None:
    lane, begun, let_go = ThreadPoolExecutor(1), threading.Event(), threading.Event()
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def work() -> bool:
        begun.set()
        return let_go.wait(PATIENCE)

    left = asyncio.create_task(lanes._run_on(lane, work))
    await until(begun.is_set)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    let_go.set()
    assert await lanes._run_on(lane, lambda: 7) == 7
    assert (left.cancelled(), told) == (True, [])
    lane.shutdown()


async def test_files_wait_for_nobody_and_pass_by_what_would_refuse_the_rest() -> None:
    site, refused = Site(), []

    async def refuses(scope: Any, receive: Any, send: Any) -> None:
        refused.append(scope["path"])

    shared = Files(site, busy, "/static/", refuses)
    assert await asyncio.gather(*(ask(shared, f"/static/{number}.svg") for number in range(12))) == [[]] * 12
    assert set(site.threads) == {"lane-0_0"}, "one thread serves them all"
    await ask(shared, "/desk/")
    assert refused == ["/desk/"]


HALTING = frozenset({"/halt", "/halt/slow"})


async def test_the_kill_switch_is_never_refused_whatever_is_held_up() -> None:
    site = Site()
    shared = Sorted(site, busy, ("/history/",), sure=HALTING)
    slow = await hold(shared, site, LANES + MOST_OWN)
    assert (await ask(shared, "/"))[0]["status"] == 503
    assert await ask(shared, "/halt") == []
    assert not site.threads[-1].startswith("lane-own"), "it waited for none that was held up"
    slow += await hold(shared, site, LANES + MOST_OWN + 2, "/halt/slow")
    assert await ask(shared, "/halt") == []
    assert (await ask(shared, "/halt/page"))[0]["status"] == 503, "its neighbours are as any other"
    site.let_go.set()
    await asyncio.gather(*slow)


NAMES = ("api_halt", "api_halt_release", "halt", "admin:trading_halt", "admin:trading_release", "login", "admin:login")


@pytest.mark.parametrize("name", NAMES)
async def test_each_form_of_it_and_the_logins_before_it_find_no_lane_that_waits_for_the_broker(name: str) -> None:
    os.environ.setdefault("AUTOTRADER_PROCESS_ROLE", "command")
    from autotrader import asgi

    others = [asgi._lanes._lanes_for(path) for path in ("/desk/", "/api/market/quotes", "/api/orders/place")]
    path = reverse(name)
    assert asgi._lanes._lanes_for(path) not in others
    assert name.endswith("login") or path in asgi.HALTS
    assert len(asgi.HALTS) == len([name for name in NAMES if not name.endswith("login")])


@pytest.mark.parametrize("held", [0, 1])
async def test_where_no_thread_can_be_made_it_is_told_and_counts_for_nothing(
    monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    site = Site()
    shared = Lanes(site, busy, 1, patience_s=0.05, most_own=1)
    slow = await hold(shared, site, held)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for _ in range(3):
            assert (await ask(shared, "/late"))[0]["status"] == 503
    assert len(site.threads) == held
    assert await ask(shared, "/") == []
    assert len(site.threads) == held + 1, "what was refused is not run later"
    site.let_go.set()
    await asyncio.gather(*slow)


def test_every_view_and_middleware_runs_in_one_step() -> None:
    """An async one would be left out of the chain of a sync site."""
    site = SyncSite()
    assert not asyncio.iscoroutinefunction(site._middleware_chain)
    assert not getattr(site._middleware_chain, "async_mode", False)


class Asked:
    """One request to a site whose view is given: what was sent, and in which order it ran."""

    def __init__(self, view: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.site = SyncSite()
        self.site._middleware_chain = self._view
        self._answer = view
        self._lanes = Lanes(self.site, busy, 1)
        self.sent: list[Any] = []
        self.steps: list[tuple[str, str]] = []

    def _view(self, request: HttpRequest) -> HttpResponseBase:
        self.note("view")
        return self._answer(request)

    def note(self, step: str, **_: Any) -> None:
        self.steps.append((step, threading.current_thread().name))

    async def __call__(self, *messages: Any, method: str = "GET") -> list[Any]:
        waiting = list(messages or [{"type": "http.request", "body": b"a=1"}])

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            self.note("sent")
            self.sent.append(message)

        scope = {"type": "http", "path": "/", "method": method, "headers": [], "query_string": b""}
        await self._lanes(scope, receive, send)
        return self.sent

    @contextmanager
    def listening(self) -> Iterator[None]:
        def started(**_: Any) -> None:
            self.note("started")

        def finished(**_: Any) -> None:
            self.note("finished")

        request_started.connect(started)
        request_finished.connect(finished)
        try:
            yield
        finally:
            request_started.disconnect(started)
            request_finished.disconnect(finished)


async def test_a_request_is_one_step_on_its_lane_with_the_signals_in_it() -> None:
    asked = Asked(lambda request: HttpResponse(request.body))
    with asked.listening():
        sent = await asked()
    assert [message.get("body") for message in sent] == [None, b"a=1"]
    assert [step for step, _ in asked.steps] == ["started", "view", "finished", "sent", "sent"]
    assert {thread for step, thread in asked.steps if step != "sent"} == {"lane-0_0"}


async def test_what_is_streamed_is_closed_after_its_last_part() -> None:
    asked = Asked(lambda request: StreamingHttpResponse(iter([b"one", b"two"])))
    with asked.listening():
        sent = await asked()
    assert b"".join(message.get("body", b"") for message in sent) == b"onetwo"
    assert [step for step, _ in asked.steps][-2:] == ["sent", "finished"]


async def test_who_leaves_before_the_request_is_whole_is_not_answered() -> None:
    asked = Asked(lambda request: HttpResponse())
    first = {"type": "http.request", "body": b"a", "more_body": True}
    assert await asked(first, {"type": "http.disconnect"}) == []
    assert asked.steps == []


async def test_a_view_that_fails_is_answered_500() -> None:
    def fail(request: HttpRequest) -> HttpResponse:
        raise ValueError

    asked = Asked(fail)
    asked.site._middleware_chain = convert_exception_to_response(fail)
    assert (await asked())[0]["status"] == 500


@pytest.mark.django_db(transaction=True)
async def test_a_connection_that_was_just_used_is_looked_at_only_by_what_changes_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "_is_steady", lambda: True)
    looked: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        connection.ensure_connection()
        connection.close_at = None  # kept, as it is in the web process
        looked.append(not connection.health_check_done)  # type: ignore[attr-defined]
        return HttpResponse()

    asked = Asked(view)
    monkeypatch.setattr(lanes, "TRUSTED_S", PATIENCE)
    for method in ("GET", "GET", "POST", "GET"):
        await asked(method=method)
    monkeypatch.setattr(lanes, "TRUSTED_S", 0.0)  # so long it is since then
    await asked(method="GET")
    assert looked[1:] == [False, True, False, True]
