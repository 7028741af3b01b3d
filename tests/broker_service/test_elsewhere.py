"""Programs that are not the owner: in a folder of their own, on another database or on none at all."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from autotrader.core.clock import system_now
from autotrader.management.commands.positions import document, table
from broker import codec, types
from broker.ib.fairness import CALLER
from broker.models import Submission
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.remote import _Life
from broker.service import lock
from broker.service.http import OwnerApp, Request, _closing
from broker.service.owner import Owner, Place
from tests.broker_service.conftest import Process
from tests.broker_service.house import placed_frames
from tests.support import PATIENCE_S, ROOT

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
PLACE = """
from broker import get_broker
from tests.broker_service.house import bracket
with get_broker() as broker:
    print(" ".join(leg.state for leg in broker.place(bracket(broker)).legs), broker.status().owner)
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run(folder: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """`manage.py` in a folder of its own, which it also keeps its state in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTOTRADER_")}
    environment = {
        **kept,
        "AUTOTRADER_ENV_FILE": "none",
        "AUTOTRADER_STATE_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
        **changes,
    }
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("another host")


@pytest.fixture
def address(process: Process, place: Place, state: Path) -> dict[str, str]:
    """All that a program on another host knows of the owner."""
    holder = lock.read(place.lock_path)
    assert holder is not None
    return {"AUTOTRADER_BROKER_URL": holder.url, "AUTOTRADER_BROKER_SECRET_FILE": str(state / "broker.secret")}


@pytest.mark.crash
def test_a_host_that_knows_only_address_and_secret_reads_and_trades(
    elsewhere: Path, address: dict[str, str], gateway: EmbeddedGateway, process: Process
) -> None:
    placed = run(elsewhere, "shell", "-v0", "-c", PLACE, **address)
    assert placed.stdout.startswith(f"SENT SENT SENT pid {process.pid} on "), placed.stderr
    assert Submission.objects.count() == placed_frames(gateway) == 3
    read = run(elsewhere, "positions", "--json", **address)
    assert read.returncode == 0, read.stderr
    told = json.loads(read.stdout)
    assert (told["account"]["account"], told["positions"]) == (gateway.account, [])
    assert not (elsewhere / "paper.sqlite3").exists()


@pytest.mark.crash
def test_a_wrong_secret_names_the_setting(elsewhere: Path, address: dict[str, str]) -> None:
    secret = {"AUTOTRADER_BROKER_URL": address["AUTOTRADER_BROKER_URL"], "AUTOTRADER_BROKER_SECRET": "guess"}
    refused = run(elsewhere, "positions", **secret)
    assert refused.returncode == 1
    assert "AUTOTRADER_BROKER_SECRET" in refused.stderr


@pytest.mark.crash
def test_positions_need_no_database(elsewhere: Path, address: dict[str, str], gateway: EmbeddedGateway) -> None:
    read = run(elsewhere, "positions", AUTOTRADER_DATABASE_URL=NO_DATABASE, **address)
    assert read.returncode == 0, read.stderr
    assert gateway.account in read.stdout
    assert "no positions" in read.stdout


@pytest.mark.crash
def test_without_owner_and_database_positions_own_the_connection_themselves(
    state: Path, gateway: EmbeddedGateway
) -> None:
    settings = {"AUTOTRADER_DATABASE_URL": NO_DATABASE, "AUTOTRADER_BROKER_PORT": str(gateway.port)}
    read = run(state, "positions", "--json", **settings)
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["account"]["account"] == gateway.account


@pytest.mark.crash
def test_who_may_not_own_is_told_how_to_start_the_owner(elsewhere: Path) -> None:
    refused = run(elsewhere, "positions", AUTOTRADER_BROKER_PORT="1", AUTOTRADER_PROCESS_ROLE="web")
    assert refused.returncode == 1
    assert "manage.py run_broker" in refused.stderr
    unreachable = run(elsewhere, "positions", AUTOTRADER_BROKER_URL="http://127.0.0.1:1")
    assert unreachable.returncode == 1
    assert "http://127.0.0.1:1" in unreachable.stderr
    assert "manage.py" not in unreachable.stderr


def held(symbol: str, quantity: str, value: str | None, currency: str = "USD") -> types.Position:
    money = None if value is None else Decimal(value)
    return types.Position(
        account="DU1",
        con_id=len(symbol),
        symbol=symbol,
        quantity=Decimal(quantity),
        average_cost=Decimal(10),
        market_price=Decimal(11),
        market_value=money,
        unrealized_pnl=money,
        realized_pnl=Decimal("0.5"),
        currency=currency,
    )


def account() -> types.AccountSummary:
    names = ("net_liquidation", "cash", "buying_power", "available_funds", "gross_position_value")
    more = ("init_margin", "maint_margin", "realized_pnl", "unrealized_pnl")
    told = {
        "account": "DU1",
        "currency": "USD",
        **dict.fromkeys((*names, *more), "1000"),
        "time": "2024-01-02T00:00:00Z",
    }
    return codec.loads(types.AccountSummary, json.dumps(told))


def test_positions_are_summed_by_currency_and_never_by_guess() -> None:
    rows = [held("SPY", "10.000000", "110"), held("IBM", "-3", "-33.5"), held("EURO", "1", None, "EUR")]
    told = document(rows, account())
    assert told["totals"]["USD"] == {"market_value": "76.5", "unrealized_pnl": "76.5", "realized_pnl": "1.0"}
    assert told["totals"]["EUR"]["market_value"] is None
    lines = table(rows, account())
    assert [line.split()[0] for line in lines[4:]] == ["EURO", "IBM", "SPY", "total", "total"]
    assert lines[6].split() == ["SPY", "10", "10.00", "11.00", "110.00", "110.00", "0.50"]


def test_the_pacing_is_told_who_asks_and_no_longer_than_the_call_lasts() -> None:
    assert _closing("web:42", "", CALLER.get) == "web:42"
    assert CALLER.get() == ""


def test_an_order_waits_for_no_slow_read(owner: Owner) -> None:
    app, slow = OwnerApp(owner.broker, "secret", threads=1), threading.Event()
    app._calls.submit(slow.wait)
    body = codec.dumps(types.CancelAll(owner.broker.status().account)).encode()
    request = Request("POST", "/call/cancel_all", {"authorization": "Bearer secret"}, body)
    try:
        assert asyncio.run(asyncio.wait_for(app._answer(request), PATIENCE_S))["asked"] == []
    finally:
        slow.set()
        app.close()


@pytest.mark.parametrize("minutes", [-5, 0, 5])
def test_a_deadline_is_told_by_the_owner_s_clock(owner: Owner, minutes: int) -> None:
    """The clocks of two hosts differ; neither is a call refused for that, nor may an order leave late."""
    ahead = timedelta(minutes=minutes)
    app = OwnerApp(owner.broker, "secret", now=lambda: system_now() + ahead)
    told = asyncio.run(app._answer(Request("GET", "/ping", {"authorization": "Bearer secret"}, b"")))
    app.close()
    life, now = _Life(), system_now().timestamp()
    life.note_time(told, now - 0.1, now + 0.1)
    assert life.ahead == pytest.approx(ahead.total_seconds(), abs=PATIENCE_S)
    assert app._left(datetime.fromtimestamp(now + 200 + life.ahead, UTC), 600) == pytest.approx(200, abs=PATIENCE_S)
