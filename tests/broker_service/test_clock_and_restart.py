"""The gates of the clock and of the nightly restart, from the owner's own status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from broker import types
from broker.errors import OrderInvalid, TradingDisabled
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service.owner import Owner, Place
from tests.broker_service.house import bracket, placed_frames


def test_nothing_is_sent_where_the_broker_s_clock_differs(
    state: Path, settings: Settings, start: Callable[..., Owner]
) -> None:
    with EmbeddedGateway(store_path=state / "paper.sqlite3") as running:
        settings.AUTOTRADER_BROKER_PORT = running.port
        with ControlClient(running.host, running.control_port) as control:
            control.fault("clock_skew", seconds=9)
        broker = start(Place()).broker
        status = broker.status()
        assert (status.ready, status.clock) == (True, "system")
        with pytest.raises(TradingDisabled) as caught:
            broker.place(bracket(broker))
        assert caught.value.reason == "CLOCK_SKEW"
        assert placed_frames(running) == 0


def test_nothing_but_a_cancel_is_let_through_about_the_nightly_restart(
    gateway: EmbeddedGateway, place: Place, settings: Settings, start: Callable[..., Owner]
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=50)
    settings.AUTOTRADER_BROKER_RESTART_AT = time(soon.hour, soon.minute, soon.second, tzinfo=UTC)
    broker = start(place).broker
    status = broker.status()
    assert (status.phase, status.in_restart_window, status.ready) == ("restart_window", True, True)
    with pytest.raises(TradingDisabled) as caught:
        broker.place(bracket(broker))
    assert caught.value.reason == "RESTART_WINDOW"
    with pytest.raises(OrderInvalid):  # past the gates: there is no such order
        broker.cancel(types.OrderRef(status.account, "G1-E"))
    assert placed_frames(gateway) == 0
