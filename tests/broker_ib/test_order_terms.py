"""Every order type with all its fields, there and back; what the broker leaves unset is no number."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import types
from broker.errors import OrderInvalid
from broker.ib import account, mapping, order_terms, preview
from broker.ib.library import ib_insync

NOW = datetime(2024, 1, 2, tzinfo=UTC)
UNSET = ib_insync.util.UNSET_DOUBLE
LEG = types.OrderLeg("G1-X", "exit", "SELL", Decimal(10), "MKT", "DAY")
LIMIT, STOP, TRAIL = Decimal("100.25"), Decimal("95.5"), Decimal("2.5")
PRICES: dict[str, dict[str, Decimal]] = {
    "MKT": {},
    "MOC": {},
    "LMT": {"limit_price": LIMIT},
    "LOC": {"limit_price": LIMIT},
    "STP": {"stop_price": STOP},
    "STP LMT": {"limit_price": LIMIT, "stop_price": STOP},
    "TRAIL": {"trail_amount": TRAIL},
}
EACH = list(PRICES.items())
PERCENT = {"trail_percent": TRAIL, "stop_price": STOP}
EVERY_NUMBER = st.one_of(st.floats(), st.sampled_from([UNSET, -UNSET, -1.0, 0.0, math.nan, math.inf, 1e-320]))


def sent(kind: str, prices: dict[str, Decimal], **more: Any) -> Any:
    """A leg of the type as the library sends it."""
    return order_terms.new(replace(LEG, order_type=kind, **prices, **more), "DU1")  # type: ignore[arg-type]


def reported(order: Any) -> types.OrderReport:
    """What the broker says of an order that it echoes."""
    trade = ib_insync.Trade(contract=ib_insync.Contract(conId=1, symbol="XYZ"), order=order)
    return mapping.order_report(
        trade,
        order=order,
        status="Submitted",
        parent_perm_id=0,
        filled=Decimal(0),
        remaining=Decimal(10),
        tick=None,
        now=NOW,
        client_id=1,
    )


@pytest.mark.parametrize(("kind", "prices"), [*EACH, ("TRAIL", PERCENT)])
def test_a_type_comes_back_with_its_own_prices_and_no_other(kind: str, prices: dict[str, Decimal]) -> None:
    report = reported(sent(kind, prices))
    names = ("limit_price", "stop_price", "trail_amount", "trail_percent")
    assert report.order_type == kind
    assert {name: value for name in names if (value := getattr(report, name)) is not None} == prices


@pytest.mark.parametrize(("kind", "prices"), EACH)
def test_zeros_that_tws_fills_in_are_no_prices(kind: str, prices: dict[str, Decimal]) -> None:
    order = sent(kind, prices)
    for name in ("lmtPrice", "auxPrice", "trailStopPrice", "trailingPercent"):
        if getattr(order, name) == UNSET:
            setattr(order, name, 0.0)
    report = reported(order)
    assert (report.limit_price, report.trail_amount) == (prices.get("limit_price"), prices.get("trail_amount"))
    assert report.stop_price == prices.get("stop_price")


@pytest.mark.parametrize(("kind", "prices"), [*EACH, ("TRAIL", PERCENT)])
def test_a_type_with_a_price_too_many_or_too_few_is_not_sent(kind: str, prices: dict[str, Decimal]) -> None:
    for field in ("limit_price", "stop_price", "trail_amount", "trail_percent"):
        if (kind, field) == ("TRAIL", "stop_price"):  # may be given or not
            continue
        wrong = {name: value for name, value in prices.items() if name != field}
        if field not in prices:
            wrong[field] = LIMIT
        with pytest.raises(OrderInvalid):
            sent(kind, wrong)


def test_a_good_till_time_leaves_in_utc() -> None:
    new_york = timezone(timedelta(hours=-5))
    order = sent("LMT", PRICES["LMT"], tif="GTD", good_till=datetime(2024, 1, 2, 20, 30, tzinfo=new_york))
    assert order.goodTillDate == "20240103-01:30:00"
    assert reported(order).good_till == "20240103-01:30:00"
    assert sent("LMT", PRICES["LMT"]).goodTillDate == ""


def test_outside_regular_hours_is_said_and_read() -> None:
    assert reported(sent("LMT", PRICES["LMT"], outside_rth=True)).outside_rth
    assert not reported(sent("LMT", PRICES["LMT"])).outside_rth


@pytest.mark.parametrize(
    ("client_id", "order_ref", "expected"),
    [(1, "G1-X", "ours"), (2, "G1-X", "other"), (0, "G1-X", "other"), (0, "", "manual")],
)
def test_orders_are_told_apart_by_who_sent_them(client_id: int, order_ref: str, expected: str) -> None:
    order = sent("MKT", {})
    order.clientId, order.orderRef = client_id, order_ref
    assert reported(order).origin == expected


# Sent again


@pytest.mark.parametrize(("kind", "prices"), [*EACH, ("TRAIL", PERCENT)])
def test_an_order_is_sent_again_with_its_prices_and_none_that_tws_filled_in(
    kind: str, prices: dict[str, Decimal]
) -> None:
    order = sent(kind, prices)
    order.orderId, order.volatility, order.trailStopPrice = 7, 0.0, order.trailStopPrice
    if kind != "TRAIL":
        order.trailStopPrice = 97.5  # TWS writes one on plain stops, too
    again = order_terms.again(order)
    assert (again.orderId, again.transmit, again.volatility) == (7, True, UNSET)
    assert replace(reported(again), time=NOW) == reported(order)
    if kind != "TRAIL":
        assert again.trailStopPrice == UNSET


def test_a_trailing_percentage_is_not_sent_again_as_an_amount() -> None:
    order = sent("TRAIL", {"trail_percent": TRAIL})
    order.auxPrice, order.trailStopPrice = 3.1, 97.5  # what the percentage is in price, and where the stop stands
    again = order_terms.again(order)
    assert (again.auxPrice, again.trailingPercent, again.trailStopPrice) == (UNSET, 2.5, 97.5)


def test_a_change_sets_what_the_type_has() -> None:
    request = types.ModifyOrder("DU1", "G1-X", 1, None, None, reduces=True, deadline=NOW)
    cases: list[tuple[str, dict[str, Decimal], dict[str, Any], dict[str, float]]] = [
        ("LMT", PRICES["LMT"], {"limit_price": Decimal(99)}, {"lmtPrice": 99.0}),
        ("STP", PRICES["STP"], {"stop_price": Decimal(99)}, {"auxPrice": 99.0}),
        (
            "STP LMT",
            PRICES["STP LMT"],
            {"stop_price": Decimal(99), "quantity": Decimal(5)},
            {"auxPrice": 99.0, "totalQuantity": 5.0},
        ),
        (
            "TRAIL",
            PRICES["TRAIL"],
            {"trail_amount": Decimal(3), "stop_price": Decimal(99)},
            {"auxPrice": 3.0, "trailStopPrice": 99.0},
        ),
        ("TRAIL", PERCENT, {"trail_percent": Decimal(3)}, {"trailingPercent": 3.0}),
        ("MKT", {}, {"quantity": Decimal(5)}, {"totalQuantity": 5.0}),
    ]
    for kind, prices, changes, expected in cases:
        assert order_terms.changes(sent(kind, prices), replace(request, **changes)) == expected
    for kind, prices, field in (
        ("MKT", {}, "limit_price"),
        ("LMT", PRICES["LMT"], "stop_price"),
        ("TRAIL", PERCENT, "trail_amount"),
        ("TRAIL", PRICES["TRAIL"], "trail_percent"),
    ):
        with pytest.raises(OrderInvalid) as refused:
            order_terms.changes(sent(kind, prices), replace(request, **{field: LIMIT}))
        assert refused.value.details["field"] == field


# No number that the broker did not mean


@given(EVERY_NUMBER)
def test_a_number_is_finite_or_none(value: float) -> None:
    for form in (value, str(value), repr(value).upper()):
        found = mapping.number(form)
        assert found is None or (found.is_finite() and abs(found) < Decimal("1.79E308"))


@given(st.sampled_from([*PRICES, "REL", "TRAIL LIMIT"]), *[EVERY_NUMBER] * 5)
def test_a_report_has_positive_prices_or_none(
    kind: str, limit: float, aux: float, trail_stop: float, percent: float, average: float
) -> None:
    order = ib_insync.Order(
        orderType=kind, lmtPrice=limit, auxPrice=aux, trailStopPrice=trail_stop, trailingPercent=percent
    )
    trade = ib_insync.Trade(order=order, orderStatus=ib_insync.OrderStatus(avgFillPrice=average))
    report = mapping.order_report(
        trade,
        order=order,
        status="Submitted",
        parent_perm_id=0,
        filled=Decimal(0),
        remaining=Decimal(0),
        tick=Decimal("0.01"),
        now=NOW,
        client_id=1,
    )
    found = (report.limit_price, report.stop_price, report.trail_amount, report.trail_percent, report.average_price)
    assert all(price is None or (price.is_finite() and price > 0) for price in found)


@given(st.lists(EVERY_NUMBER.map(str), min_size=9, max_size=9), st.lists(EVERY_NUMBER, min_size=3, max_size=3))
def test_a_preview_has_amounts_or_none(margins: list[str], commissions: list[float]) -> None:
    names = [
        f"{what}{moment}"
        for moment in ("Before", "Change", "After")
        for what in ("initMargin", "maintMargin", "equityWithLoan")
    ]
    state = ib_insync.OrderState(
        **dict(zip(names, margins, strict=True)),
        **dict(zip(("commission", "minCommission", "maxCommission"), commissions, strict=True)),
    )
    found = preview.from_state(1, state, NOW)
    amounts = [getattr(found, name) for name in types.Preview.__slots__]
    assert all(amount.is_finite() for amount in amounts if isinstance(amount, Decimal))


@given(st.dictionaries(st.sampled_from(["USD", "EUR", "BASE"]), EVERY_NUMBER.map(str)), EVERY_NUMBER.map(str))
def test_a_summary_has_amounts_or_none(cash: dict[str, str], rate: str) -> None:
    values = {("NetLiquidation", "USD"): "1000.0", ("ExchangeRate", "EUR"): rate}
    found = account.summary("DU1", values | {("CashBalance", name): value for name, value in cash.items()}, NOW)
    for row in found.cash_by_currency:
        assert row.cash.is_finite()
        assert row.rate is None or row.rate > 0


# The account


def test_cash_is_told_by_currency_without_the_total() -> None:
    values = {
        ("NetLiquidation", "USD"): "1500.00",
        ("ExcessLiquidity", "USD"): "1200.00",
        ("EquityWithLoanValue", "USD"): "1400.00",
        ("CashBalance", "BASE"): "1110.00",
        ("CashBalance", "USD"): "1000.00",
        ("CashBalance", "EUR"): "100.00",
        ("CashBalance", "JPY"): "5000",
        ("ExchangeRate", "BASE"): "1.00",
        ("ExchangeRate", "USD"): "1.00",
        ("ExchangeRate", "EUR"): "1.10",
    }
    found = account.summary("DU1", values, NOW)
    assert (found.excess_liquidity, found.equity_with_loan) == (Decimal(1200), Decimal(1400))
    assert found.cash_by_currency == (
        types.CurrencyCash("EUR", Decimal(100), Decimal("1.1")),
        types.CurrencyCash("JPY", Decimal(5000), None),
        types.CurrencyCash("USD", Decimal(1000), Decimal(1)),
    )


def test_fills_alone_tell_of_an_order_the_corrected_one_for_each() -> None:
    fill = types.ExecutionReport(
        account="DU1",
        order_ref="G1-X",
        perm_id=7,
        exec_id="a.01",
        con_id=1,
        symbol="XYZ",
        side="SELL",
        quantity=Decimal(4),
        price=Decimal(100),
        time=NOW,
        exchange="ARCA",
    )
    fills = [
        replace(fill, exec_id="a.02", price=Decimal(101)),
        fill,
        replace(fill, exec_id="b.01", quantity=Decimal(6), price=Decimal(106), time=NOW + timedelta(seconds=1)),
    ]
    report = mapping.report_of_fills(fills)
    assert (report.filled, report.remaining, report.average_price) == (10, 0, Decimal(104))
    assert (report.status, report.completed, report.time) == ("", True, NOW + timedelta(seconds=1))
    finished = replace(report, average_price=None)
    assert mapping.with_average(finished, fills).average_price == Decimal(104)
    assert mapping.with_average(finished, [replace(fill, perm_id=8)]).average_price is None
