"""The door into the loop: time-outs that say whether the work began, and requests that are never older than asked."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator

import pytest

from broker.errors import BrokerUnavailable
from broker.ib.errors import NotBegun
from broker.ib.fairness import CALLER, DEADLINE
from broker.ib.loop import LoopThread, SingleFlight
from tests.support import PATIENCE_S, in_threads


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread("ib-test")
    made.start()
    yield made
    made.stop(PATIENCE_S)


async def _name() -> str:
    return threading.current_thread().name


async def _fail() -> None:
    raise TimeoutError("of the work itself")


def test_work_runs_in_the_thread(thread: LoopThread) -> None:
    assert thread.call(_name, PATIENCE_S) == "ib-test"
    assert set(in_threads([lambda: thread.call(_name, PATIENCE_S)] * 32, threads=8)) == {"ib-test"}


async def _who_and_until() -> tuple[str, float | None]:
    return CALLER.get(), DEADLINE.get()


def test_the_caller_and_its_deadline_travel_with_the_call(thread: LoopThread) -> None:
    before = time.monotonic()
    asked = contextvars.Context()
    asked.run(CALLER.set, "worker 7")
    named, until = asked.run(thread.call, _who_and_until, PATIENCE_S)
    assert named == "worker 7"
    assert until is not None
    assert before + PATIENCE_S <= until <= time.monotonic() + PATIENCE_S
    unnamed = in_threads([lambda: thread.call(_who_and_until, PATIENCE_S)[0]] * 2, threads=2)
    assert "" not in unnamed, "callers without a name are told apart by their threads"


async def test_a_shared_request_has_no_caller_s_deadline() -> None:
    DEADLINE.set(0.0)
    CALLER.set("impatient")
    assert await SingleFlight(_who_and_until).ask() == ("", None)


def test_an_error_of_the_work_arrives_as_it_is(thread: LoopThread) -> None:
    with pytest.raises(TimeoutError, match="of the work itself"):
        thread.call(_fail, PATIENCE_S)


def test_work_that_takes_too_long_is_unavailable_and_ends(thread: LoopThread) -> None:
    ended = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    with pytest.raises(BrokerUnavailable) as caught:
        thread.call(hang, 0.05)
    assert not isinstance(caught.value, NotBegun)
    assert ended.wait(PATIENCE_S)


def test_work_that_never_began_is_told_apart_and_never_begins(thread: LoopThread) -> None:
    release, begun, entered = threading.Event(), threading.Event(), threading.Event()

    async def block() -> None:
        entered.set()
        release.wait(PATIENCE_S)

    async def note() -> None:
        begun.set()

    blocker = threading.Thread(target=lambda: thread.call(block, 2 * PATIENCE_S))
    blocker.start()
    assert entered.wait(PATIENCE_S)
    with pytest.raises(NotBegun):
        thread.call(note, 0.05)
    release.set()
    blocker.join(PATIENCE_S)
    thread.call(_name, PATIENCE_S)
    assert not begun.is_set()


def test_a_stopped_thread_refuses(thread: LoopThread) -> None:
    thread.stop(PATIENCE_S)
    thread.stop(PATIENCE_S)
    with pytest.raises(NotBegun):
        thread.call(_name, PATIENCE_S)


def test_stop_before_start() -> None:
    made = LoopThread("ib-never")
    made.stop(PATIENCE_S)
    with pytest.raises(NotBegun):
        made.call(_name, PATIENCE_S)


def test_calls_in_flight_end_with_the_thread(thread: LoopThread) -> None:
    begun = threading.Event()
    caught: list[BaseException] = []

    async def hang() -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            thread.call(hang, 30)
        except BrokerUnavailable as error:
            caught.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert begun.wait(PATIENCE_S)
    thread.stop(PATIENCE_S)
    caller.join(PATIENCE_S)
    assert len(caught) == 1


class _Line:
    """Requests of one kind: counts what was sent, answers when told."""

    def __init__(self) -> None:
        self.open: list[asyncio.Future[int]] = []

    async def request(self) -> int:
        self.open.append(asyncio.get_running_loop().create_future())
        return await self.open[-1]


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_callers_of_the_same_moment_share_one_request() -> None:
    line = _Line()
    flight = SingleFlight(line.request)
    callers = [asyncio.create_task(flight.ask()) for _ in range(3)]
    await _turns()
    assert len(line.open) == 1
    line.open[0].set_result(1)
    assert await asyncio.gather(*callers) == [1, 1, 1]


async def test_a_later_caller_gets_a_later_answer() -> None:
    line = _Line()
    flight = SingleFlight(line.request)
    first = asyncio.create_task(flight.ask())
    await _turns()
    later = [asyncio.create_task(flight.ask()) for _ in range(2)]
    await _turns()
    assert len(line.open) == 1
    line.open[0].set_result(1)
    assert await first == 1
    await _turns()
    assert len(line.open) == 2
    line.open[1].set_result(2)
    assert await asyncio.gather(*later) == [2, 2]


async def test_a_failure_reaches_its_callers_and_not_the_next_ones() -> None:
    line = _Line()
    flight = SingleFlight(line.request)
    first = asyncio.create_task(flight.ask())
    await _turns()
    line.open[0].set_exception(ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await first
    second = asyncio.create_task(flight.ask())
    await _turns()
    line.open[1].set_result(2)
    assert await second == 2


async def test_a_caller_that_gives_up_does_not_end_the_request() -> None:
    line = _Line()
    flight = SingleFlight(line.request)
    impatient, patient = (asyncio.create_task(flight.ask()) for _ in range(2))
    await _turns()
    impatient.cancel()
    await _turns()
    line.open[0].set_result(1)
    assert await patient == 1
