"""Sizing: each cap sets the quantity where it is the tightest; what is unknown sizes to nothing; whole lots only."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.builders import D
from trading.models import RiskProfile
from trading.risk.sizing import Room, Size, size_entry

WIDE: dict[str, Any] = {
    "risk_per_trade": D("0.1"),
    "max_position_fraction": D(10),
    "max_exposure_fraction": D(10),
    "max_order_value": D(10_000_000),
    "max_order_quantity": D(1_000_000),
}


def sized(
    room: dict[str, Any] | None = None, *, limit: str = "100", stop: str = "95", lot: str = "1", **caps: Any
) -> Size:
    given_room: dict[str, Any] = {
        "equity": D(100_000), "available_funds": D(10_000_000), "exposure_total": D(0), "exposure_instrument": D(0)
    }  # fmt: skip
    limits = RiskProfile(name="test", **(WIDE | caps))
    return size_entry(limit=D(limit), stop=D(stop), lot=D(lot), room=Room(**(given_room | (room or {}))), limits=limits)


@pytest.mark.parametrize(
    ("cap", "caps", "room", "quantity"),
    [
        ("risk_per_trade", {"risk_per_trade": D("0.01")}, {}, 200),
        ("max_position_fraction", {"max_position_fraction": D("0.2")}, {"exposure_instrument": D(5_000)}, 150),
        ("max_exposure_fraction", {"max_exposure_fraction": D(1)}, {"exposure_total": D(95_000)}, 50),
        ("max_order_value", {"max_order_value": D(12_345)}, {}, 123),
        ("max_order_quantity", {"max_order_quantity": D(77)}, {}, 77),
        ("available_funds", {}, {"available_funds": D(9_999)}, 99),
    ],
)
def test_the_tightest_cap_sets_the_quantity(cap: str, caps: Any, room: Any, quantity: int) -> None:
    assert sized(room, **caps) == Size(D(quantity), cap)


@pytest.mark.parametrize("name", ["equity", "available_funds"])
@pytest.mark.parametrize("value", [None, Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])
def test_what_is_unknown_sizes_to_nothing(name: str, value: Decimal | None) -> None:
    assert sized({name: value}) == Size(D(0), "unknown")


@pytest.mark.parametrize(
    "prices",
    [
        {"limit": "100", "stop": "100"},
        {"limit": "0", "stop": "95"},
        {"limit": "-1", "stop": "95"},
        {"limit": "NaN", "stop": "95"},
        {"limit": "100", "stop": "NaN"},
        {"limit": "100", "stop": "Infinity"},
    ],
)
def test_senseless_prices_size_to_nothing(prices: Any) -> None:
    assert sized(**prices) == Size(D(0), "unknown")


@pytest.mark.parametrize("equity", ["0", "-1"])
def test_no_equity_sizes_to_nothing(equity: str) -> None:
    assert sized({"equity": D(equity)}).quantity == 0


@pytest.mark.parametrize(
    "room", [{"exposure_total": D(10_000_000)}, {"exposure_instrument": D(10_000_000)}, {"available_funds": D(-5)}]
)
def test_no_room_is_zero_never_negative(room: Any) -> None:
    assert sized(room).quantity == 0


def test_a_short_is_sized_by_the_same_distance() -> None:
    assert sized(limit="100", stop="105", risk_per_trade=D("0.01")).quantity == 200


def test_lots_are_whole() -> None:
    assert sized(lot="100", max_order_quantity=D(299)).quantity == 200
    assert sized(lot="100", max_order_quantity=D(99)).quantity == 0


@given(
    equity=st.decimals(1, 10**7, places=2),
    funds=st.decimals(0, 10**7, places=2),
    held=st.decimals(0, 10**6, places=2),
    stop=st.decimals("0.01", 200, places=2),
    lot=st.sampled_from(["1", "10", "100", "0.001"]),
)
def test_no_cap_is_ever_exceeded(equity: Decimal, funds: Decimal, held: Decimal, stop: Decimal, lot: str) -> None:
    caps: dict[str, Any] = {
        "risk_per_trade": D("0.01"), "max_position_fraction": D("0.2"), "max_exposure_fraction": D(1),
        "max_order_value": D(250_000), "max_order_quantity": D(10_000),
    }  # fmt: skip
    room = {"equity": equity, "available_funds": funds, "exposure_total": held, "exposure_instrument": held}
    quantity = sized(room, stop=str(stop), lot=lot, **caps).quantity
    assert quantity >= 0
    assert quantity % D(lot) == 0
    if quantity:
        value = quantity * 100
        assert quantity * abs(100 - stop) <= equity * D("0.01")
        assert held + value <= equity * D("0.2")
        assert value <= min(funds, D(250_000))
        assert quantity <= 10_000
