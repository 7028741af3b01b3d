"""Rows of a page as the database gave them, and their JSON, which is made once for as long as a row says the same.

To make a page's values and their text takes most of the time of an answer, and nearly every row of a list is one that
was told before. A text is found by everything its row holds, so that it can never be an old one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from django.db.models import QuerySet

from autotrader.core.rest.renderers import ExactJsonRenderer

Values = Mapping[str, Any]
# Of each list, twice: the young ones and the old ones. A row with its text takes about 3 KB, but may take a hundred.
MOST_KEPT = 2_000
MOST_BYTES = 8 * 1024 * 1024
# Beside a row's text, its values take about as much, and its places in memory so much more.
ROW_BYTES = 500
# Of one answer: a page of rows that are larger than most ends earlier.
PAGE_BYTES = 4 * 1024 * 1024
MADE_AT_ONCE = 50


class RawRows:
    """The rows of `rows`, a queryset with `.values(…)`, before any value is made of them."""

    def __init__(self, rows: QuerySet[Any, Any], key: str) -> None:
        self._compiler = rows.query.get_compiler(rows.db)
        self.raw: list[tuple[Any, ...]] = [row for chunk in self._compiler.execute_sql() for row in chunk]
        self._names = tuple(rows.query.selected or ())
        self._key = self._names.index(key)

    def in_order(self, keys: Sequence[int]) -> RawRows:
        """Those of these keys, in their order; a row that is gone is left out."""
        found = {row[self._key]: row for row in self.raw}
        self.raw = [found[key] for key in keys if key in found]
        return self

    def first(self, count: int) -> RawRows:
        """The first `count` of them."""
        self.raw = self.raw[:count]
        return self

    def key(self, index: int) -> int:
        """The key of one row."""
        return int(self.raw[index][self._key])

    def keys(self) -> list[int]:
        """The keys of all rows."""
        return [row[self._key] for row in self.raw]

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.values(range(len(self))))

    def values(self, indexes: Sequence[int]) -> list[dict[str, Any]]:
        """These rows as dicts, as the queryset would have given them."""
        chosen = [self.raw[index] for index in indexes]
        made = self._compiler.results_iter(results=[chosen])
        return [dict(zip(self._names, row, strict=True)) for row in made]


class KeptTexts:
    """The texts of one list's rows. `make` is given a row's values and what else it says, and gives its document.

    At most `most` and `most_bytes` are kept, and as many old ones; an answer has `page_bytes`, or one row.
    """

    def __init__(
        self,
        make: Callable[[Values, Any], Mapping[str, Any]],
        most: int = MOST_KEPT,
        *,
        most_bytes: int = MOST_BYTES,
        page_bytes: int = PAGE_BYTES,
    ) -> None:
        self._make, self._most, self._most_bytes = make, most, most_bytes
        self._page_bytes = page_bytes
        # What was not asked for while the young ones became as many as may be is forgotten.
        self._young: dict[Hashable, bytes] = {}
        self._old: dict[Hashable, bytes] = {}
        self._young_bytes = 0

    def of(self, rows: RawRows, more: Sequence[Hashable] | None = None) -> list[orjson.Fragment]:
        """The first rows as JSON, as many as an answer may hold; `more` is what a document says beside its columns."""
        told: list[orjson.Fragment] = []
        room = self._page_bytes
        for begin in range(0, len(rows), MADE_AT_ONCE):
            for text in self._some(rows, range(begin, min(begin + MADE_AT_ONCE, len(rows))), more):
                room -= len(text)
                if room < 0 and told:
                    return told
                told.append(orjson.Fragment(text))
        return told

    def _some(self, rows: RawRows, indexes: range, more: Sequence[Hashable] | None) -> list[bytes]:
        keys = {index: (rows.raw[index], None if more is None else more[index]) for index in indexes}
        found = {index: self._known(key) for index, key in keys.items()}
        missing = [index for index, text in found.items() if text is None]
        for index, values in zip(missing, rows.values(missing) if missing else (), strict=True):
            found[index] = self._keep(keys[index], self._make(values, keys[index][1]))
        return [text for text in found.values() if text is not None]

    def _known(self, key: Hashable) -> bytes | None:
        text = self._young.get(key)
        if text is None and (text := self._old.get(key)) is not None:
            self._put(key, text)
        return text

    def _keep(self, key: Hashable, document: Mapping[str, Any]) -> bytes:
        text = ExactJsonRenderer().render(document)
        self._put(key, text)
        return text

    def _put(self, key: Hashable, text: bytes) -> None:
        size = 2 * len(text) + ROW_BYTES
        if len(self._young) >= self._most or (self._young and self._young_bytes + size > self._most_bytes):
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = text
        self._young_bytes += size
