"""A cycle's orders while the gateway goes wrong: they end as the market has them, and nothing is sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest

from autotrader.core.audit.models import Event
from broker import types
from broker.service.local import LocalBroker
from tests.desk.conftest import Desk, build_strategy
from tests.support import eventually
from trading.models import Cycle, Fill, Order, Trade

pytestmark = pytest.mark.once


def look(desk: Desk) -> None:
    """Compare with the broker's book now."""
    cast("LocalBroker", desk.market.broker)._reconciler.wake()


def states(desk: Desk, cycle: Cycle) -> dict[str, str]:
    return {role: order.state for role, order in desk.orders(cycle).items()}


def test_orders_that_were_taken_and_never_acknowledged_are_adopted(desk: Desk) -> None:
    desk.market.gateway.fault("unanswered")
    cycle = desk.run(build_strategy("s", ["RISE"]))
    desk.market.gateway.heal()
    look(desk)
    eventually(lambda: set(states(desk, cycle).values()) == {"ACCEPTED"})
    assert desk.frames("placeOrder") == 3


def test_an_entry_that_filled_unseen_is_booked_and_protected(desk: Desk) -> None:
    cycle = desk.run(build_strategy("s", ["RISE"]))
    desk.market.gateway.fault("drop", kinds="fills+acks")
    desk.next_day()
    assert not Fill.objects.exists()
    desk.market.gateway.heal()
    look(desk)
    eventually(lambda: states(desk, cycle) == {"entry": "FILLED", "stop": "ACCEPTED", "target": "ACCEPTED"})
    assert Trade.objects.get().open_quantity == desk.orders(cycle)["entry"].quantity


def test_a_holding_that_no_fill_explains_is_on_record(desk: Desk) -> None:
    desk.run(build_strategy("s", ["RISE"]))
    desk.market.gateway.fault("drop", kinds="fills+listed.execDetails+listed.commissionReport")
    desk.next_day()

    def told() -> Event | None:
        look(desk)
        return Event.objects.filter(type="POSITION_MISMATCH").first()

    event = eventually(told)
    assert event is not None
    assert (event.account, event.old_state) == (desk.account, "0")


def test_a_stop_that_became_two_is_one_again_and_the_row_follows_it(desk: Desk) -> None:
    cycle = desk.run(build_strategy("s", ["RISE"]))
    desk.next_day()
    stop = desk.orders(cycle)["stop"]
    assert stop.stop_price is not None
    broker, gateway = desk.market.broker, desk.market.gateway
    gateway.fault("connectivity", on="placeOrder", orders="doubled")
    soon = datetime.now(UTC) + timedelta(minutes=5)
    price = stop.stop_price - Decimal("0.01")
    broker.modify(types.ModifyOrder(desk.account, stop.order_ref, 1, None, price, reduces=True, deadline=soon))
    eventually(lambda: not broker.status().ready)
    gateway.heal()

    def working() -> list[types.OrderReport]:
        look(desk)
        return [report for report in broker.open_orders() if report.order_ref == stop.order_ref]

    eventually(lambda: Event.objects.filter(type="ORDER_DOUBLED").exists() and len(working()) == 1)
    (left,) = working()
    broker.drain()
    stop.refresh_from_db()
    assert (stop.state, stop.perm_id) == ("ACCEPTED", left.perm_id)
    eventually(lambda: list(Order.objects.filter(role="external").values_list("state", flat=True)) == ["CANCELLED"])
