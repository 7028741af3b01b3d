"""The store: a restart, also after kill -9, finds everything that was told; wrong stores are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from broker.paper_gateway.errors import StoreMismatch
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.store import read_account
from broker.paper_gateway.universe import derived_con_id

from .conftest import Desk, close_of, write_daily

ROWS = [(100, 101, 99, 100, 405)] * 5
MONDAY = close_of(date(2019, 6, 3))
PROJECT = Path(__file__).resolve().parents[2]


def open_desk(folder: Path, **options: Any) -> Desk:
    write_daily(folder, "XYZ", ROWS)
    settings: dict[str, Any] = {"set_clock": MONDAY, "store_path": folder / "gateway.sqlite3"}
    exchange = PaperExchange(data_folder=folder, system_clock=lambda: MONDAY, **(settings | options))
    return Desk(exchange, "XYZ", derived_con_id("XYZ"))


def state(desk: Desk) -> list[Any]:
    exchange = desk.exchange
    parts = (exchange.open_orders(None), exchange.completed_orders(), exchange.executions(), exchange.positions())
    return [exchange.account, exchange.now(), *map(list, parts), list(exchange.account_values())]


def work(desk: Desk) -> None:
    desk.order(1, "BUY", 30, "MKT")
    desk.bracket(2, target="120.00", stop="90.00", tif="GTC")
    desk.order(5, "BUY", 10, "LMT", limit_price="90.00", transmit=False, order_ref="parked", extra={"hidden": "0"})
    desk.exchange.note_order_id(8, 40)
    desk.day(2)


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    before = open_desk(tmp_path)
    work(before)
    kept = state(before)
    before.exchange.close()
    after = open_desk(tmp_path)
    assert state(after) == kept
    assert [after.exchange.next_order_id(client) for client in (1, 8)] == [6, 41]
    after.order(5, "BUY", 10, "LMT", limit_price="91.00", order_ref="parked")
    after.order(6, "BUY", 10, "LMT", limit_price="91.00")
    perm_ids = {view.perm_id for view in [*after.exchange.open_orders(None), *after.exchange.completed_orders()]}
    assert len(perm_ids) == 6
    after.day(3)
    exec_ids = {fill.exec_id for fill in [*before.fills(), *after.fills()]}
    assert len(exec_ids) == len(before.fills()) + len(after.fills()) > len(before.fills())


def test_a_later_set_clock_plays_what_lies_between(tmp_path: Path) -> None:
    before = open_desk(tmp_path)
    work(before)
    before.exchange.close()
    after = open_desk(tmp_path, set_clock=close_of(date(2019, 6, 6)))
    assert after.exchange.positions()[0].quantity == 130
    assert after.exchange.now() == close_of(date(2019, 6, 6))


def test_a_clock_stopped_inside_a_bar_goes_on_inside_it(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    desk.bracket(1, target="101.00", stop="50.00", quantity=20, tif="GTC")
    desk.exchange.advance(datetime(2019, 6, 4, 14, tzinfo=UTC))
    desk.exchange.close()
    after = open_desk(tmp_path)
    after.day(1)
    assert [(fill.order_id, fill.price) for fill in after.fills()] == [(2, Decimal("101.00"))]


CRASH = """
import sys
from pathlib import Path
from broker.paper_gateway.types import Executed
from tests.paper_gateway.test_store import open_desk
desk = open_desk(Path(sys.argv[1]))
def told(event):
    if isinstance(event, Executed):
        print(event.execution.exec_id, event.order.perm_id, flush=True)
        sys.stdin.read()
desk.exchange.listen(told)
desk.order(1, "BUY", 30, "MKT")
desk.day(1)
"""


def test_what_was_told_survives_kill_9(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout is not None
    told = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    desk = open_desk(tmp_path)
    (execution, _), (order,) = desk.exchange.executions()[0], desk.exchange.completed_orders()
    assert [execution.exec_id, str(order.perm_id)] == told
    assert desk.exchange.positions()[0].quantity == 30


def test_account_is_made_once_and_can_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite3"
    assert read_account(path) is None
    account = open_desk(tmp_path).exchange.account
    assert account[:2] == "DU"
    assert len(account) == 9
    assert read_account(path) == account
    assert open_desk(tmp_path).exchange.account == account
    path.with_name("other").write_text("no database at all, but long enough to be looked at" * 20)
    assert read_account(path.with_name("other")) is None
    with pytest.raises(StoreMismatch):
        open_desk(tmp_path, store_path=path.with_name("other"))


def test_orders_of_a_running_gateway_end_while_it_is_down(tmp_path: Path) -> None:
    now = [datetime(2026, 3, 4, 15, tzinfo=UTC)]
    settings: dict[str, Any] = {"store_path": tmp_path / "gateway.sqlite3", "system_clock": lambda: now[0]}
    desk = Desk(PaperExchange(data_folder=None, **settings), "AAPL", 265598)
    desk.order(1, "BUY", 10, "LMT", limit_price="1.00")
    desk.order(2, "BUY", 10, "LMT", limit_price="1.00", tif="GTC")
    desk.exchange.close()
    now[0] += timedelta(days=3)
    after = Desk(PaperExchange(data_folder=None, **settings), "AAPL", 265598)
    assert [view.terms.order_id for view in after.exchange.open_orders(None)] == [2]
    assert after.exchange.completed_orders()[0].completed_status == "Expired"


@pytest.mark.parametrize("wrong", [{"account": "DU7654321"}, {"set_clock": None}, {"data_folder": None, "seed": 2}])
def test_a_store_of_something_else_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    settings: dict[str, Any] = {
        "data_folder": None,
        "store_path": tmp_path / "gateway.sqlite3",
        "set_clock": MONDAY,
        "system_clock": lambda: MONDAY,
    }
    PaperExchange(**settings).close()
    with pytest.raises(StoreMismatch):
        PaperExchange(**(settings | wrong))
