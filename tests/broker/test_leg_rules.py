"""Each order type and time in force has its terms; any other combination is refused by its field."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import types
from broker.errors import OrderInvalid
from broker.service import leg_rules, validate
from tests.broker.test_validate import ENTRY, EXIT, NOW, SPY, STOP, TARGET, place

HUNDRED, NINETY = Decimal(100), Decimal(90)
LIMIT = replace(EXIT, order_type="LMT", limit_price=HUNDRED, oca_ref="")
TRAILING = replace(EXIT, order_type="TRAIL", trail_amount=Decimal(2), oca_ref="")
PAIRED_STOP = replace(STOP, parent_ref="", oca_group="held")
PAIRED_TARGET = replace(TARGET, parent_ref="", oca_group="held")
LATER = NOW + timedelta(days=1)


def refused(leg: types.OrderLeg, contract: types.Contract = SPY) -> Any:
    """The field that a lone leg is refused for; None where it passes."""
    try:
        validate.check_place(place(leg, reduces=True), contract, NOW, NOW)
    except OrderInvalid as error:
        return error.details["field"]
    return None


@pytest.mark.parametrize(
    "changes",
    [
        {"order_type": "MKT"},
        {"order_type": "MKT", "tif": "OPG"},
        {"order_type": "MKT", "tif": "IOC"},
        {"order_type": "MOC"},
        {"order_type": "LMT", "limit_price": HUNDRED, "tif": "OPG"},
        {"order_type": "LMT", "limit_price": HUNDRED, "tif": "GTD", "good_till": LATER},
        {"order_type": "LMT", "limit_price": HUNDRED, "tif": "GTC", "outside_rth": True},
        {"order_type": "LOC", "limit_price": HUNDRED},
        {"order_type": "STP", "stop_price": HUNDRED},
        {"order_type": "STP LMT", "stop_price": HUNDRED, "limit_price": NINETY},
        {"order_type": "STP LMT", "stop_price": NINETY, "limit_price": HUNDRED},
        {"order_type": "TRAIL", "trail_amount": Decimal(2)},
        {"order_type": "TRAIL", "trail_percent": Decimal("2.5"), "stop_price": HUNDRED},
        {"order_type": "MKT", "oca_ref": "", "oca_group": "held"},
    ],
)
def test_sound_legs_pass(changes: dict[str, Any]) -> None:
    assert refused(replace(EXIT, **changes)) is None


@pytest.mark.parametrize(
    ("leg", "changes", "field"),
    [
        (EXIT, {"order_type": "PEG MID"}, "order_type"),
        (EXIT, {"tif": "FOK"}, "tif"),
        (EXIT, {"side": "SSHORT"}, "side"),
        (EXIT, {"role": "hedge"}, "role"),
        (EXIT, {"stop_price": HUNDRED}, "stop_price"),
        (EXIT, {"trail_amount": HUNDRED}, "trail_amount"),
        (EXIT, {"trail_percent": HUNDRED}, "trail_percent"),
        (EXIT, {"order_type": "MOC", "limit_price": HUNDRED}, "limit_price"),
        (EXIT, {"order_type": "MOC", "tif": "GTC"}, "tif"),
        (EXIT, {"order_type": "MOC", "outside_rth": True}, "outside_rth"),
        (EXIT, {"order_type": "LOC"}, "limit_price"),
        (EXIT, {"order_type": "STP LMT", "stop_price": HUNDRED}, "limit_price"),
        (EXIT, {"order_type": "STP LMT", "limit_price": HUNDRED}, "stop_price"),
        (EXIT, {"order_type": "STP", "stop_price": HUNDRED, "tif": "IOC"}, "tif"),
        (EXIT, {"order_type": "STP", "stop_price": HUNDRED, "tif": "OPG"}, "tif"),
        (EXIT, {"tif": "OPG", "outside_rth": True}, "outside_rth"),
        (LIMIT, {"tif": "GTD"}, "good_till"),
        (LIMIT, {"tif": "GTC", "good_till": LATER}, "good_till"),
        (LIMIT, {"tif": "GTD", "good_till": NOW}, "good_till"),
        (LIMIT, {"tif": "GTD", "good_till": LATER.replace(tzinfo=None)}, "good_till"),
        (TRAILING, {"trail_amount": None}, "trail_amount"),
        (TRAILING, {"trail_percent": Decimal(2)}, "trail_amount"),
        (TRAILING, {"limit_price": HUNDRED}, "limit_price"),
        (TRAILING, {"trail_amount": Decimal("0.001")}, "trail_amount"),
        (TRAILING, {"trail_amount": Decimal(-2)}, "trail_amount"),
        (TRAILING, {"trail_amount": Decimal("NaN")}, "trail_amount"),
        (TRAILING, {"trail_amount": None, "trail_percent": HUNDRED}, "trail_percent"),
        (TRAILING, {"stop_price": Decimal("0.001")}, "stop_price"),
        (EXIT, {"role": "stop"}, "order_type"),
        (EXIT, {"role": "target"}, "order_type"),
        (EXIT, {"oca_group": "held"}, "oca_group"),
        (EXIT, {"oca_ref": "", "oca_group": "two words"}, "oca_group"),
        (EXIT, {"oca_ref": "", "oca_group": "x" * 41}, "oca_group"),
    ],
)
def test_a_wrong_combination_names_its_field(leg: types.OrderLeg, changes: dict[str, Any], field: str) -> None:
    assert refused(replace(leg, **changes)) == field


def test_a_protective_stop_limit_must_be_able_to_trade_where_it_triggers() -> None:
    stop = replace(STOP, order_type="STP LMT", parent_ref="", limit_price=Decimal(89))
    assert refused(stop) is None
    assert refused(replace(stop, limit_price=Decimal(91))) == "limit_price"
    assert refused(replace(stop, side="BUY", limit_price=Decimal(91))) is None
    assert refused(replace(stop, side="BUY")) == "limit_price"


@pytest.mark.parametrize("sec_type", ["OPT", "IND", "CRYPTO", "BAG", ""])
def test_only_what_is_traded_here_can_be_ordered(sec_type: str) -> None:
    assert refused(LIMIT, replace(SPY, sec_type=sec_type)) == "sec_type"


@pytest.mark.parametrize("sec_type", ["STK", "FUT", "CASH"])
def test_stocks_futures_and_currencies_can_be_ordered(sec_type: str) -> None:
    assert refused(LIMIT, replace(SPY, sec_type=sec_type)) is None


def test_a_quantity_is_in_whole_lots() -> None:
    lots = replace(SPY, lot_size=Decimal(100))
    assert refused(replace(LIMIT, quantity=Decimal(200)), lots) is None
    assert refused(replace(LIMIT, quantity=Decimal(250)), lots) == "quantity"


def test_a_price_is_on_the_tick_of_its_band() -> None:
    bands = (
        types.PriceIncrement(Decimal(0), Decimal("0.0001")),
        types.PriceIncrement(Decimal(1), Decimal("0.01")),
        types.PriceIncrement(Decimal(500), Decimal("0.05")),
    )
    banded = replace(SPY, min_tick=Decimal("0.0001"), increments=bands)
    for price in ("0.9999", "1", "499.99", "500", "500.05"):
        assert refused(replace(LIMIT, limit_price=Decimal(price)), banded) is None
    for price in ("0.99995", "1.0001", "499.995", "500.01"):
        assert refused(replace(LIMIT, limit_price=Decimal(price)), banded) == "limit_price"


@given(
    st.one_of(st.decimals(allow_nan=True, allow_infinity=True), st.sampled_from([Decimal("1E+60"), Decimal("sNaN")])),
    st.sampled_from(["quantity", "limit_price"]),
)
def test_no_number_passes_that_is_not_finite_positive_and_on_its_step(value: Decimal, field: str) -> None:
    sound = value.is_finite() and 0 < value < 10**9 and value % (1 if field == "quantity" else SPY.min_tick) == 0
    try:
        leg_rules.check_values({field: value}, SPY)
    except OrderInvalid:
        assert not sound
    else:
        assert sound


# Families


@pytest.mark.parametrize(
    "legs",
    [
        (replace(ENTRY, order_type="MOC", limit_price=None), STOP, TARGET),
        (replace(ENTRY, order_type="LOC"), STOP, TARGET),
        (replace(ENTRY, order_type="STP", limit_price=None, stop_price=HUNDRED), STOP, TARGET),
        (replace(ENTRY, order_type="STP LMT", stop_price=Decimal(99)), STOP, TARGET),
        (replace(ENTRY, tif="GTD", good_till=LATER), STOP, replace(TARGET, tif="GTD", good_till=LATER)),
        (ENTRY, replace(STOP, order_type="STP LMT", limit_price=Decimal(89)), TARGET),
        (ENTRY, replace(STOP, order_type="TRAIL", stop_price=None, trail_percent=Decimal(5)), TARGET),
        (ENTRY, replace(STOP, order_type="TRAIL", trail_amount=Decimal(5)), TARGET),
    ],
)
def test_brackets_of_every_sensible_type_pass(legs: tuple[types.OrderLeg, ...]) -> None:
    validate.check_place(place(*legs), SPY, NOW, NOW)


@pytest.mark.parametrize(
    ("legs", "field"),
    [
        ((ENTRY, STOP, replace(TARGET, tif="IOC")), "tif"),
        ((ENTRY, STOP, replace(TARGET, tif="OPG")), "tif"),
        ((ENTRY, STOP, replace(TARGET, order_type="LOC")), "order_type"),
        ((ENTRY, replace(STOP, order_type="MOC", stop_price=None), TARGET), "order_type"),
        ((ENTRY, replace(STOP, oca_group="held"), TARGET), "oca_group"),
        ((ENTRY, replace(STOP, oca_ref="G-T"), TARGET), "oca_group"),
        ((ENTRY, replace(STOP, order_type="TRAIL", stop_price=HUNDRED, trail_amount=Decimal(5)), TARGET), "stop_price"),
        ((replace(ENTRY, order_type="STP LMT", stop_price=NINETY), STOP, TARGET), "stop_price"),
    ],
)
def test_unsound_brackets_are_refused(legs: tuple[types.OrderLeg, ...], field: str) -> None:
    with pytest.raises(OrderInvalid) as error:
        validate.check_place(place(*legs), SPY, NOW, NOW)
    assert error.value.details["field"] == field


def test_a_stop_and_a_target_of_one_group_protect_what_is_held() -> None:
    for legs in ((PAIRED_STOP, PAIRED_TARGET), (PAIRED_TARGET, PAIRED_STOP)):
        validate.check_place(place(*legs, reduces=True), SPY, NOW, NOW)


@pytest.mark.parametrize(
    ("legs", "reduces", "field"),
    [
        ((PAIRED_STOP, PAIRED_TARGET), False, "reduces"),
        ((PAIRED_STOP, replace(PAIRED_TARGET, oca_group="other")), True, "legs"),
        ((replace(PAIRED_STOP, oca_group=""), replace(PAIRED_TARGET, oca_group="")), True, "legs"),
        ((PAIRED_STOP, replace(PAIRED_STOP, order_ref="G-Z")), True, "legs"),
        ((PAIRED_STOP, replace(PAIRED_TARGET, side="BUY")), True, "side"),
        ((PAIRED_STOP, replace(PAIRED_TARGET, quantity=Decimal(9))), True, "quantity"),
        ((PAIRED_STOP, replace(PAIRED_TARGET, limit_price=Decimal(80))), True, "stop_price"),
        ((PAIRED_STOP, replace(PAIRED_TARGET, tif="IOC")), True, "tif"),
        ((replace(PAIRED_STOP, parent_ref="G-E"), PAIRED_TARGET), True, "parent_ref"),
    ],
)
def test_an_unsound_pair_is_refused(legs: tuple[types.OrderLeg, ...], reduces: bool, field: str) -> None:
    with pytest.raises(OrderInvalid) as error:
        validate.check_place(place(*legs, reduces=reduces), SPY, NOW, NOW)
    assert error.value.details["field"] == field


# Changes


def change(**changes: Any) -> types.ModifyOrder:
    sound = types.ModifyOrder("DU1", "G-T", 1, None, None, reduces=True, deadline=NOW)
    return replace(sound, **changes)


def terms(order_type: str, **more: Any) -> dict[str, Any]:
    return {"order_type": order_type, "quantity": "10", **more}


@pytest.mark.parametrize(
    ("placed", "changes"),
    [
        (terms("LMT"), {"limit_price": HUNDRED}),
        (terms("LMT"), {"quantity": Decimal(5)}),
        (terms("MKT"), {"quantity": Decimal(5)}),
        (terms("STP LMT"), {"limit_price": HUNDRED}),
        (terms("STP LMT"), {"stop_price": HUNDRED, "quantity": Decimal(5)}),
        (terms("TRAIL", trail_amount="2"), {"trail_amount": Decimal(3)}),
        (terms("TRAIL", trail_amount="2"), {"stop_price": HUNDRED}),
        (terms("TRAIL", trail_percent="2"), {"trail_percent": Decimal(3)}),
    ],
)
def test_a_change_names_only_what_changes(placed: dict[str, Any], changes: dict[str, Any]) -> None:
    validate.check_modify(change(**changes), SPY, placed, "target", NOW)


@pytest.mark.parametrize(
    ("placed", "changes", "field"),
    [
        (terms("LMT"), {}, "limit_price"),
        (terms("MKT"), {}, "quantity"),
        (terms("MKT"), {"limit_price": HUNDRED}, "limit_price"),
        (terms("MOC"), {"stop_price": HUNDRED}, "stop_price"),
        (terms("STP"), {"trail_amount": HUNDRED}, "trail_amount"),
        (terms("TRAIL", trail_amount="2"), {"trail_percent": Decimal(3)}, "trail_percent"),
        (terms("TRAIL", trail_percent="2"), {"trail_percent": Decimal(100)}, "trail_percent"),
        (terms("LMT"), {"quantity": Decimal("0.5")}, "quantity"),
        (terms("LMT"), {"quantity": Decimal(0)}, "quantity"),
        (terms("LMT"), {"limit_price": Decimal("Infinity")}, "limit_price"),
        (terms("LMT"), {"limit_price": HUNDRED, "revision": 0}, "revision"),
    ],
)
def test_a_wrong_change_names_its_field(placed: dict[str, Any], changes: dict[str, Any], field: str) -> None:
    with pytest.raises(OrderInvalid) as error:
        validate.check_modify(change(**changes), SPY, placed, "target", NOW)
    assert error.value.details["field"] == field


def test_a_larger_entry_does_not_reduce() -> None:
    larger = change(quantity=Decimal(11))
    with pytest.raises(OrderInvalid) as error:
        validate.check_modify(larger, SPY, terms("LMT"), "entry", NOW)
    assert error.value.details["field"] == "reduces"
    validate.check_modify(replace(larger, reduces=False), SPY, terms("LMT"), "entry", NOW)
    validate.check_modify(change(quantity=Decimal(9)), SPY, terms("LMT"), "entry", NOW)


@pytest.mark.parametrize(
    "changes", [{"limit_price": Decimal(110)}, {"quantity": Decimal(9), "limit_price": Decimal(110)}]
)
def test_another_price_of_an_entry_never_only_reduces(changes: dict[str, Decimal]) -> None:
    with pytest.raises(OrderInvalid) as refused:
        validate.check_modify(change(**changes), SPY, terms("LMT"), "entry", NOW)
    assert refused.value.details["field"] == "reduces"
    validate.check_modify(replace(change(**changes), reduces=False), SPY, terms("LMT"), "entry", NOW)


def test_a_preview_is_checked_like_an_order() -> None:
    validate.check_preview(types.PreviewOrder("DU1", 1, ENTRY), SPY, NOW)
    with pytest.raises(OrderInvalid) as error:
        validate.check_preview(types.PreviewOrder("DU1", 1, replace(ENTRY, limit_price=None)), SPY, NOW)
    assert error.value.details["field"] == "limit_price"
