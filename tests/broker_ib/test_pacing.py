"""The limits of a real TWS: none against a paper gateway, never exceeded against a real one, orders first."""

from __future__ import annotations

import asyncio
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BrokerUnavailable, MarketDataError
from broker.ib import budgets
from broker.ib.budgets import (
    HISTORY,
    HISTORY_WINDOW,
    MESSAGES,
    ORDER_RESERVE,
    SAME_REQUEST,
    SECOND,
    SERIES,
    SERIES_WINDOW,
    STRICT_FOR,
    History,
    HistoryLimits,
    MessageBudget,
)
from broker.ib.fairness import CALLER, DEADLINE
from broker.ib.pacing import Pacer

SHORT = 0.05


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pacer(clock: Clock) -> Pacer:
    return Pacer("real", clock)


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def _leaves_at_once(waiting: asyncio.Task[None]) -> bool:
    await _turns()
    return waiting.done()


def _data(pacer: Pacer, caller: str = "") -> asyncio.Task[None]:
    async def ask() -> None:
        CALLER.set(caller)
        await pacer.room_for_data()
        pacer.note(is_order=False)

    return asyncio.create_task(ask())


def _sent(pacer: Pacer, messages: int) -> None:
    for _ in range(messages):
        pacer.note(is_order=False)


def small(identity: object = "AAPL 1 D", series: str = "AAPL", *, weight: int = 1, seconds: int = 5) -> History:
    """A request of five-second bars."""
    return History(identity, series, seconds, weight)


# Messages


async def test_a_paper_gateway_has_no_limit(clock: Clock) -> None:
    pacer = Pacer("none", clock)
    for _ in range(1000):
        await pacer.room_for_data()
        pacer.note(is_order=False)
        async with pacer.history(small()):
            pass
    assert await _leaves_at_once(asyncio.create_task(pacer.room_for_orders(100)))
    assert (pacer.use().message_limit, pacer.use().history_limit) == (0, 0)


async def test_data_leaves_room_for_orders(pacer: Pacer) -> None:
    _sent(pacer, MESSAGES - ORDER_RESERVE)
    data = _data(pacer)
    assert await _leaves_at_once(asyncio.create_task(pacer.room_for_orders(3)))
    assert not data.done()
    data.cancel()


async def test_a_burst_larger_than_a_second_is_not_stuck(pacer: Pacer) -> None:
    assert await _leaves_at_once(asyncio.create_task(pacer.room_for_orders(2 * MESSAGES)))


async def test_orders_go_before_the_data_that_wait(pacer: Pacer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "SECOND", SHORT)
    _sent(pacer, MESSAGES)
    left: list[str] = []
    waiting = [_data(pacer) for _ in range(3)]
    for task in waiting:
        task.add_done_callback(lambda _: left.append("data"))
    order = asyncio.create_task(pacer.room_for_orders(2))
    order.add_done_callback(lambda _: left.append("order"))
    assert not await _leaves_at_once(order)
    assert pacer.use().waiting == 4
    clock.now += SECOND
    await asyncio.wait_for(asyncio.gather(order, *waiting), 45)
    assert left == ["order", "data", "data", "data"]


def test_order_frames_are_counted_without_a_limit_too(clock: Clock) -> None:
    pacer = Pacer("none", clock)
    pacer.note(is_order=True)
    pacer.note(is_order=False)
    assert pacer.order_frames == 1


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 30)), min_size=1, max_size=40))
def test_data_never_exceed_their_part_of_any_second(bursts: list[tuple[float, int]]) -> None:
    budget, now = MessageBudget(), 0.0
    left: deque[float] = deque()
    for pause, wanted in bursts:
        now += pause
        for _ in range(wanted):
            if budget.delay(now) > 0:
                break
            budget.take(now)
            budget.sent(now)
            left.append(now)
    for at in left:
        assert sum(at <= other < at + SECOND for other in left) <= MESSAGES - ORDER_RESERVE


def test_a_promise_that_is_not_used_is_not_lost_for_ever() -> None:
    budget = MessageBudget()
    for _ in range(MESSAGES - ORDER_RESERVE):
        budget.take(0.0)
    assert budget.delay(0.5) > 0
    assert budget.delay(SECOND) == 0


async def test_too_many_messages_halve_the_budget_for_a_while(pacer: Pacer, clock: Clock) -> None:
    pacer.refused(100, "Max rate of messages per second has been exceeded")
    assert (pacer.use().message_limit, pacer.use().violations) == (MESSAGES // 2, 1)
    pacer.refused(200, "No security definition")
    clock.now += budgets.HALVED_FOR
    assert (pacer.use().message_limit, pacer.use().violations) == (MESSAGES, 1)


# Histories


def test_the_same_history_waits_fifteen_seconds() -> None:
    limits = HistoryLimits()
    limits.take(small(), 0.0)
    assert limits.delay(small(), 1.0) == SAME_REQUEST - 1
    assert limits.delay(small("AAPL 2 D"), 1.0) == 0


def test_the_sixth_history_of_a_series_waits_two_seconds() -> None:
    limits = HistoryLimits()
    for number in range(SERIES):
        assert limits.delay(small(number), 0.0) == 0
        limits.take(small(number), 0.0)
    assert limits.delay(small("another"), 0.5) == SERIES_WINDOW - 0.5
    assert limits.delay(small("another", "IBM"), 0.5) == 0


def test_bid_and_ask_count_twice() -> None:
    limits = HistoryLimits()
    for number in range(HISTORY // 2):
        limits.take(small(number, f"series {number}", weight=2), float(number))
    assert limits.delay(small("one more", "other"), 100.0) == HISTORY_WINDOW - 100


def test_longer_bars_are_held_back_only_after_a_complaint() -> None:
    limits, minutes = HistoryLimits(), small(seconds=60)
    for _ in range(3 * HISTORY):
        assert limits.delay(minutes, 0.0) == 0
        limits.take(minutes, 0.0)
        limits.open -= 1
    limits.violated(0.0)
    assert limits.delay(minutes, 1.0) > HISTORY_WINDOW - 5
    assert limits.delay(minutes, STRICT_FOR) == 0


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 5), st.integers(0, 2), st.sampled_from([1, 2])), max_size=120)
)
def test_histories_never_exceed_the_limits(asked: list[tuple[float, int, int, int]]) -> None:
    limits, now = HistoryLimits(), 0.0
    left: list[tuple[float, History]] = []
    for pause, identity, series, weight in asked:
        request = small((identity, series), str(series), weight=weight)
        now += pause
        now += limits.delay(request, now)
        assert limits.delay(request, now) == pytest.approx(0, abs=1e-6)
        limits.take(request, now)
        limits.open -= 1
        left.append((now, request))
    for at, first in left:
        later = [(when, one) for when, one in left if at <= when]
        assert sum(one.weight for when, one in later if when < at + HISTORY_WINDOW - 1e-6) <= HISTORY
        same = [one for when, one in later if when < at + SAME_REQUEST - 1e-6 and one.identity == first.identity]
        assert len(same) == 1
        near = [one.weight for when, one in later if when < at + SERIES_WINDOW - 1e-6 and one.series == first.series]
        assert sum(near) <= SERIES


async def test_fifty_histories_may_be_open(pacer: Pacer) -> None:
    release = asyncio.Event()

    async def ask(number: int) -> None:
        async with pacer.history(small(number, str(number), seconds=86_400)):
            await release.wait()

    tasks = [asyncio.create_task(ask(number)) for number in range(budgets.OPEN_HISTORIES + 1)]
    await _turns()
    assert pacer.use().waiting == 1
    tasks[0].cancel()
    await _turns()
    assert pacer.use().waiting == 0
    release.set()
    await asyncio.gather(*tasks[1:])
    assert await _leaves_at_once(asyncio.create_task(ask(0)))


async def test_a_wait_beyond_the_deadline_is_told_at_once(pacer: Pacer, clock: Clock) -> None:
    async with pacer.history(small()):
        pass
    DEADLINE.set(clock.now + 5)
    with pytest.raises(MarketDataError) as caught:
        async with pacer.history(small()):
            pass
    assert (caught.value.reason, caught.value.details) == ("PACED", {"wait_s": SAME_REQUEST})
    _sent(pacer, MESSAGES)
    DEADLINE.set(clock.now + SECOND / 2)
    with pytest.raises(BrokerUnavailable) as unavailable:
        await pacer.room_for_data()
    assert unavailable.value.reason == "PACED"


async def test_one_caller_s_hundred_histories_do_not_starve_another_s_one(
    pacer: Pacer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget of ten minutes is used up; as it frees, callers are served in turn."""
    served: list[str] = []

    async def ask(caller: str, number: int) -> None:
        CALLER.set(caller)
        async with pacer.history(small((caller, number), f"{caller} {number}")):
            served.append(caller)

    used = [asyncio.create_task(ask("before", number)) for number in range(HISTORY)]
    await asyncio.gather(*used)
    many = [asyncio.create_task(ask("greedy", number)) for number in range(100)]
    await _turns()
    one = asyncio.create_task(ask("modest", 0))
    await _turns()
    assert len(served) == HISTORY
    clock.now += HISTORY_WINDOW
    pacer._serve()
    await one
    assert served[HISTORY:].index("modest") <= 1
    for task in many:
        task.cancel()


@given(st.integers(0, 2**32 - 1))
def test_every_caller_is_served_within_a_round(seed: int) -> None:
    from broker.ib.fairness import Ticket, Turns

    class OneASecond:
        """Room for one a second."""

        free_at = 0.0

        def delay(self, now: float) -> float:
            return max(self.free_at - now, 0.0)

        def take(self, now: float) -> None:
            self.free_at = now + 1

    draw, turns, budget = random.Random(seed), Turns(), OneASecond()
    served: list[str] = []
    for _ in range(60):
        caller = draw.choice(["greedy"] * 8 + ["modest", "rare"])
        turns.add(Ticket(caller, "lane", budget, lambda caller=caller: served.append(caller)))
    expected = turns.ahead_of("late", "lane")
    turns.add(Ticket("late", "lane", budget, lambda: served.append("late")))
    for second in range(61):
        turns.serve(float(second))
    assert len(served) == 61
    assert served.index("late") <= expected <= 3
