"""The database goes away under a running owner: reads and cancels go on, orders are refused, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from broker import get_broker, types
from broker.errors import TradingDisabled
from broker.models import BrokerMessage
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_service.conftest import Process
from tests.broker_service.house import bracket, placed_frames
from tests.support import eventually

pytestmark = pytest.mark.postgres


@contextmanager
def database_gone_for_others() -> Iterator[None]:
    """End every other connection and hide the server's socket; this process's connection stays."""
    socket = next(Path(connection.get_connection_params()["host"]).glob(".s.PGSQL.*[0-9]"))
    hidden = socket.with_name("hidden")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        socket.rename(hidden)
        try:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            yield
        finally:
            hidden.rename(socket)


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
