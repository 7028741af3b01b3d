"""What is malformed is refused at the door by the name of its field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from broker import types
from broker.errors import OrderError, OrderInvalid
from broker.service import validate

NOW = datetime(2024, 1, 2, tzinfo=UTC)
SPY = types.Contract(
    con_id=1,
    symbol="SPY",
    sec_type="STK",
    exchange="SMART",
    primary_exchange="ARCA",
    currency="USD",
    long_name="",
    min_tick=Decimal("0.01"),
    lot_size=Decimal(1),
    time_zone="US/Eastern",
    liquid_hours=(),
    fetched_at=NOW,
)
ENTRY = types.OrderLeg("G-E", "entry", "BUY", Decimal(10), "LMT", "DAY", limit_price=Decimal(100))
STOP = types.OrderLeg("G-S", "stop", "SELL", Decimal(10), "STP", "GTC", stop_price=Decimal(90), parent_ref="G-E")
TARGET = types.OrderLeg("G-T", "target", "SELL", Decimal(10), "LMT", "GTC", limit_price=Decimal(120), parent_ref="G-E")
BRACKET = types.PlaceOrder("DU1", 1, (ENTRY, STOP, TARGET), reduces=False, deadline=NOW, intent_hash="")
EXIT = types.OrderLeg("G-X", "exit", "SELL", Decimal(10), "MKT", "DAY", oca_ref="G-S")


def place(*legs: types.OrderLeg, **changes: Any) -> types.PlaceOrder:
    return replace(BRACKET, legs=legs, **changes)


@pytest.mark.parametrize(
    "request_",
    [
        BRACKET,
        place(EXIT, reduces=True),
        place(replace(STOP, parent_ref=""), reduces=True),
        place(replace(ENTRY, order_type="MKT", limit_price=None), STOP, TARGET),
        place(
            replace(ENTRY, side="SELL"),
            replace(STOP, side="BUY", stop_price=Decimal(110)),
            replace(TARGET, side="BUY", limit_price=Decimal(80)),
        ),
        place(
            replace(ENTRY, order_ref="X" * 20), replace(STOP, parent_ref="X" * 20), replace(TARGET, parent_ref="X" * 20)
        ),
    ],
)
def test_sound_orders_pass(request_: types.PlaceOrder) -> None:
    validate.check_place(request_, SPY, NOW, NOW)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (place(), "legs"),
        (place(ENTRY), "legs"),
        (place(ENTRY, STOP), "legs"),
        (place(ENTRY, STOP, replace(STOP, order_ref="G-Z")), "legs"),
        (place(STOP, TARGET), "legs"),
        (place(ENTRY, ENTRY, TARGET), "legs.order_ref"),
        (replace(BRACKET, account=""), "account"),
        (replace(BRACKET, reduces=True), "reduces"),
        (place(replace(EXIT, order_ref="X" * 21)), "order_ref"),
        (place(replace(EXIT, order_ref="É")), "order_ref"),
        (place(replace(EXIT, order_ref="")), "order_ref"),
        (place(replace(EXIT, order_ref="A B")), "order_ref"),
        (place(replace(EXIT, quantity=Decimal(0))), "quantity"),
        (place(replace(EXIT, quantity=Decimal(-1))), "quantity"),
        (place(replace(EXIT, quantity=Decimal("NaN"))), "quantity"),
        (place(replace(EXIT, quantity=Decimal("Infinity"))), "quantity"),
        (place(replace(EXIT, limit_price=Decimal(1))), "limit_price"),
        (place(replace(EXIT, order_type="LMT")), "limit_price"),
        (place(replace(EXIT, order_type="LMT", limit_price=Decimal("NaN"))), "limit_price"),
        (place(replace(EXIT, order_type="LMT", limit_price=Decimal("sNaN"))), "limit_price"),
        (place(replace(EXIT, order_type="LMT", limit_price=Decimal(0))), "limit_price"),
        (place(replace(EXIT, order_type="LMT", limit_price=Decimal("1.005"))), "limit_price"),
        (place(replace(EXIT, order_type="STP")), "stop_price"),
        (place(ENTRY, replace(STOP, parent_ref=""), TARGET), "parent_ref"),
        (place(ENTRY, replace(STOP, side="BUY"), TARGET), "side"),
        (place(ENTRY, replace(STOP, quantity=Decimal(9)), TARGET), "quantity"),
        (place(ENTRY, replace(STOP, stop_price=Decimal(100)), TARGET), "stop_price"),
        (place(ENTRY, replace(STOP, stop_price=Decimal(130)), TARGET), "stop_price"),
        (place(ENTRY, STOP, replace(TARGET, limit_price=Decimal(95))), "stop_price"),
        (place(replace(ENTRY, parent_ref="G-S"), STOP, TARGET), "parent_ref"),
        (
            place(ENTRY, replace(STOP, order_type="MKT", stop_price=None), TARGET),
            "order_type",
        ),
    ],
)
def test_malformed_orders_are_refused_by_their_field(request_: types.PlaceOrder, field: str) -> None:
    with pytest.raises(OrderInvalid) as refused:
        validate.check_place(request_, SPY, NOW, NOW)
    assert refused.value.details["field"] == field


def test_nothing_passes_its_deadline() -> None:
    with pytest.raises(OrderError) as refused:
        validate.check_place(BRACKET, SPY, NOW + timedelta(microseconds=1), NOW)
    assert refused.value.reason == "LATE"
