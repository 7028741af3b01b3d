"""The desk's page with a hundred positions: what the server takes for the whole of it, the broker's answer aside."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.bench.bench_broker import prepared
from tests.bench.frame import Measured, bench, median_of

ACCOUNT = "DU-desk"
POSITIONS = 100
ROUNDS = 30


@bench("desk page, 100 positions and orders", target=0.3)
def desk_page() -> Measured:
    """As many holdings, open trades and working orders, fifteen cycles, and thirty lines of events."""
    prepared()
    from django.test import Client

    from autotrader.core.users.models import User
    from trading.web import numbers

    rows()
    told = answer()
    user, _ = User.objects.get_or_create(username="bench desk", is_superuser=True)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    asking = numbers._ask
    numbers._ask = lambda: told

    def render() -> None:
        page = client.get("/desk/")
        if page.status_code != 200 or page.content.count(b"112.34") != POSITIONS:
            raise RuntimeError(f"not the desk with {POSITIONS} positions: {page.status_code}")

    try:
        return median_of(render, rounds=ROUNDS)
    finally:
        numbers._ask = asking


def rows() -> None:
    """What our own records hold of it."""
    from trading.models import Account, Cycle, Instrument, Order, Trade

    at = datetime.now(UTC)
    Account.objects.create(id=ACCOUNT, kind="paper", base_currency="USD", created_at=at)
    for number in range(1, POSITIONS + 1):
        held = Instrument.objects.create(symbol=f"DESK{number}", con_id=number)
        Trade.objects.create(
            account_id=ACCOUNT, instrument=held, opening_exec_id=f"desk{number}", side="long", state="OPEN",
            quantity=10, open_quantity=10, entry_price=100, opened_at=at,
        )  # fmt: skip
        Order.objects.create(
            account_id=ACCOUNT, instrument=held, group=f"desk{number}", role="stop", order_ref=f"desk{number}-S",
            perm_id=number, side="SELL", quantity=10, order_type="STP", tif="GTC", state="ACCEPTED", created_at=at,
            market_at=at,
        )  # fmt: skip
    for number in range(15):
        state = "RUNNING" if number < 10 else "DONE"
        Cycle.objects.create(
            trigger="manual", state=state, requested_by="bench", correlation_id=f"desk{number}", created_at=at
        )


def answer() -> Any:
    """What the broker says: a hundred holdings with their results, each with a stop that works."""
    from broker import types
    from trading.web.numbers import Told

    now, ten, value = datetime.now(UTC), Decimal(10), Decimal("1123.40")
    numbers = range(1, POSITIONS + 1)
    status = types.BrokerStatus(
        ready=True, connected=True, reason="", account=ACCOUNT, accounts=(ACCOUNT,), clock="system", market_now=now,
        since=now, owner="bench", phase="ready",
    )  # fmt: skip
    summary = types.AccountSummary(ACCOUNT, "USD", *[value] * 9, time=now)
    held = [
        types.Position(ACCOUNT, number, f"DESK{number}", ten, ten, Decimal("112.34"), value, ten, ten)
        for number in numbers
    ]
    results = [types.PositionPnl(one.con_id, one.symbol, ten, ten, ten, ten, value) for one in held]
    orders = [
        types.OrderReport(
            ACCOUNT, f"desk{number}-S", number, 1, number, f"DESK{number}", "SELL", ten, "STP", None, Decimal(95),
            "GTC", "PreSubmitted", Decimal(0), ten, None, "", 0, "", now,
        )
        for number in numbers
    ]  # fmt: skip
    pnl = types.ProfitAndLoss(ACCOUNT, ten, ten, ten, tuple(results), now)
    return Told(status, summary, tuple(held), tuple(orders), pnl)
