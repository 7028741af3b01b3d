"""Trades made anew from fills alone are the rows that live booking made, and a second run changes nothing."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from tests.trading.builders import bought, bracket, cost, deliver, fill, report, strategy
from trading.models import Fill, Order, Trade
from trading.services.rebuild import differences, ledgers, rebuild

QUICK = settings(
    max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow], database=None
)
ROW = (
    "id", "version", "account", "strategy", "instrument", "decision", "opening_exec_id", "side", "state", "quantity",
    "open_quantity", "entry_price", "exit_price", "commission", "pnl", "opened_at", "closed_at",
)  # fmt: skip
# Which order fills, how much of it, at what price, which execution it is, and whether it corrects that one.
FILLS = st.tuples(
    st.integers(0, 8), st.integers(0, 12), st.integers(90, 110), st.integers(1, 4), st.integers(1, 3), st.booleans()
)


def rows() -> Any:
    return list(Trade.objects.order_by("id").values_list(*ROW)), list(Fill.objects.order_by("id").values_list("trade"))


def of_fills_alone() -> Any:
    kept = [name for name in ROW if name not in ("id", "version")]
    return sorted(map(str, Trade.objects.values_list(*kept)))


def command(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("rebuild_trades", "--json", *arguments, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_any_fills_of_any_ledgers_rebuild_to_what_live_booking_made(db: None) -> None:
    """Partial fills, corrections, busts, late commissions and fills that turn a position, over three ledgers."""
    orders: list[Order] = []
    for size, (name, symbol) in enumerate((("one", "AAPL"), ("two", "AAPL"), ("three", "IBM")), 10):
        orders += bracket(strategy(name, [symbol]), symbol, quantity=str(size))

    @QUICK
    @given(st.lists(FILLS, min_size=1, max_size=14))
    def check(told: list[tuple[int, int, int, int, int, bool]]) -> None:
        with transaction.atomic():
            for leg, quantity, price, number, correction, has_cost in told:
                event = fill(orders[leg], str(quantity), str(price), number=number, correction=correction)
                deliver(event, *([cost(event)] if has_cost and quantity else []))
            live, made = rows(), of_fills_alone()
            assert [found for ledger in ledgers() for found in differences(ledger)] == []
            assert command()["differences"] == []
            assert rows() == live
            Fill.objects.update(trade=None)
            Trade.objects.all().delete()
            assert command()["differences"] or not made
            assert of_fills_alone() == made
            assert command("--check")["differences"] == []
            transaction.set_rollback(True)

    check()


def spoil(**changes: Any) -> None:
    Trade.objects.update(**changes)


def test_a_spoiled_row_is_named_by_the_check_and_put_right_by_a_run(db: None) -> None:
    bought()
    before = rows()
    spoil(entry_price=1, pnl=5)
    with pytest.raises(SystemExit) as ended:
        command("--check")
    assert ended.value.code == 1
    assert {row[0] for row in Trade.objects.values_list("entry_price")} == {1}
    fixed = command()
    assert {one["field"] for one in fixed["differences"]} == {"entry_price", "pnl"}
    assert command()["differences"] == []
    kept = [name for name in ROW if name != "version"]
    assert [dict(zip(ROW, row, strict=True))[name] for row in before[0] for name in kept] == list(
        Trade.objects.values_list(*kept).get()
    )
    assert verify_chain().ok


def test_a_row_without_fills_goes_and_fills_without_a_row_get_one(db: None) -> None:
    entry, *_ = bought()
    Fill.objects.update(superseded=True)
    (ledger,) = ledgers()
    assert [(one.field, one.fills) for one in rebuild(ledger)] == [("", "none")]
    assert not Trade.objects.exists()
    Fill.objects.update(superseded=False)
    assert [(one.field, one.row) for one in rebuild(ledger)] == [("", "none")]
    assert Trade.objects.get().open_quantity == entry.quantity


def test_the_check_writes_nothing(db: None) -> None:
    bought()
    before, events = rows(), Event.objects.count()
    assert command("--check") == {"ledgers": 1, "written": False, "differences": []}
    assert (rows(), Event.objects.count()) == (before, events)


def test_a_fill_that_turns_the_position_belongs_to_the_later_trade_however_often_it_is_rebuilt(db: None) -> None:
    entry, stop, _ = bracket()
    deliver(fill(entry, "5"), fill(stop, "8", "90", number=2), report(stop, "Filled", "8", "0"))
    turning = Fill.objects.get(side="SELL")
    assert turning.trade == Trade.objects.get(side="short")
    for _ in range(2):
        assert command()["differences"] == []
        spoil(commission=9)
        command()
        turning.refresh_from_db()
        assert turning.trade == Trade.objects.get(side="short")
