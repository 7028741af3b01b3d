"""What generated requests are told of a desk: its symbols, its rows, and an entry that its controls allow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.fuzz.running import Known

TICK = Decimal("0.01")


def known_of(symbols: list[str], ask: Decimal) -> Known:
    """`ask` is the price of the first symbol now."""
    from trading.models import Order, Strategy

    symbol = symbols[0]
    limit, stop, target = (str((ask * Decimal(part)).quantize(TICK)) for part in ("1.002", "0.95", "1.08"))
    entry: dict[str, Any] = {"symbol": symbol, "side": "BUY", "quantity": "1", "order_type": "LMT", "purpose": "entry"}
    entry |= {"limit_price": limit, "stop_price": stop, "target_price": target}
    market = {name: value for name, value in entry.items() if name != "limit_price"} | {"order_type": "MKT"}
    leave = {"symbol": symbol, "side": "SELL", "quantity": "1", "order_type": "MKT", "purpose": "exit"}
    orders = [entry, {**entry, "quantity": "2", "intended": True}, market, leave]
    names = list(Strategy.objects.values_list("name", flat=True))
    return Known(
        values={
            "symbol": list(symbols),
            "symbols": [symbol, ",".join(symbols)],
            "id": list(range(1, 21)),
            "order_ref": list(Order.objects.order_by("-pk").values_list("order_ref", flat=True)[:50]) or ["A1-E"],
            "strategy": names,
        },
        bodies={
            "/api/orders/place": orders,
            "/api/orders/preview": orders,
            "/api/orders/{order_ref}/modify": [{"limit_price": limit}, {"stop_price": stop}, {"quantity": "1"}],
            "/api/cycles": [{"strategies": names, "dry_run": False}, {"strategies": names, "symbols": [symbol]}],
            "/api/instruments": [{"symbol": each} for each in ("QQQ", "MSFT", *symbols)],
            "/api/halt": [{"reason": "a generated halt", "state": state} for state in ("HALTED", "REDUCING")],
        },
    )
