"""Takes positions by hand at the gateway, as one does at the broker's own platform, and leaves as many orders working.

`python -m tests.load.holder CONTROL_PORT COUNT` ends once the desk has all of it on record.
"""

from __future__ import annotations

import csv
import sys
import time
from itertools import islice
from typing import Any

from broker.paper_gateway.control import ControlClient
from tests.support import ROOT

LISTED = ROOT / "broker" / "paper_gateway" / "universe" / "us_listed.csv"
QUANTITY = 10
PATIENCE_S = 120


def main(control_port: int, count: int) -> None:
    """A purchase at the market and a limit order far below it, in so many stocks."""
    import django

    django.setup()
    from broker import get_broker, types

    with get_broker(own=False) as broker, ControlClient("127.0.0.1", control_port) as control:
        for symbol, price in _stocks(count):
            con_id = broker.contracts(types.ContractQuery(symbol))[0].con_id
            control.manual(con_id, "BUY", QUANTITY)
            control.manual(con_id, "BUY", QUANTITY, limit=float(price // 10 or 1))
        _wait(broker, count)


def _stocks(count: int) -> list[tuple[str, int]]:
    """Symbols that nobody else trades here, with what they cost about."""
    with LISTED.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["type"] != "ETF" and row["symbol"].isalpha()]
    return [(row["symbol"], int(float(row["price"]))) for row in islice(rows, count)]


def _on_record(broker: Any) -> tuple[int, int, int]:
    """Positions and working orders at the broker, and fills by our records."""
    from trading.models import Fill

    return len(broker.positions()), len(broker.open_orders()), Fill.objects.count()


def _wait(broker: Any, count: int) -> None:
    """Raises SystemExit with what there is instead."""
    until = time.monotonic() + PATIENCE_S
    while min(found := _on_record(broker)) < count:
        if time.monotonic() > until:
            raise SystemExit(f"{found[0]} positions, {found[1]} working orders, {found[2]} fills booked of {count}")
        time.sleep(0.5)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
