"""Rows as CSV: streamed in parts, at most 50,000 of them, with no cell that a spreadsheet would take for a formula, and
with an event that tells who took which list."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import JSONField, Model, QuerySet, TextField
from django.http import HttpRequest, StreamingHttpResponse

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now

EXPORT = "_export"
MOST_FILTERS, LONGEST_FILTER = 20, 200
MOST_ROWS = 50_000
PART = 1_000
BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
BLANKS = " \u00a0\u200b\u200c\u200d\u2060\ufeff"


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def exported_fields(model: type[Model], named: Sequence[str] = ()) -> list[str]:
    """The columns: those that are named, else every column of the row but documents and long texts."""
    if named:
        return list(named)
    return [field.attname for field in model._meta.concrete_fields if not isinstance(field, JSONField | TextField)]


def export_noted(*, actor: str, name: str, filters: Mapping[str, str], rows: int) -> None:
    """Write down that somebody takes `rows` rows of a list as a file, before the first of them leaves.

    `name` is the list's, such as "order"; `filters` are what it was narrowed to, by name.
    """
    kept = {key[:LONGEST_FILTER]: text[:LONGEST_FILTER] for key, text in list(filters.items())[:MOST_FILTERS]}
    told = ", ".join(f"{key}={text}" for key, text in kept.items())
    with audit.acting(actor=actor), audit.recording():
        audit.record(
            EventType.LIST_EXPORTED,
            f"list:{name}",
            cause=f"{rows} row{'' if rows == 1 else 's'} as CSV, {told or 'not filtered'}",
            document={"list": name, "filters": kept, "filters_given": len(filters), "rows": rows},
        )


def csv_answer(request: HttpRequest, name: str, fields: list[str], rows: QuerySet[Any]) -> StreamingHttpResponse:
    """The rows, newest first, as a file `<name>-<date>.csv` that is written while it is sent."""
    parts = _parts(fields, rows)
    # Each server's own kind of iterator: of the other's Django would first collect all of it.
    streamed = _awaited(parts) if isinstance(request, ASGIRequest) else parts
    answer = StreamingHttpResponse(streamed, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{system_now():%Y-%m-%d}.csv"'
    answer["Cache-Control"] = "no-store"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def rows_to_export(rows: QuerySet[Any]) -> int:
    """How many of them a file holds; never more than it may hold are counted."""
    return rows.order_by()[:MOST_ROWS].count()


def cell(value: object) -> object:
    """A value as it stands in a cell: numbers plain, times in UTC, texts with an apostrophe before what looks like a
    formula."""
    if value is None or isinstance(value, int | float):  # true and false are numbers too
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    text = str(value)
    return f"'{text}" if is_formula(text) else text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may run it: by its first character, also a full-width one, or one behind blanks."""
    begin = unicodedata.normalize("NFKC", text).lstrip(BLANKS)
    return text.startswith(BEGINS_A_FORMULA) or begin.startswith(BEGINS_A_FORMULA)


def _parts(fields: list[str], rows: QuerySet[Any]) -> Iterator[str]:
    """The head line, then the rows in parts: each part begins where the last ended, so that nothing stays open."""
    writer: Any = csv.writer(_Echo())
    yield writer.writerow(fields)
    ordered, last, left = rows.order_by("-pk").values_list("pk", *fields), None, MOST_ROWS
    while left:
        part = list((ordered if last is None else ordered.filter(pk__lt=last))[: min(PART, left)])
        if not part:
            return
        yield "".join(writer.writerow([cell(value) for value in row[1:]]) for row in part)
        last, left = part[-1][0], left - len(part)


async def _awaited(parts: Iterator[str]) -> AsyncIterator[str]:
    def following() -> str | None:
        return next(parts, None)

    ask = sync_to_async(following, thread_sensitive=True)
    while (part := await ask()) is not None:
        yield part
