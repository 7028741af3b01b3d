"""The gates of the clock and of the nightly restart, from the owner's own status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import cast

import pytest
from pytest_django import Settings

from autotrader.core.clock import system_now
from broker import types
from broker.errors import OrderInvalid, TradingDisabled
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from broker.service.owner import Owner, Place
from tests.broker_service.house import CLOSE, bracket, filling, placed_frames
from tests.support import eventually


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


def test_a_gateway_whose_clock_flies_trades_by_its_own_time(
    state: Path, start: Callable[..., Owner], settings: Settings
) -> None:
    with EmbeddedGateway(start=CLOSE, speed=60.0, store_path=state / "paper.sqlite3") as flying:
        settings.AUTOTRADER_BROKER_PORT = flying.port
        broker = start(Place()).broker
        status = broker.status()
        assert (status.clock, status.skew_s) == ("set", None)
        assert CLOSE <= status.market_now < CLOSE + timedelta(hours=1)
        broker.place(filling(cast("Broker", broker)))
        eventually(lambda: broker.read("executions", types.Nothing()))
        (fill,) = broker.read("executions", types.Nothing())
        assert CLOSE <= fill.time < CLOSE + timedelta(hours=1)


def test_a_clock_that_jumps_is_followed(state: Path, start: Callable[..., Owner], settings: Settings) -> None:
    with EmbeddedGateway(store_path=state / "paper.sqlite3") as running:
        settings.AUTOTRADER_BROKER_PORT = running.port
        broker = start(Place()).broker
        assert broker.status().clock == "system"
        ahead = system_now() + timedelta(hours=2)
        running.command("jump", to=ahead.isoformat())
        eventually(lambda: broker.status().clock == "set")
        assert broker.status().market_now >= ahead - timedelta(seconds=1)
        assert broker.place(bracket(cast("Broker", broker))).legs[0].state == "SENT"
