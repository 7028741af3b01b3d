"""Replayed prices: what is visible when, splits as of the clock, weeks, sessions, and files that cannot be read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.errors import PriceDataError
from broker.paper_gateway.exchange import PaperExchange
from broker.paper_gateway.prices.csv_replay import CsvReplay
from broker.paper_gateway.prices.requests import LONG_SIZES
from broker.paper_gateway.types import Bar, ContractFilter, GatewayError
from broker.paper_gateway.universe import derived_con_id

from .conftest import REAL_DATA, Desk, close_of, write_daily

Make = Callable[..., Desk]
ROWS = [(100 + n, 101 + n, 99 + n, 100.5 + n, 1000 + n) for n in range(12)]
HOURS = ("1 hour", "2 hours", "3 hours", "4 hours", "8 hours")
HEADER = "date,open,high,low,close,volume\n"


def bars(desk: Desk, bar_size: str = "1 day", duration: str = "1 Y", end: datetime | None = None) -> list[Bar]:
    return list(desk.exchange.bars(desk.con_id, bar_size=bar_size, duration=duration, end=end, use_rth=False))


def test_a_bar_is_visible_once_it_has_ended(replay: Make) -> None:
    desk = replay(ROWS)
    assert [bar.day for bar in bars(desk)] == [date(2019, 6, 3)]
    desk.exchange.advance(datetime(2019, 6, 4, 19, 59, 59, tzinfo=UTC))
    assert len(bars(desk)) == 1
    desk.exchange.advance(datetime(2019, 6, 4, 20, tzinfo=UTC))
    assert [bar.close for bar in bars(desk)] == [100.5, 101.5]
    assert len(bars(desk, end=datetime(2019, 6, 3, 20, tzinfo=UTC))) == 1


def test_bars_say_when_they_began_and_what_they_weigh(replay: Make) -> None:
    bar = bars(replay(ROWS))[0]
    assert (bar.start, bar.end) == (datetime(2019, 6, 3, 13, 30, tzinfo=UTC), datetime(2019, 6, 3, 20, tzinfo=UTC))
    assert (bar.wap, bar.count) == ((101 + 99 + 100.5) / 3, 10)


def test_the_week_in_progress_ends_at_the_clock(replay: Make) -> None:
    desk = replay(ROWS)
    desk.day(6)
    first, second = bars(desk, "1 week")
    assert (first.open, first.high, first.low, first.close, first.volume) == (100, 105, 99, 104.5, 5010)
    assert (second.day, second.close, second.volume) == (date(2019, 6, 11), 106.5, 2011)


def test_the_month_in_progress_ends_at_the_clock(replay: Make) -> None:
    desk = replay([(100 + n, 101 + n, 99 + n, 100.5 + n, 1000) for n in range(25)])
    desk.day(22)
    june, july = bars(desk, "1 month")
    assert (june.day, june.open, june.high, june.close, june.volume) == (date(2019, 6, 28), 100, 120, 119.5, 20_000)
    assert (july.day, july.close, july.volume) == (date(2019, 7, 3), 122.5, 3000)


def test_durations_count_sessions_weeks_months_and_years(replay: Make) -> None:
    desk = replay(ROWS)
    desk.day(11)
    assert [len(bars(desk, duration=span)) for span in ("3 D", "1 W", "86400 S", "1 M", "2 Y")] == [3, 5, 1, 12, 12]


@pytest.mark.parametrize(
    ("bar_size", "duration", "code"),
    [("1 day", "1 Z", 321), ("1 day", "0 D", 321), ("1 day", "D", 321), ("7 days", "1 D", 321), ("1 hour", "5 D", 162)],
)
def test_requests_that_cannot_be_answered(replay: Make, bar_size: str, duration: str, code: int) -> None:
    with pytest.raises(GatewayError) as refused:
        bars(replay(ROWS), bar_size, duration)
    assert refused.value.code == code
    if code == 162:
        assert "HMDS query returned no data" in refused.value.message


def test_a_listed_symbol_without_a_file_has_a_contract_and_no_prices(replay: Make) -> None:
    desk = replay(ROWS)
    spec = desk.exchange.find(ContractFilter(symbol="MSFT", sec_type="STK", exchange="SMART", currency="USD"))
    assert desk.exchange.quote(spec[0].con_id).last is None
    desk.order(1, "BUY", 10, "MKT", con_id=spec[0].con_id, symbol="MSFT")
    assert desk.refusals(1) == [201]


def test_quotes_are_the_last_known_close_with_the_spread_around_it(replay: Make) -> None:
    desk = replay(ROWS)
    desk.day(1)
    quote = desk.exchange.quote(desk.con_id)
    assert (quote.last, quote.bid, quote.ask) == (Decimal("101.50"), Decimal("101.49"), Decimal("101.51"))
    assert (quote.prior_close, quote.volume, quote.bid_size) == (Decimal("100.50"), 1001, 100)
    assert quote.time == desk.exchange.now()


def test_broken_rows_are_served_as_they_stand(replay: Make) -> None:
    desk = replay([(100, 101, 99, 100, 1000), ("NaN", -5, 99, "NaN", -7)])
    desk.day(1)
    bad = bars(desk)[-1]
    assert bad.open != bad.open
    assert (bad.high, bad.volume, bad.count) == (-5, -7, 0)
    quote = desk.exchange.quote(desk.con_id)
    assert (quote.last, quote.bid, quote.ask, quote.bid_size) == (None, None, None, 0)


def test_history_is_adjusted_for_the_splits_that_the_clock_knows(tmp_path: Path) -> None:
    write_daily(tmp_path, "XYZ", [(100, 101, 99, 100, 1000), (100, 101, 99, 100, 1000), (25, 26, 24, 25, 4000)])
    (tmp_path / "splits.csv").write_text("symbol,date,ratio\nXYZ,2019-06-05,4\n")
    market = CsvReplay(tmp_path)
    seen = {}
    for now in (close_of(date(2019, 6, 4)), datetime(2019, 6, 5, 4, tzinfo=UTC), close_of(date(2019, 6, 5))):
        answer = market.bars("XYZ", bar_size="1 day", duration="1 M", end=now, now=now, live=False)
        seen[now] = [(bar.close, bar.volume) for bar in answer]
    before, morning, evening = seen.values()
    assert before == [(100, 1000)] * 2
    assert morning == [(25, 4000)] * 2
    assert evening == [(25, 4000)] * 3


def test_sessions_are_the_days_of_the_data_and_weekdays_beyond(replay: Make) -> None:
    desk = replay(ROWS[:3])
    week = desk.exchange.sessions(desk.con_id, 7)
    assert [day.open is not None for day in week] == [True, True, True, True, True, False, False]
    assert week[0].close == datetime(2019, 6, 3, 20, tzinfo=UTC)


def test_winter_sessions_are_an_hour_later_in_utc(tmp_path: Path) -> None:
    write_daily(tmp_path, "XYZ", ROWS, first=date(2019, 1, 7))
    session = CsvReplay(tmp_path).session("XYZ", date(2019, 1, 7))
    assert session.open == datetime(2019, 1, 7, 14, 30, tzinfo=UTC)


def test_hourly_bars_begin_at_half_past_nine_and_lead_the_quote(tmp_path: Path) -> None:
    write_daily(tmp_path, "XYZ", [(100, 104, 99, 103, 3000)] * 2)
    rows = [f"2019-06-04 {hour:02}:00:00,{hour},{hour + 2},{hour - 1},{hour + 1},100" for hour in range(9, 16)]
    (tmp_path / "XYZ_1h.csv").write_text(HEADER + "\n".join(rows) + "\n")
    start = datetime(2019, 6, 4, 15, 30, tzinfo=UTC)
    exchange = PaperExchange(data_folder=tmp_path, store_path=None, set_clock=start, system_clock=lambda: start)
    desk = Desk(exchange, "XYZ", derived_con_id("XYZ"))
    hours = bars(desk, "1 hour", "1 D")
    assert [bar.start.strftime("%H:%M") for bar in hours] == ["13:30", "14:00"]
    quote = exchange.quote(desk.con_id)
    assert (quote.last, quote.open, quote.high, quote.volume) == (
        Decimal("11.00"),
        Decimal("9.00"),
        Decimal("12.00"),
        200,
    )
    assert (quote.time, quote.prior_close) == (datetime(2019, 6, 4, 15, tzinfo=UTC), Decimal("103.00"))
    exchange.advance(datetime(2019, 6, 4, 20, tzinfo=UTC))
    for size, volumes in (
        ("2 hours", [100, 200, 200, 200]),
        ("3 hours", [300, 300, 100]),
        ("4 hours", [300, 400]),
        ("8 hours", [700]),
    ):
        assert [bar.volume for bar in bars(desk, size, "1 D")] == volumes
    for size in ("30 mins", "5 secs"):
        with pytest.raises(GatewayError) as refused:
            bars(desk, size, "1 D")
        assert refused.value.code == 162


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("ABC_1d.csv", "date,open,high,low,close\n2019-06-03,1,2,1,2\n", 1),
        ("ABC_1d.csv", HEADER + "2019-06-03,1,2,1,2,5\n2019-06-04,1,two,1,2,5\n", 3),
        ("ABC_1d.csv", HEADER + "03/06/2019,1,2,1,2,5\n", 2),
        ("ABC_1d.csv", HEADER + "2019-06-04,1,2,1,2,5\n2019-06-03,1,2,1,2,5\n", 3),
        ("ABC_1d.csv", HEADER, 0),
        ("ABC_1d.csv", HEADER + "\udc80", 0),
        ("XYZ_1h.csv", HEADER + "2019-06-03 08:00:00,1,2,1,2,5\n", 2),
        ("ABC_1h.csv", HEADER + "2019-06-03 09:00:00,1,2,1,2,5\n", 0),
        ("splits.csv", "symbol,date,ratio\nXYZ,2019-06-03,0\n", 2),
        ("splits.csv", "symbol,date\nXYZ,2019-06-03\n", 1),
    ],
)
def test_files_that_cannot_be_read_are_named_with_line_and_fix(tmp_path: Path, name: str, text: str, line: int) -> None:
    write_daily(tmp_path, "XYZ", [(1, 2, 1, 2, 5)])
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PriceDataError) as problem:
        CsvReplay(tmp_path)
    assert (problem.value.path.name, problem.value.line) == (name, line)
    assert problem.value.fix in str(problem.value)


def test_a_folder_without_prices_is_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(PriceDataError):
            CsvReplay(folder)


@pytest.fixture(scope="module")
def real() -> CsvReplay:
    if not REAL_DATA.is_dir():
        pytest.skip("needs the OHLCV files beside the project")
    return CsvReplay(REAL_DATA)


def visible(market: CsvReplay, symbol: str, size: str, end: datetime, now: datetime) -> list[Bar]:
    """The last two months before `end`; none where there is no data."""
    with suppress(GatewayError):
        return list(market.bars(symbol, bar_size=size, duration="2 M", end=end, now=now, live=False))
    return []


@settings(deadline=None, max_examples=40)
@given(minutes=st.integers(0, 7 * 365 * 24 * 60), ahead=st.integers(-1000, 1000))
def test_no_bar_lies_after_the_clock(real: CsvReplay, minutes: int, ahead: int) -> None:
    now = datetime(2014, 1, 10, tzinfo=UTC) + timedelta(minutes=minutes)
    for symbol, size in (*(("AAPL", size) for size in LONG_SIZES), *(("SPY", size) for size in HOURS)):
        found = visible(real, symbol, size, now + timedelta(hours=ahead), now)
        if not found:
            continue
        assert found[-1].end <= min(now, now + timedelta(hours=ahead))
        assert all(one.end <= two.start for one, two in itertools.pairwise(found))
    snapshot = real.snapshot("AAPL", now)
    assert snapshot is not None
    assert snapshot.time <= now


def test_real_splits_leave_no_gap(real: CsvReplay) -> None:
    now = close_of(date(2020, 9, 1))
    closes = [bar.close for bar in real.bars("AAPL", bar_size="1 day", duration="7 Y", end=now, now=now, live=False)]
    moves = [abs(two / one - 1) for one, two in itertools.pairwise(closes)]
    assert max(moves) < 0.14
    assert closes[0] == pytest.approx(553.13 / 28)
