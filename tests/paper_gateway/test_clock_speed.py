"""A running clock that starts anywhere, goes at any speed and jumps; it never goes back, not over a restart either."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.paper_gateway.clock import RunningClock
from broker.paper_gateway.errors import StoreMismatch
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.universe import derived_con_id

from .conftest import Desk, RunningTime

SYSTEM = datetime(2026, 3, 4, 15, 0, 5, tzinfo=UTC)
START = datetime(2019, 6, 3, 14, 0, tzinfo=UTC)


def exchange(time: Callable[[], datetime], **options: Any) -> PaperExchange:
    settings: dict[str, Any] = {"data_folder": None, "store_path": None, "account": "DU1"}
    return PaperExchange(system_clock=time, **(settings | options))


def test_a_clock_of_its_own_runs_from_its_start_at_its_speed() -> None:
    time = RunningTime(SYSTEM)
    clock = RunningClock(time, start=START, speed=60)
    assert clock.now() == START
    time.at += timedelta(seconds=2)
    assert clock.now() == START + timedelta(minutes=2)
    clock.set_speed(0)
    time.at += timedelta(hours=1)
    assert clock.now() == START + timedelta(minutes=2)
    clock.set_speed(0.5)
    time.at += timedelta(seconds=10)
    assert clock.now() == START + timedelta(minutes=2, seconds=5)


def test_a_clock_that_was_told_nothing_follows_the_systems() -> None:
    time = RunningTime(SYSTEM)
    clock = RunningClock(time)
    time.at -= timedelta(hours=1)
    assert clock.now() == time.at
    clock.jump(SYSTEM)
    time.at += timedelta(seconds=1)
    assert clock.now() == SYSTEM + timedelta(seconds=1)


STEPS = st.lists(
    st.tuples(st.floats(-3600, 3600), st.sampled_from(["speed", "jump", "look"]), st.floats(0, 1000)), max_size=20
)


@given(steps=STEPS)
def test_it_never_goes_back_whatever_the_system_clock_does(steps: list[tuple[float, str, float]]) -> None:
    time = RunningTime(SYSTEM)
    clock = RunningClock(time, start=START)
    seen = clock.now()
    for passed, action, value in steps:
        time.at += timedelta(seconds=passed)
        if action == "speed":
            clock.set_speed(value)
        elif action == "jump":
            clock.jump(clock.now() + timedelta(seconds=value))
        now = clock.now()
        assert now >= seen
        seen = now


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf"), 1e9])
def test_speeds_that_no_clock_has_are_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="no speed"):
        RunningClock(RunningTime(SYSTEM), speed=speed)


def test_a_jump_back_is_refused() -> None:
    clock = RunningClock(RunningTime(SYSTEM), start=START)
    with pytest.raises(ValueError, match="does not go back"):
        clock.jump(START - timedelta(seconds=1))
    with pytest.raises(ValueError, match="later than there are prices"):
        clock.jump(START.replace(year=2100))


def test_a_jump_plays_what_happens_between() -> None:
    made = exchange(RunningTime(SYSTEM), start=START, speed=0)
    desk = Desk(made, "AAPL", 265598)
    last = made.quote(desk.con_id).last
    assert last is not None
    low = min(bar.low for bar in _after(made, desk.con_id, timedelta(days=2)))
    desk.order(1, "BUY", 10, "LMT", limit_price=str(round(low, 2)), tif="GTC")
    assert desk.fills() == []
    made.clock_jump(START + timedelta(days=2))
    (fill,) = desk.fills()
    assert START < fill.time <= made.now() == START + timedelta(days=2)
    made.close()


def _after(made: PaperExchange, con_id: int, span: timedelta) -> list[Any]:
    """The hours that will come, as another exchange that is there already sees them."""
    ahead = exchange(RunningTime(SYSTEM), start=made.now() + span, speed=0)
    bars = ahead.bars(con_id, bar_size="1 hour", duration="2 D", end=None, use_rth=False)
    ahead.close()
    return [bar for bar in bars if bar.start >= made.now()]


def test_a_set_clock_has_no_speed() -> None:
    made = exchange(RunningTime(SYSTEM), set_clock=START)
    with pytest.raises(ValueError, match="set clock"):
        made.clock_speed(2)
    with pytest.raises(ValueError, match="set clock"):
        made.clock_jump(START + timedelta(days=1))
    made.close()


def test_a_store_goes_on_where_its_clock_stood(tmp_path: Path) -> None:
    time, store = RunningTime(SYSTEM), tmp_path / "store.sqlite3"
    first = exchange(time, store_path=store, start=START, speed=60)
    time.at += timedelta(seconds=10)
    first.close()
    time.at += timedelta(days=1)
    second = exchange(time, store_path=store, start=START)
    assert second.now() == START + timedelta(minutes=10)
    time.at += timedelta(seconds=1)
    assert second.now() == START + timedelta(minutes=11)
    second.close()
    later = exchange(time, store_path=store, start=START + timedelta(days=30), speed=1)
    assert later.now() == START + timedelta(days=30)
    later.close()


def test_after_a_kill_time_goes_on_from_no_earlier_than_it_was_shown(tmp_path: Path) -> None:
    time, store = RunningTime(SYSTEM), tmp_path / "store.sqlite3"
    first = exchange(time, store_path=store, start=START, speed=3600)
    time.at += timedelta(seconds=5)
    first.tick()
    time.at += timedelta(seconds=1)
    shown = first.now()
    second = exchange(time, store_path=store, start=START)
    assert shown <= second.now() <= shown + timedelta(hours=2)
    second.close()


def test_a_store_that_lived_in_the_present_is_not_sent_into_the_past(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite3"
    exchange(RunningTime(SYSTEM), store_path=store).close()
    with pytest.raises(StoreMismatch, match="cannot go back"):
        exchange(RunningTime(SYSTEM), store_path=store, start=START)


def test_a_set_clock_takes_neither_start_nor_speed() -> None:
    with pytest.raises(StoreMismatch, match="either"):
        exchange(RunningTime(SYSTEM), set_clock=START, speed=2)


def test_a_clock_of_its_own_drives_replayed_prices_too(tmp_path: Path) -> None:
    rows = ["2019-06-03,100,110,90,105,1000000", "2019-06-04,105,115,95,110,1000000"]
    (tmp_path / "XYZ_1d.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    time = RunningTime(SYSTEM)
    made = exchange(time, data_folder=tmp_path, start=START + timedelta(hours=8), speed=3600)
    desk = Desk(made, "XYZ", derived_con_id("XYZ"))
    desk.order(1, "BUY", 10, "LMT", limit_price="96.00", tif="GTC")
    time.at += timedelta(seconds=24)
    made.tick()
    assert [fill.price for fill in desk.fills(1)] == [96]
    made.close()
