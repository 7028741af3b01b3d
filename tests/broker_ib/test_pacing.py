"""The budget of messages: none against a paper gateway, orders before data against a real one."""

from __future__ import annotations

import asyncio

import pytest

from broker.ib import pacing
from broker.ib.pacing import ORDER_RESERVE, REAL_LIMIT, Pacer

WINDOW = 0.05


class Clock:
    """A clock that tests set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "WINDOW", WINDOW)


async def _leaves_at_once(waiting: asyncio.Task[None]) -> bool:
    for _ in range(3):
        await asyncio.sleep(0)
    return waiting.done()


def _used(messages: int, clock: Clock) -> Pacer:
    pacer = Pacer(REAL_LIMIT, clock)
    for _ in range(messages):
        pacer.note(is_order=False)
    return pacer


async def test_a_paper_gateway_has_no_limit() -> None:
    pacer = Pacer(None, Clock())
    for _ in range(1000):
        await pacer.room_for_data()
        pacer.note(is_order=False)
    assert await _leaves_at_once(asyncio.create_task(pacer.room_for_orders(100)))


async def test_data_leaves_room_for_orders() -> None:
    pacer = _used(REAL_LIMIT - ORDER_RESERVE, Clock())
    data = asyncio.create_task(pacer.room_for_data())
    order = asyncio.create_task(pacer.room_for_orders(3))
    assert await _leaves_at_once(order)
    assert not data.done()
    data.cancel()


async def test_a_full_second_makes_orders_wait_and_then_go() -> None:
    clock = Clock()
    pacer = _used(REAL_LIMIT, clock)
    order = asyncio.create_task(pacer.room_for_orders(2))
    assert not await _leaves_at_once(order)
    clock.now = WINDOW
    await asyncio.wait_for(order, 5)


async def test_a_burst_larger_than_a_second_is_not_stuck() -> None:
    assert await _leaves_at_once(asyncio.create_task(Pacer(REAL_LIMIT, Clock()).room_for_orders(2 * REAL_LIMIT)))


async def test_data_waits_while_an_order_waits() -> None:
    clock = Clock()
    pacer = _used(30, clock)
    assert await _leaves_at_once(asyncio.create_task(pacer.room_for_data()))
    orders = asyncio.create_task(pacer.room_for_orders(20))
    assert not await _leaves_at_once(orders)
    data = asyncio.create_task(pacer.room_for_data())
    assert not await _leaves_at_once(data)
    clock.now = WINDOW
    await asyncio.wait_for(asyncio.gather(orders, data), 5)


def test_order_frames_are_counted_without_a_limit_too() -> None:
    pacer = Pacer(None, Clock())
    pacer.note(is_order=True)
    pacer.note(is_order=False)
    assert pacer.order_frames == 1
