"""Five-second bars of shared streams through a real socket, on a clock that runs fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from broker import types
from broker.errors import MarketDataError
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, TIMEOUT, Desk, frames
from tests.broker_ib.proxy import Proxy
from tests.support import eventually, in_threads

STEP = timedelta(seconds=5)
BUST = 10225
MakeDesk = Callable[..., Desk]


@pytest.fixture
def gateway() -> Iterator[EmbeddedGateway]:
    """A gateway whose market minute lasts a second."""
    with EmbeddedGateway(start=CLOSE - timedelta(hours=3), speed=60.0) as running:
        yield running


def bars(desk: Desk, timeout: float = TIMEOUT, **changes: Any) -> tuple[types.RealTimeBar, ...]:
    contract = desk.contract()
    query = types.RealTimeBarsQuery(contract.con_id, **changes)
    answer: tuple[types.RealTimeBar, ...] = desk.client.read("realtime_bars", query, timeout, [contract])
    return answer


def asked(gateway: EmbeddedGateway, name: str = "reqRealTimeBars") -> int:
    return frames(gateway).get(name, 0)


def assert_whole(found: tuple[types.RealTimeBar, ...]) -> None:
    times = [bar.time for bar in found]
    assert times == sorted(set(times))
    for bar in found:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume >= 0


def test_bars_gather_in_one_stream_for_all_callers(desk: Desk, gateway: EmbeddedGateway) -> None:
    answers = in_threads([lambda: bars(desk)] * 8, threads=8)
    assert all(answers)
    assert asked(gateway) == 1
    assert desk.client.lines.real_time_bars == 1
    assert eventually(lambda: len(bars(desk)) >= 5)
    found = bars(desk)
    assert_whole(found)
    assert {later.time - bar.time for bar, later in pairwise(found)} == {STEP}


def test_only_bars_after_a_moment_and_at_least_one(desk: Desk) -> None:
    last = bars(desk)[-1].time
    later = bars(desk, after=last)
    assert later
    assert later[0].time == last + STEP


def test_kinds_of_bars_have_streams_of_their_own(desk: Desk, gateway: EmbeddedGateway) -> None:
    bid, ask = bars(desk, what="BID"), bars(desk, what="ASK")
    assert_whole(bid)
    assert_whole(ask)
    assert asked(gateway) == desk.client.lines.real_time_bars == 2


def test_what_was_heard_outlives_the_connection(desk: Desk, gateway: EmbeddedGateway) -> None:
    before = bars(desk)
    gateway.fault("reset")
    gateway.heal()
    assert eventually(lambda: asked(gateway) == 2)
    assert eventually(lambda: desk.client.state().synced)
    after = bars(desk, after=before[-1].time)
    assert_whole(after)
    assert bars(desk)[: len(before)] == before


def test_a_bust_stream_is_made_again(gateway: EmbeddedGateway, make_desk: MakeDesk) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.client.wait_connected(TIMEOUT)
        before = bars(desk)
        request_id = gateway.frames("reqRealTimeBars")[-1][2]
        proxy.inject(4, 2, request_id, BUST, "Bust event occurred, current subscription is deactivated.", "")
        assert eventually(lambda: asked(gateway) == 2)  # at once, whether or not anybody asks
        assert_whole(bars(desk, after=before[-1].time))
        assert asked(gateway, "cancelRealTimeBars") == 1


@pytest.mark.parametrize("code", [420, 354, 10197])
def test_a_refusal_is_told_and_the_next_asking_tries_again(desk: Desk, gateway: EmbeddedGateway, code: int) -> None:
    gateway.fault("refuse", kinds=("reqRealTimeBars",), code=code, text="Invalid Real-time Query", times=1)
    with pytest.raises(MarketDataError) as caught:
        bars(desk)
    assert caught.value.details["broker_code"] == code
    assert desk.client.lines.real_time_bars == 0
    assert bars(desk)


def test_a_market_that_stands_still_is_an_error_within_the_call_s_time(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.ib.real_time.MARGIN", TIMEOUT - 0.5)
    with EmbeddedGateway(set_clock=CLOSE) as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        with pytest.raises(MarketDataError) as caught:
            bars(desk)
        assert caught.value.reason == "NO_BAR_YET"


def test_a_stream_that_nobody_asks_for_ends(
    monkeypatch: pytest.MonkeyPatch, gateway: EmbeddedGateway, make_desk: MakeDesk
) -> None:
    monkeypatch.setattr("broker.ib.data.IDLE", 0.3)
    desk = make_desk(gateway.host, gateway.port)
    desk.client.wait_connected(TIMEOUT)
    bars(desk)
    assert eventually(lambda: desk.client.lines.real_time_bars == 0)
    assert eventually(lambda: asked(gateway, "cancelRealTimeBars") == 1)
