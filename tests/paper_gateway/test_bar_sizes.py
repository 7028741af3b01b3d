"""Bars of every size and kind come from one path: they add up, they fit the quote, and none lies after the clock."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.history import History
from broker.paper_gateway.prices.requests import BAR_SIZES, INTRADAY_SECONDS, check_reach, parse_bar_size
from broker.paper_gateway.prices.seeded import SeededMarket
from broker.paper_gateway.prices.shapes import HoursMode
from broker.paper_gateway.types import Bar, GatewayError, SymbolSpec
from broker.paper_gateway.universe import seeded_start

NOW = datetime(2026, 11, 20, 17, 20, 35, tzinfo=UTC)  # a Friday, 12:20 in New York
MARKETS: dict[HoursMode, SeededMarket] = {
    "always": SeededMarket(1, seeded_start),
    "exchange": SeededMarket(1, seeded_start, "exchange"),
}
SPY = SymbolSpec(con_id=756733, symbol="SPY", long_name="SPY", primary_exchange="ARCA", stock_type="ETF")
EURO = SymbolSpec(
    con_id=12087792,
    symbol="EUR",
    long_name="European Monetary Union Euro",
    primary_exchange="IDEALPRO",
    sec_type="CASH",
    local_symbol="EUR.USD",
    min_tick=Decimal("0.00005"),
    hours="forex",
)
INDEX = SymbolSpec(
    con_id=416904, symbol="SPX", long_name="S&P 500", primary_exchange="CBOE", sec_type="IND", local_symbol="SPX"
)
KINDS = ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST", "HISTORICAL_VOLATILITY")


def bars(
    size: str, duration: str, now: datetime = NOW, *, hours: HoursMode = "always", live: bool = False, rth: bool = False
) -> list[Bar]:
    source = MARKETS[hours]
    asked = {"bar_size": size, "duration": duration, "end": now, "now": now, "live": live, "use_rth": rth}
    return list(source.bars("SPY", **asked))  # type: ignore[arg-type]


def history(now: datetime, *, hours: HoursMode = "always", live: bool = False) -> History:
    return History(MARKETS[hours], lambda: now, live=live)


def asked(found: History, spec: SymbolSpec, what: str, size: str = "1 day", span: str = "1 M") -> Sequence[Bar]:
    return found.bars(spec, bar_size=size, duration=span, end=None, use_rth=True, what=what)


SECONDS = sorted(INTRADAY_SECONDS.items(), key=lambda row: row[1])
PAIRS = [
    (small, large)
    for (small, one), (large, other) in itertools.combinations(SECONDS, 2)
    if other % one == 0 and other // one <= 3600
]


@settings(deadline=None, max_examples=60)
@given(
    pair=st.sampled_from(PAIRS),
    back=st.integers(0, 3000),
    second=st.integers(0, 86399),
    hours=st.sampled_from(["always", "exchange"]),
    rth=st.booleans(),
    live=st.booleans(),
)
def test_any_bar_is_the_join_of_the_smaller_ones_inside_it(
    pair: tuple[str, str], back: int, second: int, hours: HoursMode, rth: bool, live: bool
) -> None:
    small, large = pair
    now = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=back) + timedelta(seconds=second)
    span = f"{2 * INTRADAY_SECONDS[large]} S"
    wholes = bars(large, span, now, hours=hours, live=live, rth=rth)
    parts = bars(small, f"{4 * INTRADAY_SECONDS[large]} S", now, hours=hours, live=live, rth=rth)
    whole = wholes[-1]
    inside = [bar for bar in parts if whole.start <= bar.start < whole.end]
    assert inside[0].open == whole.open
    assert inside[-1].close == whole.close
    assert max(bar.high for bar in inside) == whole.high
    assert min(bar.low for bar in inside) == whole.low
    assert sum(bar.volume for bar in inside) == whole.volume


def test_weeks_and_months_are_the_join_of_their_days() -> None:
    days = bars("1 day", "1 Y")
    for size, key in (("1 week", lambda day: day.isocalendar()[:2]), ("1 month", lambda day: (day.year, day.month))):
        wholes = bars(size, "6 M")
        for whole in wholes:
            inside = [bar for bar in days if key(bar.day) == key(whole.day)]
            assert (inside[0].open, inside[-1].close) == (whole.open, whole.close)
            assert max(bar.high for bar in inside) == whole.high
            assert sum(bar.volume for bar in inside) == whole.volume


@settings(deadline=None, max_examples=70)
@given(
    size=st.sampled_from(BAR_SIZES),
    what=st.sampled_from(KINDS),
    spec=st.sampled_from([SPY, EURO, INDEX]),
    minutes=st.integers(0, 40 * 365 * 1440),
    second=st.integers(0, 59),
    ahead=st.integers(-200, 200),
    hours=st.sampled_from(["always", "exchange"]),
    live=st.booleans(),
)
def test_nothing_lies_after_the_clock(
    size: str, what: str, spec: SymbolSpec, minutes: int, second: int, ahead: int, hours: HoursMode, live: bool
) -> None:
    now = datetime(2009, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes, seconds=second)
    end = now + timedelta(hours=ahead)
    found = history(now, hours=hours, live=live)
    span = "600 S" if "secs" in size else "2 D" if size in INTRADAY_SECONDS else "3 M"
    with suppress(GatewayError):
        answer = found.bars(spec, bar_size=size, duration=span, end=end, use_rth=ahead % 2 == 0, what=what)
        assert answer[-1].end <= min(now, end)
        assert all(one.end <= two.start for one, two in itertools.pairwise(answer))
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in answer)
    snapshot = MARKETS[hours].snapshot(spec.market, now)
    assert snapshot is not None
    assert snapshot.time <= now
    with suppress(GatewayError):
        ticks = found.ticks(spec, "BID_ASK", start=None, end=end, count=5, use_rth=False)
        assert all(tick.time <= min(now, end).timestamp() and tick.price < tick.ask for tick in ticks)


@pytest.mark.parametrize("size", BAR_SIZES)
@pytest.mark.parametrize("hours", ["always", "exchange"])
def test_the_bar_in_progress_ends_at_the_quote(size: str, hours: HoursMode) -> None:
    span = "60 S" if "secs" in size else "2 D"
    live = bars(size, span, hours=hours, live=True)
    snapshot = MARKETS[hours].snapshot("SPY", NOW)
    assert snapshot is not None
    assert (live[-1].end, live[-1].close) == (NOW, snapshot.last)
    closed = bars(size, "1 D" if size == "1 day" else span, hours=hours)  # the day in progress is one of the two
    if size in INTRADAY_SECONDS or size == "1 day":
        assert [bar for bar in live if bar in closed] == closed


@pytest.mark.parametrize("what", ["BID", "ASK", "BID_ASK", "MIDPOINT"])
def test_bars_of_quotes_stand_a_spread_apart_and_weigh_nothing(what: str) -> None:
    trades, quotes = (asked(history(NOW), SPY, kind) for kind in ("TRADES", what))
    for trade, quote in zip(trades, quotes, strict=True):
        assert (quote.volume, quote.wap, quote.count) == (-1, -1, -1)
        assert quote.day == trade.day
        below, above = (trade.low > quote.low, trade.high < quote.high)
        assert (below, above) == (what in {"BID", "BID_ASK"}, what in {"ASK", "BID_ASK"})
        if what == "BID_ASK":
            assert quote.low < quote.open < quote.close < quote.high


def test_the_bid_bar_in_progress_closes_at_the_bid() -> None:
    found = history(NOW, live=True)
    bid, ask = (asked(found, SPY, what, "5 mins", "1 D")[-1].close for what in ("BID", "ASK"))
    tick = found.ticks_between(SPY, "BID_ASK", NOW - timedelta(minutes=2), NOW)[-1]
    assert (bid, ask) == (tick.price, tick.ask)


def test_historical_volatility_is_that_of_thirty_days_before_each_bar() -> None:
    daily = asked(history(NOW), SPY, "HISTORICAL_VOLATILITY", span="1 M")
    assert all(0.02 < bar.close < 1.5 and bar.open == bar.close for bar in daily)
    months = asked(history(NOW), SPY, "HISTORICAL_VOLATILITY", "1 month", "1 Y")
    assert months[-1].close == daily[-1].close
    with pytest.raises(GatewayError) as refused:
        asked(history(NOW), SPY, "HISTORICAL_VOLATILITY", "1 hour", "1 D")
    assert refused.value.code == 162


@pytest.mark.parametrize(
    ("spec", "what", "code"),
    [(EURO, "TRADES", 162), (INDEX, "BID", 162), (SPY, "FEE_RATE", 162), (SPY, "NONSENSE", 321)],
)
def test_what_a_contract_has_not_is_refused(spec: SymbolSpec, what: str, code: int) -> None:
    with pytest.raises(GatewayError) as refused:
        asked(history(NOW), spec, what)
    assert refused.value.code == code


def test_pairs_move_in_their_own_tick() -> None:
    closes = [Decimal(repr(bar.close)) for bar in asked(history(NOW), EURO, "MIDPOINT", "1 min", "1 D")]
    assert all(close % EURO.min_tick == 0 for close in closes)
    assert any(close % Decimal("0.01") for close in closes)


@pytest.mark.parametrize(
    ("size", "span", "code"),
    [
        ("1 secs", "2000 S", 0),
        ("1 secs", "2001 S", 162),
        ("30 secs", "28800 S", 0),
        ("30 secs", "1 D", 162),
        ("1 min", "1 M", 0),
        ("1 min", "1 Y", 162),
        ("1 hour", "5 Y", 0),
        ("1 day", "20 Y", 0),
        ("1 day", "366 D", 321),
        ("1 day", "90000 S", 321),
        ("2 days", "1 Y", 321),
        ("1 day", "1 X", 321),
    ],
)
def test_how_far_back_one_request_reaches(size: str, span: str, code: int) -> None:
    if not code:
        check_reach(size, span)
        return
    with pytest.raises(GatewayError) as refused:
        check_reach(size, span)
    assert refused.value.code == code


def test_every_size_has_one_name() -> None:
    assert [parse_bar_size(size) for size in BAR_SIZES] == list(BAR_SIZES)
    assert parse_bar_size("1M") == "1 month"


def test_ticks_from_a_time_on_and_up_to_a_time() -> None:
    found = history(NOW)
    start = NOW - timedelta(hours=3)
    later = found.ticks(SPY, "TRADES", start=start, end=None, count=20, use_rth=False)
    assert len(later) == 20
    assert all(start.timestamp() < tick.time for tick in later)
    until = datetime.fromtimestamp(later[-1].time, UTC)
    assert found.ticks(SPY, "TRADES", start=None, end=until, count=20, use_rth=False) == later
    assert sum(tick.size for tick in found.ticks_between(SPY, "TRADES", NOW - timedelta(minutes=1), NOW)) == sum(
        bar.volume for bar in bars("1 secs", "60 S")
    )


def test_volume_by_price_is_all_of_it() -> None:
    rows = history(NOW).histogram(SPY, "2 days", use_rth=True)
    assert sum(size for _, size in rows) == sum(bar.volume for bar in bars("1 min", "2 D"))
    assert [price for price, _ in rows] == sorted(price for price, _ in rows)
    with pytest.raises(GatewayError):
        history(NOW).histogram(SPY, "soon", use_rth=True)


def test_schedules_tell_sessions_only() -> None:
    found = history(NOW, hours="exchange")
    week = found.schedule(SPY, duration="7 D", end=None, use_rth=True)
    assert [session.day for session in week][-3:] == [date(2026, 11, day) for day in (18, 19, 20)]
    assert len(week) == 7
    whole = found.schedule(SPY, duration="1 W", end=None, use_rth=False)
    assert whole[-1].open == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert whole[-1].close == datetime(2026, 11, 21, 1, tzinfo=UTC)
