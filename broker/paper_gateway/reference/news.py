"""News stories, and what a source of them must be able to tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

StoryKind = Literal["text", "html", "binary"]


class Provider(NamedTuple):
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Story:
    """One article; `time` is aware UTC, the text of a "binary" one is base64."""

    provider: str
    id: str
    time: datetime
    symbols: tuple[str, ...]
    headline: str
    text: str
    kind: StoryKind = "text"


class Newsroom(Protocol):
    """A source of stories."""

    def providers(self) -> Sequence[Provider]: ...

    def stories(self, symbol: str, until: datetime) -> Iterator[Story]:
        """All stories about a symbol up to and including `until`, newest first."""

    def story(self, provider: str, story_id: str) -> Story | None: ...


PROVIDERS = (
    Provider("BRFG", "Briefing.com General Market Columns"),
    Provider("BRFUPDN", "Briefing.com Analyst Actions"),
    Provider("DJ-N", "Dow Jones News Service"),
    Provider("DJNL", "Dow Jones Newsletters"),
)
