"""What-if orders: margins and commission of an order that is never placed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from broker import types
from broker.errors import BrokerUnavailable, OrderRejected
from broker.ib import mapping, order_terms, requests
from broker.ib.connection import Connection, RequestError
from broker.ib.contracts import ib_contract

if TYPE_CHECKING:
    from broker.ib.reads import Asking

MARGIN = 0.5  # seconds of the caller's time-out that are kept for the way back


async def preview(asking: Asking, request: types.PreviewOrder) -> types.Preview:
    """What one leg would cost, by itself: neither its parent nor its group is there to be named.

    TWS may warn first, without margins: that is the answer only where no other comes in time. Raises OrderRejected
    with the broker's words where it would refuse the order.
    """
    connection = asking.connection
    order = order_terms.new(replace(request.leg, parent_ref="", oca_ref="", oca_group=""), request.account)
    order.whatIf = order.transmit = True
    contract = ib_contract(asking.contract(request.con_id))
    sent: list[int] = []

    def send(request_id: int) -> None:
        sent.append(request_id)
        write_what_if(connection, request_id, contract, order)

    warned = connection.wrapper.warned_previews
    try:
        async with asyncio.timeout(max(asking.until - MARGIN - time.monotonic(), 0)):
            state = await requests.answer(connection, send)
    except RequestError as error:
        problem = f"The broker would refuse this order: {error.message}"
        raise OrderRejected(problem, details={"broker_code": error.code}) from error
    except TimeoutError as error:
        state = next((warned[request_id] for request_id in sent if request_id in warned), None)
        if state is None:
            raise BrokerUnavailable("the broker did not answer the what-if order") from error
    finally:
        for request_id in sent:
            warned.pop(request_id, None)
            connection.wrapper.forget(request_id)
    return from_state(request.con_id, state, asking.session.known_now())


def write_what_if(connection: Connection, request_id: int, contract: Any, order: Any) -> None:
    """Write the frame. Raises RuntimeError, before the first byte, for an order that TWS would really place."""
    if order.whatIf is not True or order.transmit is not True:
        raise RuntimeError("a preview may only ever write a what-if order")
    connection.client.placeOrder(request_id, contract, order)


def from_state(con_id: int, state: Any, now: datetime) -> types.Preview:
    """The broker's answer; None for each number that it left unset."""
    amount = mapping.number
    return types.Preview(
        con_id=con_id,
        init_margin_before=amount(state.initMarginBefore),
        init_margin_change=amount(state.initMarginChange),
        init_margin_after=amount(state.initMarginAfter),
        maint_margin_before=amount(state.maintMarginBefore),
        maint_margin_change=amount(state.maintMarginChange),
        maint_margin_after=amount(state.maintMarginAfter),
        equity_before=amount(state.equityWithLoanBefore),
        equity_change=amount(state.equityWithLoanChange),
        equity_after=amount(state.equityWithLoanAfter),
        commission=amount(state.commission),
        min_commission=amount(state.minCommission),
        max_commission=amount(state.maxCommission),
        commission_currency=state.commissionCurrency,
        warning=state.warningText,
        time=now,
    )
