"""Every row of the port's table crosses JSON and back unchanged, with values made from its types."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import codec, types
from broker.port import TABLE

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    bool: st.booleans(),
    int: st.integers(-(2**60), 2**60),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=6),
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """A strategy for values of a type of the port."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: values(hints[field.name]) for field in dataclasses.fields(hint)})
    if origin in (Union, UnionType):
        return st.one_of(*(st.none() if item is NoneType else values(item) for item in arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is np.ndarray:
        return arrays(get_args(arguments[1])[0])
    return PLAIN[hint]


def arrays(scalar: type) -> st.SearchStrategy[Any]:
    if scalar is np.datetime64:
        return st.lists(st.integers(0, 2**33), max_size=5).map(lambda items: np.array(items, dtype="datetime64[s]"))
    return st.lists(st.floats(), max_size=5).map(lambda items: np.array(items, dtype=np.float64))


def same(one: Any, other: Any) -> bool:
    """Equality that looks into arrays, where NaN equals NaN."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other and type(one) is type(other))


HINTS = {
    **{f"{call.name} request": call.request for call in TABLE.values()},
    **{f"{call.name} answer": call.answer for call in TABLE.values()},
    **{cls.__name__: cls for cls in get_args(types.BrokerEvent)},
}


@pytest.mark.parametrize("hint", HINTS.values(), ids=HINTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_crosses_the_port_comes_back_unchanged(hint: Any, data: st.DataObject) -> None:
    value = data.draw(values(hint))
    wire = json.loads(json.dumps(codec.to_json(value), allow_nan=False))
    assert same(codec.from_json(hint, wire), value)


@pytest.mark.parametrize(
    ("hint", "wire", "named"),
    [
        (types.ConId, {}, "con_id"),
        (types.ConId, {"con_id": "1"}, "con_id"),
        (types.ConId, {"con_id": True}, "con_id"),
        (types.ConId, {"con_id": 1, "more": 2}, "more"),
        (types.ConId, [], "ConId"),
        (types.Quote, {"feed": "live"}, "symbol"),
        (tuple[types.ConId, ...], {"con_id": 1}, "list"),
        (tuple[types.ConId, ...], [{"con_id": 1}, {"con_id": None}], "[1].con_id"),
    ],
)
def test_json_of_another_shape_is_refused_by_the_name_of_its_field(hint: Any, wire: Any, named: str) -> None:
    with pytest.raises(codec.CodecError) as refused:
        codec.from_json(hint, wire)
    assert named in str(refused.value)


def test_a_time_without_a_zone_and_a_number_that_is_none_are_refused() -> None:
    order = {"account": "DU1", "order_ref": "A", "exec_id": "1", "currency": "USD", "realized_pnl": None}
    for field, wrong in (("commission", "ten"), ("time", "2024-01-01T00:00:00")):
        wire = {**order, "commission": "1", "time": "2024-01-01T00:00:00+00:00", field: wrong}
        with pytest.raises(codec.CodecError):
            codec.from_json(types.CommissionReport, wire)


def test_what_is_not_of_the_port_cannot_be_sent() -> None:
    with pytest.raises(codec.CodecError):
        codec.to_json(object())
