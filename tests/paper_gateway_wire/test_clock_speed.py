"""A gateway whose market time starts elsewhere, flies, stands, jumps, and goes on after a kill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ib_insync import LimitOrder

from broker.paper_gateway.control_client import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import START, connected, eventually
from tests.paper_gateway_wire.test_process import process
from tests.support import PATIENCE_S

HOUR = timedelta(hours=1)


@pytest.fixture
def flying() -> Iterator[EmbeddedGateway]:
    """A market time that begins at START, and goes on when it is told."""
    with EmbeddedGateway(seed=7, start=START, speed=0) as running:
        yield running


async def test_bars_form_and_quotes_move_as_time_flies(flying: EmbeddedGateway) -> None:
    async with connected(flying.port) as client:
        assert await client.fence() == START
        spy = await client.contract("SPY")
        ticker = client.ib.reqMktData(spy)
        bars = await client.ib.reqHistoricalDataAsync(spy, "", "1 D", "5 mins", "TRADES", True, keepUpToDate=True)  # noqa: FBT003
        count, last = len(bars), ticker.last
        with ControlClient("127.0.0.1", flying.control_port) as control:
            control.speed(600)
        await eventually(lambda: len(bars) >= count + 2 and ticker.last != last)
        times = [bar.date for bar in bars]
        assert times == sorted(set(times))
        with ControlClient("127.0.0.1", flying.control_port) as control:
            control.speed(0)
        stood = await client.fence()
        again = await client.ib.reqHistoricalDataAsync(spy, "", "1 D", "5 mins", "TRADES", useRTH=True)
        await eventually(lambda: bars[-1] == again[-1])
        assert await client.fence() == stood


async def test_a_jump_fills_what_the_market_would_have_filled(flying: EmbeddedGateway) -> None:
    async with connected(flying.port) as client:
        with ControlClient("127.0.0.1", flying.control_port) as control:
            spy = await client.contract("SPY")
            (ticker,) = await client.ib.reqTickersAsync(spy)
            order = LimitOrder("BUY", 1, round(ticker.last * 0.999, 2), tif="GTC")
            trade = client.ib.placeOrder(spy, order)
            await client.fence()
            await asyncio.to_thread(control.jump, START + 48 * HOUR)
        assert await client.fence() == START + 48 * HOUR
        assert trade.isDone()
        assert START < trade.fills[0].execution.time < START + 48 * HOUR


async def test_a_killed_gateway_goes_on_where_its_clock_stood(tmp_path: Path) -> None:
    options = ["--store", str(tmp_path / "paper.sqlite3"), "--start", START.isoformat(), "--hours", "exchange"]
    with process(*options, "--speed", "36000", "--delayed", "MSFT, IBM") as (child, said):
        async with connected(int(said["port"])) as client:
            await eventually(lambda: _beyond(client.ib.reqCurrentTimeAsync(), START + 12 * HOUR))
            reached, began = await client.fence(), time.monotonic()
        child.kill()
        child.wait()
        went_on = timedelta(seconds=36_000 * (time.monotonic() - began))
    with process(*options, "--speed", "0") as (_, said):
        async with connected(int(said["port"])) as client:
            after = await client.fence()
            assert reached <= after < reached + went_on + 40 * HOUR
            assert after == await client.fence()


async def _beyond(asked: object, moment: datetime) -> bool:
    reached: datetime = await asked  # type: ignore[misc]
    return reached > moment


@pytest.mark.parametrize("wrong", [["--speed", "-1"], ["--speed", "fast"], ["--start", "soon"], ["--hours", "some"]])
def test_options_that_mean_nothing_are_told(wrong: list[str]) -> None:
    with process(*wrong) as (child, said):
        assert child.wait(PATIENCE_S) == 2
        assert said == {}


def test_a_set_clock_and_a_start_do_not_go_together() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    with process("--set-clock", START.isoformat(), "--start", start) as (child, _):
        assert child.wait(PATIENCE_S) == 1
        assert child.stderr is not None
        assert "either" in child.stderr.read()
