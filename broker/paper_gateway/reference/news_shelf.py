"""Stories that were read from files, by symbol and by id."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from .news import PROVIDERS, Provider, Story


class NewsShelf:
    """A fixed set of stories; their providers are those that have any."""

    def __init__(self, stories: Iterable[Story]) -> None:
        self._by_id: dict[tuple[str, str], Story] = {}
        self._by_symbol: dict[str, list[Story]] = {}
        for story in sorted(stories, key=lambda one: one.time):
            self._by_id[story.provider, story.id] = story
            for symbol in story.symbols:
                self._by_symbol.setdefault(symbol, []).append(story)

    def providers(self) -> Sequence[Provider]:
        names = dict(PROVIDERS)
        codes = sorted({provider for provider, _ in self._by_id})
        return [Provider(code, names.get(code, code)) for code in codes]

    def stories(self, symbol: str, until: datetime) -> Iterator[Story]:
        stories = self._by_symbol.get(symbol, [])
        yield from reversed(stories[: bisect_right(stories, until, key=lambda one: one.time)])

    def story(self, provider: str, story_id: str) -> Story | None:
        return self._by_id.get((provider, story_id))
