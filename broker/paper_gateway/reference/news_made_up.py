"""Made-up news: up to three stories a week on every symbol, the same on every machine, marked as made up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random

from .news import PROVIDERS, Provider, Story

_FIRST_MONDAY = date(2007, 12, 31)
_ID = re.compile(r"([A-Z-]+)\$([0-9a-f]{4})([0-9])\.([A-Z0-9_.]{1,12})")
_MARK = (
    "This story was made up by the paper gateway for tests. Nothing in it happened; it says nothing about the company."
)
_SUBJECTS = (
    ("{symbol} to present at an investor conference next week", "The company will present on {day}."),
    ("{symbol} rises in active trading", "The shares traded above the average of the last thirty days."),
    ("{symbol} slips after a strong run", "The shares gave back a part of the month's gain."),
    ("Analyst lifts price target of {symbol}", "The new target lies {percent} % above the old one."),
    ("Analyst cuts price target of {symbol}", "The new target lies {percent} % below the old one."),
    ("{symbol} names a new head of operations", "The change takes effect in {percent} days."),
    ("Options on {symbol} see heavy volume", "Volume was {percent} times the usual one."),
    ("What to watch in {symbol} this week", "Volume, the sector, and the calendar."),
)


class MadeUpNews:
    """Stories that follow from symbol and week alone."""

    def providers(self) -> Sequence[Provider]:
        return PROVIDERS

    def stories(self, symbol: str, until: datetime) -> Iterator[Story]:
        for week in range((until.date() - _FIRST_MONDAY).days // 7, -1, -1):
            yield from (story for story in reversed(_of_week(symbol, week)) if story.time <= until)

    def story(self, provider: str, story_id: str) -> Story | None:
        match = _ID.fullmatch(story_id)
        if match is None:
            return None
        stories = _of_week(match[4].replace("_", " "), int(match[2], 16))
        return next((story for story in stories if (story.provider, story.id) == (provider, story_id)), None)


def _of_week(symbol: str, week: int) -> list[Story]:
    """The stories of one week, oldest first."""
    random = Random(f"{symbol}:{week}")
    offsets = sorted(random.randrange(5 * 24 * 3600) for _ in range(random.randint(0, 3)))
    monday = datetime.combine(_FIRST_MONDAY + timedelta(weeks=week), datetime.min.time(), UTC)
    return [_made(random, symbol, week, number, monday + timedelta(seconds=at)) for number, at in enumerate(offsets)]


def _made(random: Random, symbol: str, week: int, number: int, at: datetime) -> Story:
    provider = random.choice(PROVIDERS).code
    headline, line = random.choice(_SUBJECTS)
    values = {"symbol": symbol, "day": f"{at + timedelta(days=7):%Y-%m-%d}", "percent": random.randint(2, 25)}
    tone = f":K:{random.uniform(-1, 1):.2f}:C:{random.uniform(0.5, 1):.2f}" if random.random() < 0.5 else ""
    return Story(
        provider=provider,
        id=f"{provider}${week:04x}{number}.{symbol.replace(' ', '_')}",
        time=at,
        symbols=(symbol,),
        headline=f"{{A:800015:L:en{tone}}}{headline.format(**values)}",
        text=f"{headline.format(**values)}. {line.format(**values)}\n\n{_MARK}",
    )
