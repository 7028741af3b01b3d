"""Bar sizes and periods: every one that TWS has, and clear refusals of all others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import MarketDataError
from broker.ib.spans import BAR_SIZES, Span, parse_bar_size, parse_span, piece_of, pieces_needed

SECONDS = [f"{count} secs" for count in (1, 5, 10, 15, 30)]
MINUTES = ["1 min", *(f"{count} mins" for count in (2, 3, 5, 10, 15, 20, 30))]
HOURS = ["1 hour", *(f"{count} hours" for count in (2, 3, 4, 8))]
TWS_SIZES = [*SECONDS, *MINUTES, *HOURS, "1 day", "1 week", "1 month"]


def test_all_sizes_of_tws_are_known() -> None:
    assert list(BAR_SIZES) == TWS_SIZES


@pytest.mark.parametrize(
    ("text", "name"),
    [("1 sec", "1 secs"), ("5 min", "5 mins"), ("1 hours", "1 hour"), ("1 W", "1 week"), ("1M", "1 month")],
)
def test_sizes_however_their_plural_is_spelt(text: str, name: str) -> None:
    assert parse_bar_size(text).name == name


@pytest.mark.parametrize("text", ["", "1 fortnight", "7 mins", "60 secs", "day", "1", "-1 day", "1 DAY x", "1 m"])
def test_no_other_size_is_taken(text: str) -> None:
    with pytest.raises(MarketDataError) as caught:
        parse_bar_size(text)
    assert caught.value.reason == "BAD_REQUEST"
    assert caught.value.details == {"field": "bar_size"}


@pytest.mark.parametrize("text", ["", "nonsense", "0 D", "-1 D", "1.5 Y", "1 H", "D", "1 year", "100000000 S"])
def test_no_other_period_is_taken(text: str) -> None:
    with pytest.raises(MarketDataError) as caught:
        parse_span(text)
    assert caught.value.details == {"field": "period"}


@pytest.mark.parametrize(
    ("period", "size", "piece", "pieces"),
    [
        ("10 D", "1 min", "1 D", 10),
        ("10 D", "5 mins", "7 D", 2),
        ("1 Y", "1 hour", "1 M", 12),
        ("2 D", "30 secs", "28800 S", 6),
        ("7200 S", "1 secs", "1800 S", 4),
        ("5 Y", "1 day", "5 Y", 1),
    ],
)
def test_a_long_range_comes_in_pieces_of_tws_s_steps(period: str, size: str, piece: str, pieces: int) -> None:
    span, bar_size = parse_span(period), parse_bar_size(size)
    assert str(piece_of(span, bar_size)) == piece
    assert pieces_needed(bar_size, span) == pieces
    assert bar_size.fits(span) is (pieces == 1)


@pytest.mark.parametrize(
    ("span", "start"),
    [
        (Span(2, "W"), datetime(2024, 3, 17, 15, tzinfo=UTC)),
        (Span(1, "M"), datetime(2024, 2, 29, 15, tzinfo=UTC)),
        (Span(1, "Y"), datetime(2023, 3, 31, 15, tzinfo=UTC)),
        (Span(13, "M"), datetime(2023, 2, 28, 15, tzinfo=UTC)),
    ],
)
def test_calendar_periods(span: Span, start: datetime) -> None:
    assert span.start(datetime(2024, 3, 31, 15, tzinfo=UTC)) == start


def test_a_period_before_all_time_begins_with_it() -> None:
    assert Span(3000, "Y").start(datetime(2024, 1, 1, tzinfo=UTC)) - datetime.min.replace(tzinfo=UTC) == timedelta(0)
