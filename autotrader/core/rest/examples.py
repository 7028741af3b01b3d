"""Examples for the schema: a value that a reader recognises for every field, made from its schema and its name."""

from __future__ import annotations

from typing import Any

from autotrader.core.rest.documents import Schema

AT = "2026-11-20T15:30:00Z"
# By field name, where the schema alone would say only "a text" or "a number".
NAMED: dict[str, Any] = {
    "symbol": "AAPL", "symbols": "AAPL", "currency": "USD", "exchange": "SMART", "sec_type": "STK", "con_id": 265598,
    "account": "DU0000001", "order_ref": "AT7F3K2M9Q-E", "perm_id": 1824107, "side": "BUY",
    "quantity": "100", "filled": "100", "price": "187.42", "limit_price": "187.42", "stop_price": "178.05",
    "stop_loss": "178.05", "target_price": "206.16", "avg_price": "187.41", "bid": "187.41", "ask": "187.43",
    "last": "187.42", "open": "186.10", "high": "188.02", "low": "185.77", "close": "187.42", "fees": "1.00",
    "correlation_id": "5f0c9a1e7b2d4c3f8a6e1d0b9c7f2a45", "actor": "anna", "user": "anna", "username": "anna",
    "reason": "Checked against the news.", "state": "ACTIVE", "status": "FILLED", "strategy": "demo",
    "digest": "9c" * 32,
    "next": "eyJwayI6IDEyMH0", "cursor": "eyJwayI6IDEyMH0", "limit": 50, "after_id": 1204, "type": "ORDER_FILLED",
    "timeframe": "day", "period": "1 Y", "bar": "1 day",
}  # fmt: skip


def example_of(schema: Schema, components: dict[str, Schema], name: str = "", depth: int = 0) -> Any:
    """A value that fits the schema; `components` resolves its references."""
    if "example" in schema:
        return schema["example"]
    if "$ref" in schema:
        kind = schema["$ref"].rpartition("/")[2]
        return example_of(components[kind], components, name, depth + 1) if depth < 6 else {}
    for joined in ("allOf", "anyOf", "oneOf"):
        if joined in schema:
            return example_of(schema[joined][0], components, name, depth)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        known = schema.get("properties", {})
        return {field: example_of(inner, components, field, depth + 1) for field, inner in known.items()}
    if schema.get("type") == "array":
        one = example_of(schema.get("items", {}), components, name, depth + 1)
        return [one] * max(1, schema.get("minItems", 1))
    return _plain(schema, name)


def _plain(schema: Schema, name: str) -> Any:
    kind, form = schema.get("type"), schema.get("format")
    if form == "date-time":
        return AT
    if form == "date":
        return AT[:10]
    named = NAMED.get(name)
    if kind == "integer":
        return named if isinstance(named, int) else max(1, schema.get("minimum", 1))
    if kind == "string":
        return str(named) if named is not None else "187.42" if form == "decimal" else "text"[: schema.get("maxLength")]
    return {"number": 1.5, "boolean": True}.get(str(kind), {})
