"""News from a folder: JSON files, each a list of stories, read once at start."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, get_args

from ..errors import ReferenceDataError
from .news import Story, StoryKind

_TEXTS = ("provider", "id", "time", "headline", "text")
_SEPARATORS = "+\0"


def read_stories(folder: Path) -> list[Story]:
    """The stories of all *.json files in the folder; an id may be used once for each provider.

    Raises ReferenceDataError that names the file, the number of the story in it, and what to do.
    """
    if not folder.is_dir():
        raise ReferenceDataError(folder, "there is no such folder", "give a folder of JSON files")
    stories: dict[tuple[str, str], Story] = {}
    for path in sorted(folder.glob("*.json")):
        for number, story in enumerate(_stories_in(path), start=1):
            if stories.setdefault((story.provider, story.id), story) is not story:
                _wrong(path, number, f"{story.provider} has another story {story.id!r}", "rename one of them")
    return list(stories.values())


def _stories_in(path: Path) -> Iterator[Story]:
    try:
        rows = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ReferenceDataError(path, f"it is no JSON: {error}", "write a list of stories") from error
    if not isinstance(rows, list):
        raise ReferenceDataError(path, "it holds no list", "write a list of stories")
    for number, row in enumerate(rows, start=1):
        yield _story(path, number, row)


def _story(path: Path, number: int, row: Any) -> Story:
    if not isinstance(row, dict):
        _wrong(path, number, "it is no object", f"write the fields {', '.join(_TEXTS)}, symbols")
    for field in _TEXTS:
        if not isinstance(row.get(field), str) or not row[field].strip():
            _wrong(path, number, f"{field!r} is missing or no text", f"give {field!r} as text")
    symbols, kind = row.get("symbols"), row.get("kind", "text")
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        _wrong(path, number, "'symbols' is no list of texts", 'write it as ["AAPL", "IBM"]')
    if kind not in get_args(StoryKind):
        _wrong(path, number, f"'kind' is {kind!r}", f"choose one of {', '.join(get_args(StoryKind))}")
    if any(mark in row["provider"] + row["id"] for mark in _SEPARATORS):
        _wrong(path, number, "'provider' or 'id' holds a plus sign or NUL", "leave it out")
    if kind == "binary":
        _require_base64(path, number, row["text"])
    return Story(
        provider=row["provider"],
        id=row["id"],
        time=_time(path, number, row["time"]),
        symbols=tuple(symbol.upper() for symbol in symbols),
        headline=row["headline"],
        text=row["text"],
        kind=kind,
    )


def _time(path: Path, number: int, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _wrong(path, number, f"'time' is {text!r}", "write it as 2026-03-02T14:30:00+00:00")
    if moment.tzinfo is None:
        _wrong(path, number, f"'time' {text!r} has no time zone", "write it as 2026-03-02T14:30:00+00:00")
    return moment.astimezone(UTC)


def _require_base64(path: Path, number: int, text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        _wrong(path, number, "'text' of a binary story is no base64", "encode it")


def _wrong(path: Path, number: int, problem: str, fix: str) -> NoReturn:
    raise ReferenceDataError(path, f"story {number}: {problem}", fix)
