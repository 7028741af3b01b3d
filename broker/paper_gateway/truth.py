"""What is true at the exchange, whatever the clients were told: the book, the executions and the account as JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from broker.paper_gateway.steering import SteeredExchange
from broker.paper_gateway.types import OrderView


def truth(exchange: SteeredExchange) -> dict[str, Any]:
    """Orders by perm id (parked, working, and ended ones of the last week), today's executions by exec id with their
    commissions, positions by contract id, and cash by currency; amounts as text, times in ISO."""
    return {
        "now": exchange.now().isoformat(),
        "account": exchange.account,
        "orders": {str(view.perm_id): _order(view) for view in exchange.all_orders()},
        "executions": {
            execution.exec_id: _plain({**asdict(execution), "commission": cost.commission})
            for execution, cost in exchange.executions()
        },
        "positions": {str(view.con_id): _plain(asdict(view)) for view in exchange.positions()},
        "cash": {row.currency: row.value for row in exchange.account_values() if row.key == "TotalCashBalance"},
    }


def _order(view: OrderView) -> dict[str, Any]:
    terms = view.terms
    return _plain(
        {
            "client_id": terms.client_id,
            "order_id": terms.order_id,
            "order_ref": terms.order_ref,
            "con_id": terms.con_id,
            "symbol": terms.symbol,
            "action": terms.action,
            "quantity": terms.quantity,
            "order_type": terms.order_type,
            "limit_price": terms.limit_price,
            "aux_price": terms.aux_price,
            "tif": terms.tif,
            "parent_perm_id": view.parent_perm_id,
            "status": view.status,
            "filled": view.filled,
            "remaining": view.remaining,
        }
    )


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in document.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
