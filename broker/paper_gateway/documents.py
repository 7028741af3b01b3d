"""Orders and executions as JSON for the store: only what differs from the default, decimals and times as text."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from .engine import Booked
from .orders import Order
from .types import Commission, Execution, OrderTerms

_DECIMALS = frozenset(
    {
        *("filled", "value", "commission", "last_price", "reduced", "taken", "quantity", "limit_price", "aux_price"),
        *("shares", "price", "cum_qty", "avg_price", "realized_pnl", "stop", "limit"),
        *("trail_percent", "trail_stop_price", "limit_offset"),
    }
)
_TIMES = frozenset(
    {"placed_at", "since", "expires_at", "held_until", "completed_at", "time", "good_till", "good_after"}
)
_DEFAULTS: dict[type, list[tuple[str, object]]] = {
    kind: [(field.name, field.default) for field in fields(kind)] for kind in (Order, OrderTerms, Execution, Commission)
}
_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode


def order_text(order: Order) -> str:
    document = _plain(order)
    document["terms"] = _plain(order.terms)
    return _encode(document)


def order_of(text: str) -> Order:
    document = _restored(json.loads(text))
    return Order(**{**document, "terms": OrderTerms(**_restored(document["terms"]))})


def booked_text(booked: Booked) -> str:
    return _encode({"execution": _plain(booked.execution), "commission": _plain(booked.commission)})


def booked_of(text: str) -> Booked:
    document = json.loads(text)
    execution, commission = document["execution"], document["commission"]
    return Booked(Execution(**_restored(execution)), Commission(**_restored(commission)))


def _plain(value: Order | OrderTerms | Execution | Commission) -> dict[str, object]:
    document: dict[str, object] = {}
    for name, default in _DEFAULTS[type(value)]:
        part = getattr(value, name)
        if default is MISSING or part != default:
            document[name] = part.isoformat() if isinstance(part, datetime) else part
    return document


def _restored(document: dict[str, Any]) -> dict[str, Any]:
    """Decimals and times from their texts, by the name of the field."""
    return {name: _restored_value(name, value) for name, value in document.items()}


def _restored_value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in _TIMES:
        return datetime.fromisoformat(value)
    return Decimal(value) if name in _DECIMALS else value
