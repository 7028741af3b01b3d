"""Numbers of the wire as Decimals: unset and NaN are None, prices lie on the tick grid."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from broker.ib import mapping
from broker.ib.library import ib_insync

UNSET = ib_insync.util.UNSET_DOUBLE


@pytest.mark.parametrize(
    "value", [None, "", UNSET, "1.7976931348623157E308", math.nan, "NaN", math.inf, -math.inf, "many", -UNSET]
)
def test_no_number(value: float | str | None) -> None:
    assert mapping.number(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        (100.0, "100"),
        ("100.50", "100.5"),
        (0.0, "0"),
        (-12.25, "-12.25"),
        (1e22, "10000000000000000000000"),
        ("1E+3", "1000"),
        (0.00001, "0.00001"),
    ],
)
def test_a_number_is_what_the_broker_wrote(value: float | str, expected: str) -> None:
    number = mapping.number(value)
    assert number == Decimal(expected)
    assert number is not None
    assert format(number, "f") == expected


def test_a_price_is_positive_and_on_the_grid() -> None:
    assert mapping.price(-1.0) is None
    assert mapping.price(0.0) is None
    assert mapping.price(101.3449999, Decimal("0.01")) == Decimal("101.34")
    assert mapping.price(101.37, Decimal("0.05")) == Decimal("101.35")
    assert mapping.price(101.3449999) == Decimal("101.3449999")


def test_a_size_may_be_zero_but_not_negative() -> None:
    assert mapping.size(0.0) == 0
    assert mapping.size(-1.0) is None
    assert mapping.size(math.nan) is None


def test_unset_ids_are_zero() -> None:
    assert mapping.integer(2147483647) == 0
    assert mapping.integer(9223372036854775807) == 0
    assert mapping.integer(42) == 42


def test_times_are_utc_whatever_the_zone() -> None:
    moment = datetime(2019, 6, 3, 16, 0, tzinfo=timezone(timedelta(hours=-4)))
    assert mapping.utc(moment) == datetime(2019, 6, 3, 20, 0, tzinfo=UTC)
    assert mapping.utc(datetime(2019, 6, 3, 20, 0)) == datetime(2019, 6, 3, 20, 0, tzinfo=UTC)  # noqa: DTZ001


def test_a_commission_without_a_profit_has_none() -> None:
    report = ib_insync.CommissionReport("e1", 1.0, "USD", UNSET, 0.0, 0)
    assert mapping.commission_report(report, None, now=datetime.now(UTC)).realized_pnl is None


def test_a_commission_without_an_amount_is_no_report() -> None:
    report = ib_insync.CommissionReport("e1", UNSET, "USD", 0.0, 0.0, 0)
    with pytest.raises(ValueError, match="e1"):
        mapping.commission_report(report, None, now=datetime.now(UTC))


def test_a_completed_order_as_tws_tells_it() -> None:
    """TWS gives a filled order the quantity 0, no order id, no client, and an unset parent."""
    order = ib_insync.Order(
        action="BUY",
        totalQuantity=0.0,
        filledQuantity=100.0,
        orderType="LMT",
        lmtPrice=50.25,
        auxPrice=0.0,
        permId=77,
        parentPermId=9223372036854775807,
        orderRef="R-E",
        account="DU1",
    )
    trade = ib_insync.Trade(contract=ib_insync.Contract(conId=1, symbol="XYZ"), order=order)
    state = ib_insync.OrderState(status="Filled", completedStatus="Filled Size: 100")
    report = mapping.completed_report(trade, state, tick=None, now=datetime.now(UTC))
    assert (report.quantity, report.filled, report.remaining) == (100, 100, 0)
    assert (report.order_ref, report.perm_id, report.parent_perm_id) == ("R-E", 77, 0)
    assert (report.limit_price, report.stop_price) == (Decimal("50.25"), None)
    assert report.completed
    assert report.detail == "Filled Size: 100"
