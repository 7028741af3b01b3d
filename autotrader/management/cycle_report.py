"""What `run_cycle` prints: one object for programs, one table for people."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from trading.models import Cycle, Decision, Fill, Order, WorkflowExecution
from trading.selectors.executions import decisions_of, entry_and_exit_orders, executions_of


def _number(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _execution(row: WorkflowExecution) -> dict[str, Any]:
    return {
        "strategy": row.strategy.name,
        "symbol": row.instrument.symbol,
        "status": row.state,
        "outcome": row.outcome,
        "reason": row.reason,
        "worker": row.worker,
        "steps": [{"name": step.name, "state": step.state, "ms": step.ms} for step in row.steps.all()],
    }


def _decision(row: Decision) -> dict[str, Any]:
    return {
        "symbol": row.instrument.symbol,
        "type": row.type,
        "decided_by": row.decided_by,
        "price": _number(row.price),
        "target": _number(row.target_price),
        "stop": _number(row.stop_price),
        "r": _number(row.reward_ratio),
        "margin": _number(row.profit_margin),
        "verdict": row.state,
        "reasons": row.reasons,
        "rationale": row.rationale,
        "market_time": row.market_at.isoformat(),
    }


def _fill(row: Fill) -> dict[str, Any]:
    return {
        "quantity": _number(row.quantity),
        "price": _number(row.price),
        "commission": _number(row.commission),
        "time": row.time.isoformat(),
    }


def _order(row: Order) -> dict[str, Any]:
    return {
        "order_ref": row.order_ref,
        "perm_id": row.perm_id,
        "role": row.role,
        "symbol": row.instrument.symbol,
        "side": row.side,
        "quantity": _number(row.quantity),
        "limit_price": _number(row.limit_price),
        "stop_price": _number(row.stop_price),
        "status": row.state,
        "fills": [_fill(fill) for fill in row.fills.all() if not fill.superseded],
    }


def cycle_object(cycle: Cycle) -> dict[str, Any]:
    """The cycle as one JSON-safe object."""
    orders = entry_and_exit_orders(cycle)
    return {
        "cycle": cycle.pk,
        "status": cycle.state,
        "reason": cycle.reason,
        "account": cycle.account_id,
        "market_time": cycle.market_at.isoformat() if cycle.market_at else None,
        "executions": [_execution(row) for row in executions_of(cycle)],
        "decisions": [_decision(row) for row in decisions_of(cycle)],
        "orders": [_order(row) | {"children": [_order(child) for child in row.children.all()]} for row in orders],
    }


def _line(report: dict[str, Any], row: dict[str, Any]) -> list[str]:
    decision = next((one for one in report["decisions"] if one["symbol"] == row["symbol"]), None)
    orders = [one for one in report["orders"] if one["symbol"] == row["symbol"]]
    prices = [decision[key] or "–" for key in ("price", "target", "stop")] if decision else ["–"] * 3
    ratio = f"{Decimal(decision['r']):.2f}" if decision and decision["r"] else "–"
    margin = f"{Decimal(decision['margin']):.1%}" if decision and decision["margin"] else "–"
    return [
        row["symbol"],
        decision["type"].upper() if decision else "–",
        *prices,
        ratio,
        margin,
        decision["verdict"] if decision else row["status"],
        ", ".join(f"{one['order_ref']} {one['status']}" for one in orders) or "–",
    ]


def table(report: dict[str, Any]) -> Iterable[str]:
    """The decisions, orders and reasons as lines of text."""
    heads = ["symbol", "decision", "price", "target", "stop", "R", "margin", "verdict", "order"]
    rows = [_line(report, row) for row in report["executions"]]
    widths = [max(len(line[index]) for line in [heads, *rows]) for index in range(len(heads))]
    for line in [heads, ["─" * width for width in widths], *rows]:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
    yield ""
    for row in report["executions"]:
        decision = next((one for one in report["decisions"] if one["symbol"] == row["symbol"]), None)
        why = row["reason"] or row["outcome"]
        yield f"{row['symbol']}: {row['outcome'] or row['status']}: {why}"
        if decision and decision["rationale"]:
            yield f"    {decision['decided_by']}: {decision['rationale']}"
    for order in report["orders"]:
        yield from _order_lines(order)


def _order_lines(order: dict[str, Any]) -> Iterable[str]:
    for leg in [order, *order["children"]]:
        at = leg["limit_price"] or leg["stop_price"]
        yield f"{leg['order_ref']}  {leg['role']:<6} {leg['side']} {leg['quantity']} at {at}  {leg['status']}"
        for fill in leg["fills"]:
            yield f"    filled {fill['quantity']} at {fill['price']}, commission {fill['commission']}"
