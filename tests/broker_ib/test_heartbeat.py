"""A dead connection is known in time, a living one is left alone, and the broker's clock is measured."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import types
from broker.errors import BrokerUnavailable
from broker.ib.client import NotSent
from broker.ib.heartbeat import Beat, Heartbeat, Skew, measured
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import TIMEOUT, Desk, bracket, frames, open_gate
from tests.broker_ib.proxy import Proxy
from tests.support import eventually

NOW = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)
QUICK = Beat(idle=0.2, patience=0.3, set_patience=0.3, measure=0.2)
# For while the gateway lives: on a machine that has much else to do it may be silent for a while.
CALM = Beat(idle=0.2, patience=10, set_patience=10, measure=0.2)


class Jumps(selectors.DefaultSelector):
    """Time that passes at once where nothing else is to be done, and all but stands still meanwhile."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.passed += 1e-7 + (timeout or 0.0)
        return super().select(0)


def in_no_time(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it on a loop whose time jumps."""
    time = Jumps()
    loop = asyncio.SelectorEventLoop(time)
    loop.time = lambda: time.passed  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work())


@pytest.fixture
def running(store: Path) -> Iterator[EmbeddedGateway]:
    """A gateway whose clock runs."""
    with EmbeddedGateway(store_path=store) as gateway:
        yield gateway


def test_a_black_hole_is_known_within_fifteen_seconds_by_default() -> None:
    beat = Beat()
    assert beat.idle + max(beat.patience, beat.set_patience) < 15


@pytest.mark.parametrize("clock", ["set", "system"])
def test_a_black_hole_is_known_and_refuses_at_once(
    clock: str, make_desk: Callable[..., Desk], request: pytest.FixtureRequest
) -> None:
    gateway: EmbeddedGateway = request.getfixturevalue("gateway" if clock == "set" else "running")
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port, beat=CALM)
        desk.wait_synced()
        assert desk.client.state().clock == clock
        contract = desk.contract()
        legs = bracket(desk, contract)
        proxy.muted, desk.client._session._beat = True, QUICK
        begun = time.monotonic()
        eventually(lambda: desk.all(types.ConnectionReport)[-1].state == "LOST")
        assert time.monotonic() - begun < TIMEOUT / 2
        assert "silent" in desk.all(types.ConnectionReport)[-1].detail
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            desk.client.book(TIMEOUT)
        with pytest.raises(NotSent):
            desk.place(contract, legs)
        with pytest.raises(NotSent):
            desk.client.cancel("G1-E", open_gate)
        assert time.monotonic() - begun < TIMEOUT / 2
        proxy.muted, desk.client._session._beat = False, CALM
        eventually(lambda: desk.client.state().synced)


def test_a_read_in_flight_ends_when_the_silence_is_known(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port, beat=CALM)
        desk.client.wait_connected(TIMEOUT)
        proxy.muted, desk.client._session._beat = True, QUICK
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            desk.client.book(TIMEOUT)
        assert time.monotonic() - begun < TIMEOUT / 2


def test_any_frame_is_a_sign_of_life(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        proxy.muted = True
        heart = desk.client._session._heartbeat
        assert heart is not None
        for _ in range(3):
            before = heart._heard
            proxy.inject(4, 2, -1, 2104, "OK:usfarm", "")
            eventually(lambda before=before: heart._heard > before)  # type: ignore[misc]
        assert proxy.connections == 1


@pytest.mark.parametrize("frames_at", [(0.0,), (0.15,), tuple(number / 20 for number in range(40))])
def test_silence_counts_from_the_last_frame_whenever_the_time_was_asked(frames_at: tuple[float, ...]) -> None:
    """A frame that comes after the question buys as much time as one before it, and no more."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        given_up: asyncio.Future[str] = loop.create_future()
        never: asyncio.Future[object] = loop.create_future()
        beat = Beat(idle=0.1, patience=0.2)
        heart = Heartbeat(beat, lambda: never, given_up.set_result, lambda: beat.patience, loop.time)
        running = asyncio.ensure_future(heart.run())
        for at in frames_at:
            loop.call_at(at, heart.heard)
        assert "silent" in await asyncio.wait_for(given_up, 5)
        assert loop.time() == pytest.approx(frames_at[-1] + 0.3, abs=0.001)
        await running

    in_no_time(work)


def test_an_idle_connection_is_asked_for_the_time(gateway: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(gateway.host, gateway.port, beat=CALM)
    desk.client.wait_connected(TIMEOUT)
    before, events = frames(gateway), len(desk.events)
    eventually(lambda: frames(gateway)["reqCurrentTime"] >= before["reqCurrentTime"] + 3)
    assert {name: count for name, count in frames(gateway).items() if name != "reqCurrentTime"} == {
        name: count for name, count in before.items() if name != "reqCurrentTime"
    }
    assert len(desk.events) == events, "a heartbeat is no event"
    assert desk.client.state().skew_s is None, "a set clock is nobody's"


def test_the_skew_of_a_running_clock_is_measured(running: EmbeddedGateway, make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(running.host, running.port, beat=CALM)
    desk.client.wait_connected(TIMEOUT)

    def measured_well() -> bool:
        skew = desk.client.state().skew_s
        assert skew is not None
        return abs(skew) < 1

    eventually(measured_well)  # one answer may have taken long, the next will not
    told: types.ServerTime = desk.client.read("server_time", types.Nothing(), TIMEOUT)
    assert abs(told.skew_s) <= Decimal("0.502") + told.round_trip_s / 2
    assert 0 <= told.round_trip_s < TIMEOUT
    assert told.broker.microsecond == 0


@given(st.floats(-100, 100), st.floats(0, 0.999), st.floats(0, 0.5))
def test_a_measure_is_right_to_half_a_second_and_half_the_round_trip(skew: float, fraction: float, trip: float) -> None:
    asked = NOW + timedelta(seconds=fraction)
    answered = asked + timedelta(seconds=trip)
    broker = (asked + timedelta(seconds=trip / 2 + skew)).replace(microsecond=0)
    told = measured(broker, asked, answered)
    assert abs(float(told.skew_s) - skew) <= 0.5 + trip / 2 + 0.002
    assert told.system == asked + (answered - asked) / 2


@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=50), st.integers(-5, 5))
def test_measures_are_smoothed(errors: list[float], true: int) -> None:
    skew = Skew()
    for error in errors:
        skew.add(Decimal(true) + Decimal(round(error, 3)))
    assert skew.value is not None
    assert abs(skew.value - true) <= Decimal("0.51")


def test_a_clock_that_is_set_shows_at_once() -> None:
    skew = Skew()
    for measure in ("0.1", "-0.2", "5"):
        skew.add(Decimal(measure))
    assert skew.value == 5
