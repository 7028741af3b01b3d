"""The broker's book of orders and fills, asked anew; never older than the question."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autotrader.core.ops.crashpoints import crashpoint
from broker import types
from broker.errors import OrderInvalid
from broker.ib import mapping
from broker.ib.connection import Connection

if TYPE_CHECKING:
    from broker.ib.reads import Asking

COMMISSION_DELAY = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Book:
    """All that the broker knows of orders, asked anew: working ones of all clients, finished ones, today's fills."""

    open_orders: tuple[types.OrderReport, ...]
    completed_orders: tuple[types.OrderReport, ...]
    executions: tuple[types.ExecutionReport, ...]


async def book(connection: Connection) -> Book:
    """In this order, so that an order which ends meanwhile is seen at least once."""
    working = await _working(connection)
    crashpoint("look_open_orders")
    finished = await _finished(connection)
    crashpoint("look_completed")
    fills = await _fills(connection)
    crashpoint("look_executions")
    return Book(working, finished, fills)


async def open_orders(asking: Asking, request: types.Nothing) -> tuple[types.OrderReport, ...]:
    """Every working order of every client."""
    return await _working(asking.connection)


async def completed_orders(asking: Asking, request: types.Nothing) -> tuple[types.OrderReport, ...]:
    """Finished orders that the broker still remembers, at the average price of today's fills."""
    finished = await _finished(asking.connection)
    wrapper = asking.connection.wrapper
    fills = [wrapper.execution_report(fill) for fill in wrapper.fills.values()]
    return tuple(mapping.with_average(report, fills) for report in finished)


async def order(asking: Asking, request: types.OrderRef) -> types.OrderReport:
    """One order by our reference. Raises OrderInvalid where no answer of the broker knows it."""
    found = await book(asking.connection)
    listed = [
        report
        for report in (*found.open_orders, *found.completed_orders)
        if (report.order_ref, report.account) == (request.order_ref, request.account)
    ]
    fills = [
        fill for fill in found.executions if (fill.order_ref, fill.account) == (request.order_ref, request.account)
    ]
    if listed:
        return mapping.with_average(listed[0], found.executions)
    if fills:
        return mapping.report_of_fills(fills)
    raise OrderInvalid(f"{request.order_ref} was never seen by the broker.", details={"field": "order_ref"})


async def executions(asking: Asking, request: types.Nothing) -> tuple[types.ExecutionReport, ...]:
    """Today's fills of all clients with their commissions."""
    return await _fills(asking.connection)


async def _working(connection: Connection) -> tuple[types.OrderReport, ...]:
    return tuple(connection.wrapper.report_of(trade) for trade in await connection.open_orders.ask())


async def _finished(connection: Connection) -> tuple[types.OrderReport, ...]:
    return tuple(connection.wrapper.completed_report(trade) for trade in await connection.completed_orders.ask())


async def _fills(connection: Connection) -> tuple[types.ExecutionReport, ...]:
    """Asked once more where a cost is missing: TWS tells it a moment after the fill."""
    fills = await connection.executions()
    if any(fill.execution.execId not in connection.wrapper.commissions for fill in fills):
        await asyncio.sleep(COMMISSION_DELAY)
        fills = await connection.executions()
    return tuple(connection.wrapper.execution_report(fill) for fill in fills)
