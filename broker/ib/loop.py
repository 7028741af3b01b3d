"""The thread `ib` with its own event loop, and the one door into it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from broker.errors import BrokerUnavailable
from broker.ib.errors import NotBegun
from broker.ib.fairness import CALLER, DEADLINE

T = TypeVar("T")
CLOSING_TURNS = 3  # of the loop, for sockets that were told to close


class LoopThread:
    """An event loop in a daemon thread of its own."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ended = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the loop and join the thread; idempotent."""
        if self._ended:
            return
        self._ended = True
        if not self._thread.is_alive():
            self._loop.close()
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout)

    def call(self, work: Callable[[], Awaitable[T]], timeout: float) -> T:
        """Call `work` inside the loop, in the caller's context, and wait for the result of what it returns.

        Raises NotBegun where the time-out passed before `work` had begun (it never will), BrokerUnavailable where
        it passed later: what `work` had started is then cancelled, but may have had its effect.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("call() would wait for its own thread")
        answer: Future[T] = Future()
        job = _Job(work, answer)
        self._enter(job.begin, _context(timeout))
        try:
            return answer.result(timeout)
        except TimeoutError as error:
            if answer.done():
                return answer.result()
            if answer.cancel():
                raise NotBegun("the broker's connection is busy") from error
            self._loop.call_soon_threadsafe(job.abandon)
            raise BrokerUnavailable(f"no answer from the broker within {timeout:g} s") from error

    def _enter(self, begin: Callable[[], None], context: contextvars.Context) -> None:
        if self._ended or not self._thread.is_alive():
            raise NotBegun("the broker's connection is stopped")
        try:
            self._loop.call_soon_threadsafe(begin, context=context)
        except RuntimeError as error:  # closed since we looked
            raise NotBegun("the broker's connection is stopped") from error

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._finish())
        finally:
            self._loop.close()

    async def _finish(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(CLOSING_TURNS):
            await asyncio.sleep(0)


def _context(timeout: float) -> contextvars.Context:
    """A copy of the caller's context that says who asks, by default this thread, and how long it will wait."""
    context = contextvars.copy_context()
    context.run(CALLER.set, CALLER.get() or threading.current_thread().name)
    context.run(DEADLINE.set, time.monotonic() + timeout)
    return context


class _Job(Generic[T]):
    """One call on its way through the loop."""

    def __init__(self, work: Callable[[], Awaitable[T]], answer: Future[T]) -> None:
        self._work = work
        self._answer = answer
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._answer.set_running_or_notify_cancel():
            self._task = asyncio.ensure_future(self._run())

    def abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            self._answer.set_result(await self._work())
        except asyncio.CancelledError:
            self._answer.set_exception(BrokerUnavailable("the call was given up"))
            raise
        except BaseException as error:
            self._answer.set_exception(error)


class SingleFlight(Generic[T]):
    """One request of a kind on the wire at a time, for answers that carry no request id.

    Callers that arrive meanwhile share the next request, which is sent after they asked: an answer is never older
    than its question, so that "not among the open orders" is proof.
    """

    def __init__(self, request: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._request = request
        self._flying: asyncio.Task[T] | None = None
        self._waiting: asyncio.Task[T] | None = None

    async def ask(self) -> T:
        """The answer to a request that was sent after this call began."""
        if self._waiting is None:
            # Of no caller: the first one's deadline is none of the others'.
            flight = self._fly(self._flying)
            self._waiting = asyncio.get_running_loop().create_task(flight, context=contextvars.Context())
            self._waiting.add_done_callback(_retrieve)
        return await asyncio.shield(self._waiting)

    async def _fly(self, previous: asyncio.Task[T] | None) -> T:
        if previous is not None:
            await asyncio.wait([previous])
        self._flying, self._waiting = self._waiting, None
        return await self._request()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark a failure as seen: the callers that waited for it may all have given up."""
    if not task.cancelled():
        task.exception()
