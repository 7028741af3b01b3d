"""Reference data by itself: nothing of a time still to come, the same for everybody, and it fits together."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.paper_gateway.reference.company import Company, company_of
from broker.paper_gateway.reference.news import Story
from broker.paper_gateway.reference.news_made_up import MadeUpNews
from broker.paper_gateway.reference.news_shelf import NewsShelf
from broker.paper_gateway.reference.scans import Figures, Limit, ScanQuery, find
from broker.paper_gateway.universe import LISTED, LISTED_BY_SYMBOL
from broker.paper_gateway.universe.fixed import ABROAD

MOMENTS = st.integers(1_212_000_000, 2_840_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
SYMBOLS = st.sampled_from([listing.symbol for listing in LISTED])
DAYS = st.dates(date(2009, 1, 1), date(2050, 1, 1))


def company(symbol: str) -> Company:
    found = company_of(LISTED_BY_SYMBOL[symbol].spec)
    assert found is not None
    return found


@settings(deadline=None)
@given(symbol=SYMBOLS, until=MOMENTS)
def test_made_up_stories_come_newest_first_and_never_early(symbol: str, until: datetime) -> None:
    news = MadeUpNews()
    stories = list(islice(news.stories(symbol, until), 8))
    assert all(story.time <= until and story.symbols == (symbol,) for story in stories)
    assert all(newer.time >= older.time for newer, older in pairwise(stories))
    assert [news.story(story.provider, story.id) for story in stories] == stories
    later = [story for story in islice(news.stories(symbol, until + timedelta(days=10)), 60) if story.time <= until]
    assert later[: len(stories)] == stories[: len(later)]


@given(text=st.text(max_size=30))
def test_no_text_is_taken_for_the_id_of_a_story(text: str) -> None:
    assert MadeUpNews().story("BRFG", text) is None


def test_a_shelf_tells_stories_by_symbol_up_to_a_moment() -> None:
    at = datetime(2026, 3, 2, 15, tzinfo=UTC)
    stories = [
        Story("BRFG", str(number), at + timedelta(hours=number), ("IBM", "T") if number % 2 else ("T",), "h", "t")
        for number in range(4)
    ]
    shelf = NewsShelf(reversed(stories))
    assert [story.id for story in shelf.stories("T", at + timedelta(hours=2))] == ["2", "1", "0"]
    assert [story.id for story in shelf.stories("IBM", at + timedelta(hours=9))] == ["3", "1"]
    assert list(shelf.stories("KO", at)) == []
    assert shelf.story("BRFG", "9") is None


@settings(deadline=None)
@given(symbol=st.sampled_from(["AAPL", "IBM", "KO", "GME"]), today=DAYS)
def test_results_are_reported_once_a_quarter_and_never_before_their_day(symbol: str, today: date) -> None:
    firm = company(symbol)
    reported = firm.reported(today, 4)
    assert all(firm.release(quarter, today).day <= today for quarter in reported)
    assert firm.release(reported[0].shifted(1), today).day > today
    assert [quarter.shifted(1) for quarter in reported[1:]] == reported[:-1]
    releases = firm.releases(today - timedelta(days=400), today + timedelta(days=400), today)
    assert [release.quarter.shifted(1) for release in releases[:-1]] == [release.quarter for release in releases[1:]]
    assert all(release.day.weekday() < 5 for release in releases)
    assert all(release.confirmed == (release.day <= today + timedelta(days=21)) for release in releases)


def test_companies_stand_behind_common_stocks_alone() -> None:
    assert company_of(LISTED_BY_SYMBOL["SPY"].spec) is None
    assert all(company_of(entry.spec) is not None for entry in ABROAD)
    apple = company("AAPL")
    assert apple.shares * 190 / 2_900_000_000_000 > 0.99
    assert all(apple.results(quarter).revenue > 0 for quarter in apple.reported(date(2026, 3, 2), 8))


def figures(symbol: str, **changes: float) -> Figures:
    values = dict.fromkeys(
        ("last", "change", "since_open", "gap", "day_range", "volume", "turnover", "volume_ratio"), 0.0
    ) | dict.fromkeys(("price_ratio", "trades", "place_in_13_weeks", "market_value"), 0.0)
    return Figures(spec=LISTED_BY_SYMBOL[symbol].spec, **(values | changes))


def test_equal_stocks_rank_by_symbol_and_limits_include_their_bound() -> None:
    market = [figures("KO", volume=5), figures("AAPL", volume=5), figures("IBM", volume=9), figures("T", volume=1)]
    at_least_five = (Limit("volume", 5.0, is_least=True),)
    query = ScanQuery("MOST_ACTIVE", "STK.US", 50, "ALL", at_least_five)
    assert [row.spec.symbol for row in find(market, query)] == ["IBM", "AAPL", "KO"]
    assert [row.value for row in find(market, query)] == ["9.0000", "5.0000", "5.0000"]
    at_nyse = ScanQuery("MOST_ACTIVE", "STK.NYSE", 1, "", ())
    assert [row.spec.symbol for row in find(market, at_nyse)] == ["IBM"]
