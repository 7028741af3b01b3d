"""Dataclasses of the port to JSON and back, driven by their type hints; nothing is written per type."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")


class CodecError(ValueError):
    """The JSON does not fit the type; the message names the field."""


def to_json(value: Any) -> Any:
    """A JSON-safe value: Decimals as text, times as ISO text, arrays as base64 of little-endian 8-byte items."""
    if value is None or isinstance(value, (bool, int, str, float)):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, np.ndarray):
        return _array_text(value)
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise CodecError(f"{type(value).__name__} cannot cross the port")


def from_json(hint: Any, value: Any) -> Any:
    """The value of type `hint`; raises CodecError where the JSON is of another shape."""
    return _decoder(hint)(value, "")


def dumps(value: Any) -> str:
    """Canonical JSON text of a dataclass."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"))


def loads(hint: type[T], text: str) -> T:
    """The dataclass `hint` from its JSON text."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CodecError("not JSON") from error
    decoded: T = from_json(hint, value)
    return decoded


def _array_text(array: Any) -> str:
    if array.dtype.kind == "M":
        array = array.astype("datetime64[s]").view(np.int64)
    kind = "<i8" if array.dtype.kind == "i" else "<f8"
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


Decoder = Callable[[Any, str], Any]


@cache
def _decoder(hint: Any) -> Decoder:
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return _dataclass_decoder(hint)
    if origin in (Union, UnionType):
        return _optional_decoder(hint)
    if origin is tuple:
        return _tuple_decoder(get_args(hint)[0])
    if origin is Literal:
        return _literal_decoder(get_args(hint))
    if origin is np.ndarray:
        return _array_decoder(get_args(get_args(hint)[1])[0])
    return _plain_decoder(hint)


def _dataclass_decoder(cls: Any) -> Decoder:
    hints = get_type_hints(cls)
    fields = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(cls)}
    optional = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    }

    def decode(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise CodecError(f"{path or cls.__name__} must be an object")
        unknown = set(value) - set(fields)
        missing = set(fields) - set(value) - optional
        if unknown or missing:
            raise CodecError(f"{path or cls.__name__}: " + _differences(unknown, missing))
        return cls(**{name: fields[name](item, f"{path}.{name}".lstrip(".")) for name, item in value.items()})

    return decode


def _differences(unknown: set[str], missing: set[str]) -> str:
    parts = [f"{word} {', '.join(sorted(names))}" for word, names in (("unknown", unknown), ("missing", missing))]
    return "; ".join(part for part, names in zip(parts, (unknown, missing), strict=True) if names)


def _optional_decoder(hint: Any) -> Decoder:
    inner = [_decoder(item) for item in get_args(hint) if item is not NoneType]
    if len(inner) != 1 or NoneType not in get_args(hint):
        raise TypeError(f"{hint} is no optional")

    def decode(value: Any, path: str) -> Any:
        return None if value is None else inner[0](value, path)

    return decode


def _tuple_decoder(item: Any) -> Decoder:
    inner = _decoder(item)

    def decode(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise CodecError(f"{path} must be a list")
        return tuple(inner(element, f"{path}[{index}]") for index, element in enumerate(value))

    return decode


def _literal_decoder(options: tuple[Any, ...]) -> Decoder:
    def decode(value: Any, path: str) -> Any:
        if value not in options:
            raise CodecError(f"{path} must be one of {', '.join(map(str, options))}")
        return value

    return decode


def _array_decoder(scalar: type) -> Decoder:
    times = issubclass(scalar, np.datetime64)

    def decode(value: Any, path: str) -> Any:
        try:
            raw = base64.b64decode(value, validate=True)
            if times:
                return np.frombuffer(raw, dtype="<i8").astype(np.int64).view("datetime64[s]")
            return np.frombuffer(raw, dtype="<f8").astype(np.float64)
        except (TypeError, ValueError) as error:
            raise CodecError(f"{path} is no array") from error

    return decode


def _plain_decoder(hint: Any) -> Decoder:
    try:
        expected, convert = _PLAIN[hint]
    except KeyError:
        raise TypeError(f"{hint} cannot cross the port") from None

    def decode(value: Any, path: str) -> Any:
        if not isinstance(value, expected) or (isinstance(value, bool) and hint is not bool):
            raise CodecError(f"{path} must be {hint.__name__}")
        try:
            return convert(value)
        except (ValueError, InvalidOperation) as error:
            raise CodecError(f"{path} is no {hint.__name__}") from error

    return decode


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment


_PLAIN: dict[Any, tuple[Any, Callable[[Any], Any]]] = {
    str: (str, str),
    bool: (bool, bool),
    int: (int, int),
    float: ((int, float), float),
    Decimal: (str, Decimal),
    datetime: (str, _aware),
    date: (str, date.fromisoformat),
}
