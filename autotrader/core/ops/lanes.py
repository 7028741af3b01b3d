"""Threads that serve one request after another and keep their connection to the database in between.

Without them Django under ASGI makes threads and a connection for each request, which costs more than most answers.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import math
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import IO, Any, TypeVar

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.signals import request_started
from django.db import connections
from django.http import FileResponse, HttpResponseBase
from django.urls import set_script_prefix
from django.utils.http import parse_header_parameters

from autotrader.core.ops.breaker import breaker

Application = Callable[[Any, Any, Any], Awaitable[None]]
# More of them only take the interpreter from each other: at 150 requests a second eight made the latest 1 % wait 4 s,
# two 0.3 s. What waits for the broker gets a thread of its own.
LANES = 2
# Longer than answers out of the database take: where no lane has come free for so long, what holds them all waits for
# something else, such as the broker. A site that has too much to do frees lanes all the time, and more threads and
# connections would only slow it down.
PATIENCE_S = 0.5
# Threads beyond the lanes, for those that find them stuck. Each may keep a connection to the database for as long as
# the broker is silent, and PostgreSQL has a hundred for all processes.
MOST_OWN = 16
# Nothing can hold up who reads a file, and a page asks for a dozen at once: they come one after the other.
FILE_PATIENCE_S = 30.0
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
TRUSTED_S = 1.0
STEADY_S = 5.0
# How long a thread that reckons keeps the interpreter from those that wait for it; Python leaves it 5 ms. What a fill
# sets off has to get it back a dozen times, after each word of the database and between the loop and its threads.
SWITCH_S = 0.002
_used = threading.local()
_held: contextvars.ContextVar[ThreadPoolExecutor | None] = contextvars.ContextVar("held lane", default=None)
T = TypeVar("T")


def favour_answers() -> None:
    """For a process that answers requests, once it has loaded what it needs.

    What is loaded stays; looking through all of it for garbage would stop every thread for as long as that takes. And
    the loop, which hands everybody their answers, does not wait long for lanes that make some.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()


class Utf8Request(ASGIRequest):
    """Read as UTF-8, whatever encoding it claims: Python knows some that read no text, and fail.

    The API's endpoints refuse a body that says another encoding; pages send forms in the encoding of the page.
    """

    def _set_content_type_params(self, meta: Mapping[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class SyncSite(ASGIHandler):
    """Django, with one step into a thread and one out, and nothing else done on the loop.

    Every view of ours is sync, and so is some middleware; left to itself Django would go in and out for each of them,
    and again for the signals before and after. Each step has to wait for the interpreter, which a busy site never has
    free.
    """

    request_class = Utf8Request

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain of a sync site, whatever the handler asks for."""
        super().load_middleware(is_async=False)

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer; a sync view cannot be told that its caller has gone, so nobody listens for that."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        work, lane = partial(self._read_and_answer, scope, body), _held.get()
        response = await (sync_to_async(work, thread_sensitive=True)() if lane is None else _run_on(lane, work))
        try:
            await self.send_response(response, send)
        finally:
            if response.streaming:
                await sync_to_async(response.close, thread_sensitive=True)()

    def _read_and_answer(self, scope: Any, body: IO[bytes]) -> HttpResponseBase:
        with body:  # closed by who reads it, also where nobody waits for the answer any more
            return self._answer(scope, body)

    def _answer(self, scope: Any, body: IO[bytes]) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=type(self), scope=scope)
        if scope["method"] in REPEATABLE:
            _trust_connection()
        request, refusal = self.create_request(scope, body)
        response = refusal if request is None else self.get_response(request)
        assert response is not None  # create_request gives one or the other
        response._handler_class = type(self)  # type: ignore[attr-defined]
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            response.close()
        return response


async def _run_on(lane: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """What `work` gives, once the lane's thread has done it.

    asgiref's way there and back is longer, by one tenth of an answer: it carries over what the thread has set for the
    rest of the request, of which there is none once it is answered.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            found = context.run(work)
        except BaseException as error:
            loop.call_soon_threadsafe(_tell, done.set_exception, error, done)
        else:
            loop.call_soon_threadsafe(_tell, done.set_result, found, done)

    lane.submit(run)
    return await done


def _tell(tell: Callable[[Any], None], what: Any, done: asyncio.Future[Any]) -> None:
    if not done.done():  # who waited may have gone
        tell(what)


def _trust_connection() -> None:
    """Spare the look whether the connection still works where this thread has just used it.

    The look is a query, and one tenth of an answer's time. Who asks while the database restarts may be told 503, and
    asks again; what changes something goes on looking.
    """
    now, before = time.monotonic(), getattr(_used, "at", float("-inf"))
    _used.at = now
    if now - before < TRUSTED_S and _is_steady():
        for connection in connections.all(initialized_only=True):
            connection.health_check_done = True  # type: ignore[attr-defined]


def _is_steady() -> bool:
    """Whether the database has answered for some time: connections may have died with what it was before."""
    if not settings.AUTOTRADER_WATCHES_DATABASE:
        return False
    look = breaker().peek()
    return look.ok and look.since_s > STEADY_S


class Lanes:
    """Around Django's application: each request runs on a lane, or on one of its own where all of them are stuck.

    Where `most_own` have one of their own, or no thread can be made, `busy` answers instead. `most_own` None: as many
    as come.
    """

    def __init__(
        self,
        application: Application,
        busy: Application,
        count: int = LANES,
        *,
        patience_s: float = PATIENCE_S,
        most_own: int | None = MOST_OWN,
    ) -> None:
        self._application, self._busy = application, busy
        self._patience_s = patience_s
        self._freed_at = float("-inf")
        self._begun: set[ThreadPoolExecutor] = set()  # lanes that have a thread, which stays
        # The lane that was used last is taken first, so that a quiet site keeps one connection.
        self._free: asyncio.LifoQueue[ThreadPoolExecutor] = asyncio.LifoQueue()
        for number in range(count):
            self._free.put_nowait(ThreadPoolExecutor(1, thread_name_prefix=f"lane-{number}"))
        self._own_left = math.inf if most_own is None else most_own

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the request."""
        async with self._lane() as lane:
            if lane is None:
                await self._busy(scope, receive, send)
                return
            token = _held.set(lane)
            try:
                # What an answer still runs in steps, such as a list that is written while it is sent, stays here too.
                async with ThreadSensitiveContext(executor=lane):
                    await self._application(scope, receive, send)
            finally:
                _held.reset(token)

    @asynccontextmanager
    async def _lane(self) -> AsyncIterator[ThreadPoolExecutor | None]:
        lane = await self._free_lane()
        if lane is None:
            async with self._own_lane() as lane:
                yield lane
            return
        try:
            yield lane if self._begins(lane) else None
        except asyncio.CancelledError:
            # Its thread cannot be stopped and may hang for a minute more: the lane is free when that has ended.
            _when_ended(lane, _nothing, lambda: self._give_back(lane))
            raise
        except BaseException:
            self._give_back(lane)
            raise
        self._give_back(lane)

    def _begins(self, lane: ThreadPoolExecutor) -> bool:
        if lane not in self._begun and _has_thread(lane):
            self._begun.add(lane)
        return lane in self._begun

    @asynccontextmanager
    async def _own_lane(self) -> AsyncIterator[ThreadPoolExecutor | None]:
        """One that ends with the request; None where there are as many as may be."""
        if not self._own_left:
            yield None
            return
        lane = ThreadPoolExecutor(1, thread_name_prefix="lane-own")
        if not _has_thread(lane):
            yield None
            return
        self._own_left -= 1
        try:
            yield lane
        finally:
            # Counted until its thread has ended, whether or not somebody still waits for the answer.
            _when_ended(lane, _close_connections, self._own_ended)
            lane.shutdown(wait=False)

    def _own_ended(self) -> None:
        self._own_left += 1

    def _give_back(self, lane: ThreadPoolExecutor) -> None:
        self._freed_at = asyncio.get_running_loop().time()
        self._free.put_nowait(lane)

    async def _free_lane(self) -> ThreadPoolExecutor | None:
        """The next that comes free; None where none has for as long as patience lasts."""
        asked_at = asyncio.get_running_loop().time()
        while True:
            until = max(asked_at, self._freed_at) + self._patience_s
            try:
                async with asyncio.timeout_at(until):
                    return await self._free.get()
            except TimeoutError:
                if max(asked_at, self._freed_at) + self._patience_s <= until:
                    return None


class Sorted:
    """Each kind of request, told by the beginning of its path, has lanes of its own; so has what is of no kind.

    What our own rows answer so runs on lanes that nobody holds who asks the broker. What is `sure`, by its whole path,
    is a kind that is never refused while a thread can be made.
    """

    def __init__(
        self, application: Application, busy: Application, *kinds: tuple[str, ...], sure: frozenset[str] = frozenset()
    ) -> None:
        self._kinds = [(beginnings, Lanes(application, busy)) for beginnings in kinds]
        self._sure, self._sure_lanes = sure, Lanes(application, busy, most_own=None)
        self._other = Lanes(application, busy)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the request."""
        await self._lanes_for(scope["path"])(scope, receive, send)

    def _lanes_for(self, path: str) -> Lanes:
        if path in self._sure:
            return self._sure_lanes
        return next((found for beginnings, found in self._kinds if path.startswith(beginnings)), self._other)


class Files:
    """Style sheets, scripts and pictures, told by the beginning of their path, pass by what stands before the rest.

    They need neither the database nor the broker. So nobody's page loses its icons to a moment in which the database
    is slow, or waits for lanes that others hold.
    """

    def __init__(self, application: Application, busy: Application, beginning: str, rest: Application) -> None:
        self._lanes = Lanes(application, busy, 1, patience_s=FILE_PATIENCE_S)
        self._beginning, self._rest = beginning, rest

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer the request."""
        answer = self._lanes if scope["path"].startswith(self._beginning) else self._rest
        await answer(scope, receive, send)


def _has_thread(lane: ThreadPoolExecutor) -> bool:
    """False where its thread cannot be started; a request that is given to it only then would be run much later."""
    try:
        lane.submit(_nothing)
    except RuntimeError:
        return False
    return True


def _when_ended(lane: ThreadPoolExecutor, last: Callable[[], None], then: Callable[[], None]) -> None:
    """Call `then` on the loop when what the lane's thread does has ended, and `last` after it."""
    loop = asyncio.get_running_loop()
    try:
        ended = lane.submit(last)
    except RuntimeError:  # it takes nothing any more: there is nothing to wait for
        then()
        return
    ended.add_done_callback(lambda _: loop.call_soon_threadsafe(then))


def _nothing() -> None:
    """Runs when what a thread does before has ended."""


def _close_connections() -> None:
    connections.close_all()
