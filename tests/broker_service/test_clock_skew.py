"""A clock that is off, by seconds or minutes and to either side: nothing that adds leaves, read at send time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from pytest_django import Settings

from broker.errors import TradingDisabled
from broker.gates import check_send
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from broker.service.owner import Owner, Place
from tests.broker_service.house import bracket, placed_frames


@pytest.mark.parametrize("seconds", [3, -3, 600, -600])
def test_a_clock_that_is_off_stops_new_orders_at_send_time(
    state: Path, settings: Settings, start: Callable[..., Owner], seconds: int
) -> None:
    with EmbeddedGateway(store_path=state / "paper.sqlite3") as running:
        settings.AUTOTRADER_BROKER_PORT = running.port
        with ControlClient(running.host, running.control_port) as control:
            control.fault("clock_skew", seconds=seconds)
        broker = start(Place()).broker
        status = broker.status()
        assert (status.ready, status.clock) == (True, "system")
        assert status.skew_s is not None
        assert abs(float(status.skew_s) - seconds) < 2  # half a second, and half of what the answer took
        with pytest.raises(TradingDisabled) as caught:
            broker.place(bracket(cast("Broker", broker)))
        assert caught.value.reason == "CLOCK_SKEW"
        assert placed_frames(running) == 0
        check_send(reduces=True, account=status.account, status=status)
        # Our clock is the market's all the same: what expires by it does not expire by the broker's.
        assert abs((status.market_now - status.since).total_seconds()) < 60
