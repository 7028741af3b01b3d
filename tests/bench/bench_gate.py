"""How long the controls take: the proposal with its ledger, each rule, and each rule again under the account's lock."""

from __future__ import annotations

import io
import statistics
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.bench.frame import Measured, bench, seconds_of

if TYPE_CHECKING:
    from trading.models import Decision, Instrument, Order

TRADES, ORDERS, ROUNDS = 100, 500, 300


@bench(f"gate, all controls twice, {ORDERS} orders, {TRADES} open trades, p99", target=0.02)
def gate() -> Measured:
    """On SQLite, one decision judged over and over in a ledger that is full."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("prepare", stdout=io.StringIO())
    from tests.trading import builders
    from trading.services.accounts import snapshot_take

    decision = builders.decided(builders.claimed(builders.strategy("gated", symbols=("AAPL",))), quantity="10")
    _fill_ledger(decision, builders.instrument("IBM"))
    snapshot_take(builders.summary("10000000"), [], cause="fill", market_at=builders.NOW)
    for _ in range(20):
        _judge_twice(decision)
    times = [seconds_of(lambda: _judge_twice(decision)) for _ in range(ROUNDS)]
    return Measured(statistics.quantiles(times, n=100)[-1])


def _judge_twice(decision: Decision) -> None:
    from autotrader.core import audit
    from tests.trading.builders import market
    from trading.models import Account
    from trading.risk.rules import judge
    from trading.services.proposals import decision_proposal, judge_again

    proposal, _ = decision_proposal(decision, market(equity="10000000"))
    judge(proposal)
    with audit.recording():
        judge_again(proposal, Account.objects.select_for_update().get(pk=decision.account_id))


def _fill_ledger(decision: Decision, other: Instrument) -> None:
    """Open trades with their working legs, and orders of this day that have ended, in rows of their own."""
    from tests.trading.builders import NOW, D
    from trading.models import Order, Trade

    entries = Order.objects.bulk_create(_order(decision, other, number, "entry", "FILLED") for number in range(TRADES))
    legs = [
        _order(decision, other, number, role, "ACCEPTED", parent=entry)
        for number, entry in enumerate(entries)
        for role in ("stop", "target")
    ]
    ended = (_order(decision, other, number, "exit", "CANCELLED") for number in range(ORDERS - 3 * TRADES))
    Order.objects.bulk_create([*legs, *ended])
    Trade.objects.bulk_create(
        Trade(
            account=decision.account, instrument=other, opening_exec_id=f"e{number}", side="long", state="OPEN",
            quantity=D(10), open_quantity=D(10), entry_price=D(100), opened_at=NOW - timedelta(days=1),
        )
        for number in range(TRADES)
    )  # fmt: skip


def _order(
    decision: Decision, instrument: Instrument, number: int, role: str, state: str, parent: Order | None = None
) -> Order:
    from tests.trading.builders import NOW
    from trading.models import Order

    at = NOW - timedelta(minutes=10, seconds=number)
    return Order(
        account=decision.account, strategy=decision.strategy if number % 4 == 0 else None,
        instrument=decision.instrument if number % 8 == 0 else instrument, group=f"G{number}", role=role, parent=parent,
        order_ref=f"G{number}-{role[:2]}", side="BUY" if role == "entry" else "SELL", quantity=Decimal(10),
        order_type="LMT", limit_price=Decimal(100 + number), tif="GTC", state=state, created_at=at, market_at=at,
    )  # fmt: skip
