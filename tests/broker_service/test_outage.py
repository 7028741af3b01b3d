"""The database or the owner goes away: reads and cancels go on, orders are refused, nothing that was said is lost."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from psycopg import sql
from pytest_django import Settings

from broker import get_broker, types
from broker.errors import TradingDisabled
from broker.models import BrokerMessage
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_service.conftest import Process
from tests.broker_service.house import CLOSE, bracket, filling, placed_frames
from tests.support import PATIENCE_S, eventually


@contextmanager
def database_gone_for_others() -> Iterator[None]:
    """End every other connection to this test's database and let no new one in; ours stays, other databases too."""
    parameters = connection.get_connection_params()
    name = sql.Identifier(parameters["dbname"])
    where = {key: value for key, value in parameters.items() if key in ("host", "port", "user", "password")}
    with psycopg.connect(**where, dbname="postgres", autocommit=True) as door, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        door.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        try:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            yield
        finally:
            door.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


@contextmanager
def database_moved(path: Path) -> Iterator[None]:
    """Whoever opens the database now does not find it; who has it open keeps it."""
    hidden = path.parent.with_name("moved away")
    path.parent.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(path.parent)


@pytest.mark.postgres
def test_a_database_that_goes_away_and_comes_back(process: Process, gateway: EmbeddedGateway) -> None:
    with get_broker() as broker:
        order = bracket(broker)
        broker.place(order)
        broker.drain()
        with database_gone_for_others():
            assert broker.account().net_liquidation
            with pytest.raises(TradingDisabled) as refused:
                broker.place(bracket(broker, "G2"))
            assert refused.value.reason == "STORAGE"
            broker.cancel(types.OrderRef(order.account, "G1-E"))
            eventually(lambda: not broker.open_orders())
            eventually(lambda: not broker.status().ready)
        eventually(lambda: broker.status().ready)
        broker.drain()
    cancelled = BrokerMessage.objects.filter(order_ref="G1-E", kind="OrderReport", payload__contains='"Cancelled"')
    assert cancelled.exists()
    assert not BrokerMessage.objects.filter(state="ERROR").exists()
    assert placed_frames(gateway) == 3


def test_a_database_file_that_is_moved_away_stops_orders_only(
    spawn: Callable[..., Process], own_database: Path, gateway: EmbeddedGateway, state: Path, settings: Settings
) -> None:
    become_ready(spawn(AUTOTRADER_DATABASE_URL=f"sqlite:///{own_database}"), state, settings)
    with get_broker() as broker:
        order = bracket(broker)
        broker.place(order)
        broker.drain()
        with database_moved(own_database):
            assert broker.account().net_liquidation
            assert broker.quote(types.ConId(order.con_id)).last
            assert len(broker.open_orders()) == 3
            with pytest.raises(TradingDisabled) as refused:
                broker.place(bracket(broker, "G2"))
            assert refused.value.reason == "STORAGE"
            broker.cancel(types.OrderRef(order.account, "G1-E"))
            eventually(lambda: not broker.open_orders())
        broker.drain()
        assert all(leg.state == "SENT" for leg in broker.place(bracket(broker, "G3")).legs)
    assert placed_frames(gateway) == 6


@pytest.fixture
def own_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file in a folder that may be moved."""
    path = tmp_path_factory.mktemp("database") / "inner" / "desk.sqlite3"
    path.parent.mkdir()
    if connection.vendor != "sqlite":
        pytest.skip("the other engine has no file to move")
    with closing(sqlite3.connect(path)) as copy:
        connection.ensure_connection()
        connection.connection.backup(copy)
    return path


def become_ready(process: Process, state: Path, settings: Settings) -> Process:
    """Wait for a run_broker; this process may not own."""
    assert process.stdout is not None
    while "ready" not in (line := process.stdout.readline()):
        assert line, "the owner ended"
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    settings.AUTOTRADER_BROKER_SECRET = (state / "broker.secret").read_text().strip()
    return process


@pytest.mark.crash
def test_what_was_heard_and_not_booked_when_the_owner_died_is_booked_by_the_next(
    spawn: Callable[..., Process], gateway: EmbeddedGateway, state: Path, settings: Settings
) -> None:
    first = become_ready(spawn(AUTOTRADER_CRASH="received_ExecutionReport"), state, settings)
    with get_broker() as broker:
        broker.place(filling(broker))
        broker.drain()
        gateway.advance(CLOSE + timedelta(hours=1))
    assert first.wait(PATIENCE_S) == -signal.SIGKILL
    heard = BrokerMessage.objects.filter(kind="ExecutionReport")
    assert not heard.exists()
    become_ready(spawn(), state, settings)
    eventually(lambda: set(heard.values_list("exec_id", "state")) == {(key, "APPLIED") for key in executed(gateway)})


def executed(gateway: EmbeddedGateway) -> list[str]:
    """The executions of the market, by exec_id."""
    return list(gateway.truth()["executions"])
