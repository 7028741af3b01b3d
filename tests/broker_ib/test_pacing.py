"""The budget of messages: none against a paper gateway, orders before data against a real one."""

from __future__ import annotations

import asyncio
import time

from broker.ib.pacing import ORDER_RESERVE, REAL_LIMIT, Pacer


async def _leaves_at_once(waiting: asyncio.Task[None]) -> bool:
    for _ in range(3):
        await asyncio.sleep(0)
    return waiting.done()


def _filled(messages: int) -> Pacer:
    pacer = Pacer(REAL_LIMIT, time.monotonic)
    for _ in range(messages):
        pacer.note(is_order=False)
    return pacer


async def test_a_paper_gateway_has_no_limit() -> None:
    pacer = Pacer(None, time.monotonic)
    for _ in range(1000):
        await pacer.room_for_data()
        pacer.note(is_order=False)
    await pacer.room_for_orders(100)


async def test_data_leaves_room_for_orders() -> None:
    pacer = _filled(REAL_LIMIT - ORDER_RESERVE)
    data = asyncio.create_task(pacer.room_for_data())
    order = asyncio.create_task(pacer.room_for_orders(3))
    assert await _leaves_at_once(order)
    assert not data.done()
    data.cancel()


async def test_a_full_second_makes_orders_wait_and_then_go() -> None:
    now = [0.0]
    pacer = Pacer(4, lambda: now[0])
    for _ in range(4):
        pacer.note(is_order=True)
    order = asyncio.create_task(pacer.room_for_orders(2))
    assert not await _leaves_at_once(order)
    now[0] = 1.0
    await asyncio.wait_for(order, 5)
    assert pacer.order_frames == 4


async def test_a_burst_larger_than_a_second_is_not_stuck() -> None:
    await asyncio.wait_for(Pacer(4, time.monotonic).room_for_orders(9), 5)


async def test_data_waits_while_an_order_waits() -> None:
    now = [0.0]
    pacer = Pacer(REAL_LIMIT, lambda: now[0])
    for _ in range(30):
        pacer.note(is_order=False)
    assert await _leaves_at_once(asyncio.create_task(pacer.room_for_data()))
    orders = asyncio.create_task(pacer.room_for_orders(20))
    assert not await _leaves_at_once(orders)
    data = asyncio.create_task(pacer.room_for_data())
    assert not await _leaves_at_once(data)
    now[0] = 1.0
    await asyncio.wait_for(asyncio.gather(orders, data), 5)
