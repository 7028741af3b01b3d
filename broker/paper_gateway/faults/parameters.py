"""Faults from what a person or a program wrote: JSON values or `name:key=value,…`, checked with clear errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from broker.paper_gateway.faults.base import Fault, FaultError

LIST_MARK = "+"


def make(kind: type[Fault], given: Mapping[str, object]) -> Fault:
    """A fault of that kind; raises FaultError for an unknown parameter or a value that does not fit."""
    hints = get_type_hints(kind)
    known = {item.name: hints[item.name] for item in fields(kind) if item.init}
    for name in given:
        if name not in known:
            raise FaultError(f"{kind.name} has no parameter {name[:40]!r}: it takes {', '.join(known)}")
    values: dict[str, Any] = {name: _value(f"{kind.name}: {name}", value, known[name]) for name, value in given.items()}
    ranges = {name: found for base in reversed(kind.__mro__) for name, found in getattr(base, "ranges", {}).items()}
    for name, value in values.items():
        lowest, highest = ranges.get(name, (-math.inf, math.inf))
        if isinstance(value, int | float) and not lowest <= value <= highest:
            raise FaultError(f"{kind.name}: {name} is between {lowest:,} and {highest:,}, not {value!r:.40}")
    return kind(**values)


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Name and parameters from `name` or `name:key=value,key=value`; raises FaultError."""
    name, _, rest = text.partition(":")
    parameters: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise FaultError(f"{part[:40]!r} is not key=value")
        parameters[key.strip()] = value.strip()
    return name.strip(), parameters


def _value(name: str, value: object, kind: object) -> object:
    if kind is str:
        return _text(name, value)
    if kind is bool:
        return _flag(name, value)
    if kind in (int, float):
        return _number(name, value, whole=kind is int)
    return _list(name, value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise FaultError(f"{name} is text, not {value!r:.40}")
    return value


def _flag(name: str, value: object) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    found = words.get(str(value).lower())
    if found is None:
        raise FaultError(f"{name} is true or false, not {value!r:.40}")
    return found


def _number(name: str, value: object, *, whole: bool) -> int | float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = int(value) if whole else float(value)
        if not math.isfinite(number) or (whole and number != float(value)):
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise FaultError(f"{name} is a {'whole ' if whole else ''}number, not {value!r:.40}") from error
    return number


def _list(name: str, value: object) -> tuple[str, ...]:
    parts = value.split(LIST_MARK) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise FaultError(f"{name} is a list of names, not {value!r:.40}")
    return tuple(parts)
