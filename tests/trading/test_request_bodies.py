"""Requests are read strictly: what is wrong is named with its field, and nothing is taken for something else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from autotrader.core.errors import Invalid
from trading.services.request_bodies import body_hash, cancel_body, modify_body, place_body, plain_body

PLACE: dict[str, Any] = {
    "symbol": "AAPL", "side": "BUY", "quantity": "10", "order_type": "LMT", "limit_price": "100.5",
    "stop_price": "95", "target_price": "110", "purpose": "entry",
}  # fmt: skip


def problems(read: Any, body: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        read(body)
    assert caught.value.status == 422
    return dict(caught.value.details["fields"])


def test_a_sound_body_is_read_exactly() -> None:
    found = place_body(PLACE | {"quantity": Decimal("10"), "limit_price": 100, "intended": True, "reason": "why not"})
    assert (found.quantity, found.limit_price, found.stop_price) == (Decimal(10), Decimal(100), Decimal(95))
    assert (found.intended, found.reason, found.account, found.con_id) == (True, "why not", None, None)


@pytest.mark.parametrize(
    "value",
    [
        "NaN", "Infinity", "-1", "0", "0.0000001", "1e30", "9" * 5000, 10**400, Decimal("NaN"), Decimal("Infinity"),
        Decimal("-0"), Decimal("1e999999"), Decimal("1e-999999"), 0.1, float("nan"), True, "", " 1", "1_000", "１０",
        "0x10", [1], {"a": 1}, "10,5", "1e9999999", "١٢",
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["quantity", "limit_price", "stop_price", "target_price"])
def test_what_is_no_sound_number_is_named(field: str, value: Any) -> None:
    assert list(problems(place_body, PLACE | {field: value})) == [field]


@pytest.mark.parametrize("value", [0, -5, "1.5", "x", 10**10, True, 0.5])
def test_a_contract_id_is_a_whole_number(value: Any) -> None:
    body = {name: item for name, item in PLACE.items() if name != "symbol"}
    assert list(problems(place_body, body | {"con_id": value})) == ["con_id"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"side": "buy"}, "side"),
        ({"side": 1}, "side"),
        ({"order_type": "STP"}, "order_type"),
        ({"purpose": None}, "purpose"),
        ({"symbol": "aapl"}, "symbol"),
        ({"symbol": "AAPL\x00"}, "symbol"),
        ({"symbol": "ＡＡＰＬ"}, "symbol"),
        ({"symbol": None}, "symbol"),
        ({"con_id": 265598}, "symbol"),
        ({"intended": "yes"}, "intended"),
        ({"intended": 1}, "intended"),
        ({"reason": "a\x1b[2Jb"}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"account": 7}, "account"),
        ({"stop_price": None}, "stop_price"),
        ({"target_price": None}, "target_price"),
        ({"purpose": "exit", "target_price": None}, "stop_price"),
        ({"limit_price": None}, "limit_price"),
        ({"order_type": "MKT"}, "limit_price"),
        ({"tif": "GTC"}, "tif"),
        ({"__class__": "x"}, "__class__"),
    ],
)
def test_every_other_problem_names_its_field(changes: dict[str, Any], field: str) -> None:
    assert field in problems(place_body, PLACE | changes)


def test_all_problems_are_told_at_once() -> None:
    found = problems(place_body, PLACE | {"side": "up", "quantity": "-1", "colour": "red"})
    assert set(found) == {"side", "quantity", "colour"}


def test_a_change_names_what_changes() -> None:
    assert "limit_price" in problems(modify_body, {"order_ref": "A-T"})
    assert modify_body({"order_ref": "A-T", "limit_price": "3"}).limit_price == 3


def test_to_force_needs_a_reason() -> None:
    assert list(problems(cancel_body, {"order_ref": "A-S", "force": True, "reason": "  "})) == ["reason"]
    assert cancel_body({"order_ref": "A-S"}).force is False


def test_the_order_of_fields_does_not_count_and_all_else_does() -> None:
    digest = body_hash(plain_body(PLACE))
    assert body_hash(plain_body(dict(reversed(PLACE.items())))) == digest
    assert body_hash(plain_body(PLACE | {"quantity": Decimal(10)})) == digest
    assert body_hash(plain_body(PLACE | {"quantity": "11"})) != digest
    assert body_hash(plain_body(PLACE | {"reason": ""})) != digest


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "\x00"}, {"\x00": 1}, {"reason": "\ud800"}, {"a": [[[[[[1]]]]]]}, {"reason": "x" * 4096},
        {"a": b"1"}, {"a": 10**5000},
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_before_anything_is_written(body: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        plain_body(body)
