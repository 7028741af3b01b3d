"""What ended lies in the store: still answered for, not held in memory; and stores of before are read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from broker.paper_gateway.book import ENDED_KEPT
from broker.paper_gateway.exchange import PaperExchange

from .conftest import Desk
from .test_store import open_desk

Make = Callable[..., Desk]
FLAT = (100, 101, 99, 100, 1_000_000)


def test_orders_that_ended_long_ago_are_still_known(replay: Make) -> None:
    desk = replay([FLAT] * 3)
    for order_id in range(1, ENDED_KEPT + 52):
        desk.order(order_id, "BUY", 10, "LMT", limit_price="90.00", order_ref=f"ref{order_id}")
        desk.exchange.cancel(1, order_id)
    desk.exchange.cancel(1, 1)
    desk.order(2, "BUY", 10, "LMT", limit_price="91.00")
    assert (desk.refusals(1), desk.refusals(2)) == ([202, 10148], [202, 10148])
    ended = desk.exchange.completed_orders()
    assert [view.terms.order_ref for view in ended] == [f"ref{number}" for number in range(1, ENDED_KEPT + 52)]
    assert len(desk.exchange._book._ended) == ENDED_KEPT


def test_a_child_finds_its_parent_that_was_filled_long_ago(replay: Make) -> None:
    desk = replay([FLAT] * 4)
    desk.bracket(1, target="120.00", stop="90.00")
    desk.day(1)
    for order_id in range(4, ENDED_KEPT + 10):
        desk.order(order_id, "BUY", 10, "LMT", limit_price="90.00")
        desk.exchange.cancel(1, order_id)
    desk.order(2, "SELL", 100, "LMT", limit_price="99.50", parent_id=1, tif="GTC")
    desk.day(2)
    assert [fill.order_id for fill in desk.fills()] == [1, 2]
    assert desk.view(3).status == "Cancelled"


def test_a_store_of_the_first_kind_is_read_and_widened(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    desk.order(1, "BUY", 30, "MKT")
    desk.day(1)
    desk.order(2, "BUY", 10, "LMT", limit_price="90.00", tif="GTC")
    desk.exchange.close()
    path = tmp_path / "gateway.sqlite3"
    with sqlite3.connect(path) as file:
        cash = json.loads(file.execute("SELECT value FROM facts WHERE name = 'cash'").fetchone()[0])["USD"]
        file.execute("UPDATE facts SET value = ? WHERE name = 'cash'", (cash,))
        file.execute("UPDATE facts SET value = '0' WHERE name = 'realized'")
        file.execute("DROP INDEX orders_by_key")
        file.execute("DROP INDEX orders_by_end")
        for column in ("client_id", "order_id", "completed_at", "status"):
            file.execute(f"ALTER TABLE orders DROP COLUMN {column}")
        file.execute("ALTER TABLE holdings DROP COLUMN paid")
    after = open_desk(tmp_path)
    assert after.exchange.positions()[0].quantity == 30
    assert [view.terms.order_id for view in after.exchange.completed_orders()] == [1]
    assert [view.terms.order_id for view in after.exchange.open_orders(1)] == [2]
    assert Decimal(after.value("TotalCashValue")) == Decimal(cash).quantize(Decimal("0.01"))


def test_what_was_set_by_hand_and_what_trails_survives_a_restart(tmp_path: Path) -> None:
    store = {
        "data_folder": None,
        "store_path": tmp_path / "gateway.sqlite3",
        "system_clock": _clock,
        "set_clock": _clock(),
    }
    desk = Desk(PaperExchange(**store), "AAPL", 265598)  # type: ignore[arg-type]
    desk.exchange.set_shortable(desk.con_id, 5)
    desk.order(1, "SELL", 10, "TRAIL", trail_percent=Decimal(5), tif="GTC", good_after=datetime(2026, 3, 9, tzinfo=UTC))
    desk.order(2, "SSHORT", 50, "LMT", limit_price="500.00", tif="GTC")
    kept = list(desk.exchange.open_orders(None))
    assert kept[1].why_held == "locate"
    desk.exchange.close()
    after = Desk(PaperExchange(**store), "AAPL", 265598)  # type: ignore[arg-type]
    assert list(after.exchange.open_orders(None)) == kept
    assert after.exchange.shortable(after.con_id) == 5
    after.exchange.close()


def _clock() -> datetime:
    return datetime(2026, 3, 4, 15, tzinfo=UTC)
