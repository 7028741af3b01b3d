"""What answers look like, as OpenAPI says it: read from the frozen dataclasses that are answered."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from inspect import isclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any]
Refer = Callable[[type], Schema]

DECIMAL: Schema = {"type": "string", "format": "decimal", "pattern": r"^-?\d+(\.\d+)?$"}
PLAIN: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number", "format": "double"},
    str: {"type": "string"},
    Decimal: DECIMAL,
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    Any: {},
    object: {},
    dict: {"type": "object", "additionalProperties": {}},
    list: {"type": "array", "items": {}},
    tuple: {"type": "array", "items": {}},
}
ARRAYS = (list, tuple, set, frozenset, Sequence)
MAPPINGS = (dict, Mapping)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method answers where it succeeds: its document (None: no body) and the statuses it is sent with."""

    document: Any
    statuses: tuple[int, ...] = (200,)
    media_type: str = "application/json"


def schema_of(hint: Any, refer: Refer) -> Schema:
    """The schema of a type; `refer` gives the reference to a dataclass. Raises TypeError for what has no JSON form."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return described(schema_of(arguments[0], refer), str(arguments[1]))
    if origin is None and is_plain(hint):
        return dict(PLAIN[hint])
    if origin is Literal:
        return {**PLAIN[type(arguments[0])], "enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _union(arguments, refer)
    if origin in MAPPINGS:
        return {"type": "object", "additionalProperties": schema_of(arguments[1], refer)}
    if origin in ARRAYS:
        return _array(origin, arguments, refer)
    if isclass(hint) and issubclass(hint, Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if isclass(hint) and is_dataclass(hint):
        return refer(hint)
    raise TypeError(f"{hint!r} has no form in the schema")


def is_plain(hint: Any) -> bool:
    """Whether the type is written as one JSON value."""
    return hint is Any or (isclass(hint) and hint in PLAIN)


def object_schema(kind: type, refer: Refer) -> Schema:
    """The schema of a dataclass: every field is always there, and no other; metadata `help` describes a field."""
    hints = get_type_hints(kind, include_extras=True)
    properties = {
        field.name: described(schema_of(hints[field.name], refer), field.metadata.get("help", ""))
        for field in fields(kind)
    }
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return described(schema, (kind.__doc__ or "").strip()) if not _is_generated(kind) else schema


def described(schema: Schema, text: str) -> Schema:
    """The schema with a description; beside a reference nothing else may stand."""
    if not text:
        return schema
    return {"allOf": [schema], "description": text} if "$ref" in schema else {**schema, "description": text}


def _is_generated(kind: type) -> bool:
    """A dataclass without a docstring has its signature there."""
    return (kind.__doc__ or "").startswith(f"{kind.__name__}(")


def _union(arguments: tuple[Any, ...], refer: Refer) -> Schema:
    kinds = [schema_of(kind, refer) for kind in arguments if kind is not type(None)]
    schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if len(kinds) == len(arguments):
        return schema
    if "$ref" in schema:
        return {"allOf": [schema], "nullable": True}
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "nullable": True} if schema else schema


def _array(origin: Any, arguments: tuple[Any, ...], refer: Refer) -> Schema:
    kinds = [kind for kind in arguments if kind is not Ellipsis]
    items = [schema_of(kind, refer) for kind in kinds]
    if origin is tuple and Ellipsis not in arguments:
        one = items[0] if all(item == items[0] for item in items) else {"anyOf": items}
        return {"type": "array", "items": one, "minItems": len(items), "maxItems": len(items)}
    return {"type": "array", "items": items[0]}
