"""Historical bars of long ranges through a real socket: pieces that join without a double, a hole or a wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from broker import types
from broker.errors import BrokerUnavailable, MarketDataError
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import CLOSE, TIMEOUT, Desk, frames
from tests.support import REAL_BARS, needs_real_bars

COLUMNS = ("open", "high", "low", "close", "volume")
NO_DATA = "Historical Market Data Service error message:HMDS query returned no data: AAPL@SMART Trades"


def bars(desk: Desk, size: str, period: str, **changes: Any) -> types.Bars:
    contract = changes.pop("contract", None) or desk.contract()
    timeout = changes.pop("timeout", TIMEOUT)
    query = types.BarsQuery(contract.con_id, size, period, **changes)
    answer: types.Bars = desk.client.read("bars", query, timeout, [contract])
    return answer


def bad_request(desk: Desk, size: str, period: str, **changes: Any) -> str:
    with pytest.raises(MarketDataError) as caught:
        bars(desk, size, period, **changes)
    assert caught.value.reason == "BAD_REQUEST"
    return str(caught.value.details["field"])


def asked(gateway: EmbeddedGateway) -> int:
    return frames(gateway).get("reqHistoricalData", 0)


@pytest.mark.parametrize(
    ("size", "period", "pieces"),
    [
        ("1 secs", "5400 S", 3),
        ("30 secs", "57600 S", 2),
        ("1 min", "3 D", 3),
        ("5 mins", "10 D", 2),
        ("1 hour", "3 M", 3),
        ("1 hour", "100000 S", 2),
    ],
)
def test_a_long_range_is_whole(desk: Desk, gateway: EmbeddedGateway, size: str, period: str, pieces: int) -> None:
    found = bars(desk, size, period)
    steps = np.diff(found.time)
    assert steps.min() == steps.max()  # the seeded market trades always
    assert found.time[-1] + steps[0] >= np.datetime64(CLOSE.replace(tzinfo=None), "s")
    assert asked(gateway) == pieces
    assert {len(getattr(found, name)) for name in COLUMNS} == {len(found.time)}
    assert (found.bar_size, found.period) == (size, period)


def test_days_come_in_one_answer(desk: Desk, gateway: EmbeddedGateway) -> None:
    found = bars(desk, "1 day", "5 Y")
    assert len(found.time) > 1800
    assert (found.time == found.time.astype("datetime64[D]")).all()
    assert asked(gateway) == 1


def test_more_days_than_tws_takes_come_by_the_year(desk: Desk) -> None:
    many, year = bars(desk, "1 day", "500 D"), bars(desk, "1 day", "365 D")
    assert (len(many.time), len(year.time)) == (500, 365)
    assert np.array_equal(many.close[-365:], year.close)
    assert len(bars(desk, "1 week", "500 D").time) == 72


def test_nights_and_weekends_lie_between_the_pieces(make_desk: Callable[..., Desk]) -> None:
    with EmbeddedGateway(set_clock=CLOSE, hours="exchange") as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        found = bars(desk, "30 secs", "3 D")
    days, counts = np.unique(found.time.astype("datetime64[D]"), return_counts=True)
    assert [str(day) for day in days] == ["2019-05-30", "2019-05-31", "2019-06-03"]
    assert set(counts.tolist()) == {780}


def test_pieces_hold_the_same_bars_as_one_answer(desk: Desk) -> None:
    whole = bars(desk, "1 hour", "1 M")
    longer = bars(desk, "1 hour", "2 M")
    tail = np.isin(longer.time, whole.time)
    assert tail.sum() == len(whole.time)
    for name in COLUMNS:
        assert (getattr(longer, name)[tail] == getattr(whole, name)).all()
    assert longer.time[0] < whole.time[0]


def test_a_calendar_range_begins_where_it_should(desk: Desk) -> None:
    found = bars(desk, "1 hour", "3 M")
    assert found.time[0] == np.datetime64("2019-03-03T20:00:00")


def test_days_of_seconds_are_sessions(desk: Desk) -> None:
    found = bars(desk, "30 secs", "2 D")
    days = {str(day) for day in (found.time - np.timedelta64(4, "h")).astype("datetime64[D]")}
    assert days == {"2019-06-02", "2019-06-03"}
    assert (np.diff(found.time) == np.timedelta64(30, "s")).all()


def test_bars_up_to_an_earlier_end(desk: Desk) -> None:
    end = CLOSE - timedelta(days=30)
    for size, period in (("1 hour", "5 D"), ("1 min", "2 D"), ("1 day", "1 M")):
        found = bars(desk, size, period, end=end)
        assert found.time[-1] < np.datetime64(end.replace(tzinfo=None), "s")
        assert found.time[-1] > np.datetime64((end - timedelta(days=4)).replace(tzinfo=None), "s")


def test_the_end_is_the_same_instant_in_any_zone(desk: Desk) -> None:
    end = CLOSE - timedelta(days=30)
    there = bars(desk, "1 hour", "1 D", end=end.astimezone(ZoneInfo("Asia/Tokyo")))
    assert (there.time == bars(desk, "1 hour", "1 D", end=end).time).all()


def test_it_stops_where_the_data_begin(desk: Desk, gateway: EmbeddedGateway) -> None:
    gateway.fault("refuse", kinds=("reqHistoricalData",), on="reqHistoricalData", nth=3, code=162, text=NO_DATA)
    found = bars(desk, "1 hour", "1 Y")
    assert asked(gateway) == 3
    assert found.time[0] == np.datetime64("2019-04-03T20:00:00")


@pytest.mark.parametrize(
    ("nth", "code", "text"),
    [(1, 162, NO_DATA), (3, 162, "Historical data request pacing violation"), (3, 200, "No security definition")],
)
def test_any_other_refusal_is_an_error_not_fewer_bars(
    desk: Desk, gateway: EmbeddedGateway, nth: int, code: int, text: str
) -> None:
    gateway.fault("refuse", kinds=("reqHistoricalData",), on="reqHistoricalData", nth=nth, code=code, text=text)
    with pytest.raises(MarketDataError) as caught:
        bars(desk, "1 hour", "1 Y")
    assert caught.value.details["broker_code"] == code


def test_a_slow_broker_costs_no_more_than_the_call_s_time(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    gateway.fault("delay", kinds=("historicalData",), seconds=0.4)
    with pytest.raises(BrokerUnavailable):
        bars(desk, "1 min", "10 D", contract=contract, timeout=1.0)
    gateway.heal()
    desk.client.fence(TIMEOUT)
    before = asked(gateway)
    assert before < 10
    desk.client.fence(TIMEOUT)
    assert asked(gateway) == before  # nothing goes on for a caller who has left


@pytest.mark.parametrize(
    ("size", "period", "changes", "field"),
    [
        ("1 fortnight", "1 Y", {}, "bar_size"),
        ("1 day", "nonsense", {}, "period"),
        ("1 secs", "1 Y", {}, "period"),
        ("1 day", "1 Y", {"what": "ADJUSTED_LAST", "end": CLOSE}, "end"),
        ("1 hour", "1 Y", {"what": "ADJUSTED_LAST"}, "period"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_the_door(
    desk: Desk, gateway: EmbeddedGateway, size: str, period: str, changes: dict[str, Any], field: str
) -> None:
    assert bad_request(desk, size, period, **changes) == field
    assert asked(gateway) == 0


@pytest.mark.parametrize("what", ["TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "HISTORICAL_VOLATILITY"])
def test_bars_of_a_pair_have_no_volume(desk: Desk, gateway: EmbeddedGateway, what: str) -> None:
    (pair,) = desk.client.read("contracts", types.ContractQuery("EUR", "CASH"), TIMEOUT)
    found = bars(desk, "1 day", "1 M", contract=pair, what=what)
    assert (found.volume == 0).all()
    assert (found.low <= found.high).all()
    sent = gateway.frames("reqHistoricalData")[-1]
    assert ("MIDPOINT" if what == "TRADES" else what) in sent


@pytest.mark.parametrize("what", ["MIDPOINT", "BID", "ASK", "BID_ASK"])
def test_bars_of_other_kinds_come_in_pieces_too(desk: Desk, what: str) -> None:
    found = bars(desk, "1 min", "2 D", what=what)
    assert (np.diff(found.time) == np.timedelta64(60, "s")).all()
    assert (found.volume == 0).all()


def test_adjusted_bars_end_now(desk: Desk) -> None:
    found = bars(desk, "1 day", "1 Y", what="ADJUSTED_LAST")
    assert (found.volume > 0).all()


def test_the_beginning_of_the_data(desk: Desk, gateway: EmbeddedGateway) -> None:
    contract = desk.contract()
    query = types.HeadTimestampQuery(contract.con_id)
    head: types.HeadTimestamp = desk.client.read("head_timestamp", query, TIMEOUT, [contract])
    assert head.con_id == contract.con_id
    assert datetime(1970, 1, 1, tzinfo=UTC) < head.time < CLOSE
    desk.client.fence(TIMEOUT)
    assert frames(gateway)["cancelHeadTimeStamp"] == 1


def test_an_unknown_contract_has_no_beginning(desk: Desk) -> None:
    unknown = replace(desk.contract(), con_id=999999999, symbol="NOSUCH")
    with pytest.raises(MarketDataError) as caught:
        desk.client.read("head_timestamp", types.HeadTimestampQuery(unknown.con_id), TIMEOUT, [unknown])
    assert caught.value.details["broker_code"] == 200


@needs_real_bars
def test_real_bars_of_years_by_the_hour(make_desk: Callable[..., Desk]) -> None:
    with EmbeddedGateway(set_clock=CLOSE, data_folder=REAL_BARS) as gateway:
        desk = make_desk(gateway.host, gateway.port)
        desk.client.wait_connected(TIMEOUT)
        found = bars(desk, "1 hour", "2 Y", contract=desk.contract("SPY"))
        assert (np.diff(found.time) > np.timedelta64(0, "s")).all()
        days = np.unique(found.time.astype("datetime64[D]"))
        assert np.diff(days).max() <= np.timedelta64(4, "D")
        assert days[0] == np.datetime64("2019-01-02")  # the hourly files begin with 2019
