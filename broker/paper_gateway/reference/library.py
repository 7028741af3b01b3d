"""All reference data of one gateway: read from folders where they are given, made up where not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .fundamentals import Reports
from .news import Newsroom
from .news_files import read_stories
from .news_made_up import MadeUpNews
from .news_shelf import NewsShelf


@dataclass(frozen=True, slots=True)
class Library:
    """News and reports on companies."""

    news: Newsroom
    reports: Reports


def open_library(news_folder: Path | None = None, fundamentals_folder: Path | None = None) -> Library:
    """Raises ReferenceDataError for a file that cannot be read as what it must be."""
    news: Newsroom = MadeUpNews() if news_folder is None else NewsShelf(read_stories(news_folder))
    return Library(news, Reports(fundamentals_folder))
