"""The seeded market: the same prices for everybody, at whatever time they are asked for, in every bar size."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.prices.seeded import SeededMarket
from broker.paper_gateway.prices.shapes import HoursMode
from broker.paper_gateway.types import Bar, GatewayError
from broker.paper_gateway.universe import seeded_start

NOW = datetime(2026, 11, 21, 17, 20, 35, tzinfo=UTC)  # a Saturday
SIZES = ["1 min", "5 mins", "15 mins", "30 mins", "1 hour", "4 hours"]


def market(seed: int = 1) -> SeededMarket:
    return SeededMarket(seed, seeded_start)


def bars(
    source: SeededMarket, size: str, duration: str, now: datetime = NOW, *, live: bool = False, symbol: str = "SPY"
) -> list[Bar]:
    return list(source.bars(symbol, bar_size=size, duration=duration, end=now, now=now, live=live))


def test_same_seed_same_prices_other_seed_others() -> None:
    assert bars(market(), "1 day", "6 Y") == bars(market(), "1 day", "6 Y")
    assert bars(market(), "1 day", "1 M") != bars(market(2), "1 day", "1 M")
    assert bars(market(), "1 day", "1 M") != bars(market(), "1 day", "1 M", symbol="IBM")


@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 7, 1), date(2026, 11, 1)])
@pytest.mark.parametrize("size", SIZES)
def test_bars_of_a_day_add_up_to_the_day(day: date, size: str) -> None:
    source = market()
    hours = source.session("SPY", day)
    assert hours.open is not None
    assert hours.close is not None
    daily = bars(source, "1 day", "1 D", hours.close)[0]
    parts = [bar for bar in bars(source, size, "1 D", hours.close) if bar.day == day]
    assert (parts[0].start, parts[-1].end) == (hours.open, hours.close)
    assert (parts[0].open, parts[-1].close) == (daily.open, daily.close)
    assert (max(bar.high for bar in parts), min(bar.low for bar in parts)) == (daily.high, daily.low)
    assert sum(bar.volume for bar in parts) == daily.volume
    assert all(one.end == two.start for one, two in itertools.pairwise(parts))


@settings(deadline=None, max_examples=40)
@given(later=st.integers(0, 5_000_000), size=st.sampled_from(["1 hour", "1 day", "15 mins"]))
def test_a_closed_bar_never_changes(later: int, size: str) -> None:
    source = market()
    first = {bar.start: bar for bar in bars(source, size, "3 D")}
    again = bars(source, size, "80 D" if size == "1 day" else "3 D", NOW + timedelta(seconds=later))
    assert all(first[bar.start] == bar for bar in again if bar.start in first)
    assert again[-1].end <= NOW + timedelta(seconds=later)


@pytest.mark.parametrize("size", [*SIZES, "1 day", "1 week"])
def test_the_bar_in_progress_closes_at_the_quote(size: str) -> None:
    source = market()
    live = bars(source, size, "1 W", live=True)
    snapshot = source.snapshot("SPY", NOW)
    assert snapshot is not None
    assert (live[-1].end, live[-1].close) == (NOW, snapshot.last)
    assert float(source.price_at("SPY", NOW)) == snapshot.last
    assert live[-1].low <= snapshot.last <= live[-1].high
    if size != "1 week":
        assert live[:-1] == bars(source, size, "1 W")


def test_the_price_moves_within_a_minute_and_stays_within_its_bar() -> None:
    source = market()
    start = NOW.replace(second=0)
    minute = next(b for b in bars(source, "1 min", "1 D", start + timedelta(minutes=1)) if b.start == start)
    prices = [float(source.price_at("SPY", start + timedelta(seconds=second))) for second in range(60)]
    assert len(set(prices)) > 1
    assert prices[0] == minute.open
    assert minute.low <= min(prices) <= max(prices) <= minute.high


def test_points_of_the_path_join_up() -> None:
    source, middle = market(), NOW + timedelta(minutes=7, seconds=13)
    end = NOW + timedelta(hours=2)
    whole = source.points("SPY", NOW, end)
    parts = [*source.points("SPY", NOW, middle), *source.points("SPY", middle, end)]
    assert set(whole) <= set(parts)
    assert whole[-1] == parts[-1]


def test_there_are_trends_both_ways_and_six_years_of_them() -> None:
    for symbol in ("SPY", "AAPL", "IBM", "QQQ", "BAC", "MSFT"):
        closes = [bar.close for bar in bars(market(), "1 day", "6 Y", symbol=symbol)]
        assert len(closes) > 6 * 365 - 1
        quarters = [two / one - 1 for one, two in zip(closes, closes[90:], strict=False)]
        assert min(quarters) < -0.10
        assert max(quarters) > 0.10
        assert max(abs(two / one - 1) for one, two in itertools.pairwise(closes)) < 0.15


def test_every_day_is_a_session_from_midnight_to_midnight() -> None:
    saturday = market().session("SPY", date(2026, 11, 21))
    assert (saturday.open, saturday.close) == (
        datetime(2026, 11, 21, 5, tzinfo=UTC),
        datetime(2026, 11, 22, 5, tzinfo=UTC),
    )


def test_weeks_are_whole_but_for_the_last() -> None:
    weeks = bars(market(), "1 week", "10 W")
    assert all((week.end - week.start).days == 7 for week in weeks[:-1])
    assert weeks[-1].day == date(2026, 11, 20)


def test_unknown_symbols_have_no_data() -> None:
    with pytest.raises(GatewayError) as refused:
        bars(market(), "1 day", "1 D", symbol="NOPE")
    assert refused.value.code == 162


@pytest.mark.parametrize("hours", ["always", "exchange"])
@pytest.mark.parametrize("size", ["30 secs", "1 min", "15 mins", "1 hour", "4 hours", "8 hours", "1 day"])
@pytest.mark.parametrize("hour", [5, 7, 13, 16, 23])
def test_n_days_are_n_sessions_in_every_size_and_the_one_in_progress_is_one_of_them(
    hours: HoursMode, size: str, hour: int
) -> None:
    source = SeededMarket(1, seeded_start, hours)
    now = datetime(2026, 11, 19, hour, 31, 20, tzinfo=UTC)  # a Thursday
    for count in (1, 3) if "sec" not in size else (1,):
        found = bars(source, size, f"{count} D", now, live=True)
        days = sorted({bar.day for bar in found})
        begun = hours == "always" or hour > 14
        last = date(2026, 11, 19) if begun else date(2026, 11, 18)
        assert days == [last - timedelta(days=back) for back in reversed(range(count))]
        assert size != "1 day" or len(found) == count
