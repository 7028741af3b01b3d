"""Pages of a table that grows: newest first, each found in a bounded amount of work, however many rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet

from autotrader.core.errors import Invalid

WINDOW = 1_000
LONGEST_CURSOR = 200


@dataclass(frozen=True, slots=True)
class Place:
    """The row after which a page goes on; `at` is its time where the order is by time."""

    key: int
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page, and where the next one begins: None where there is no more."""

    rows: Sequence[Any]
    place: Place | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, in which order: by `key`, or by the time in `time` and then by `key`, the newest first.

    `driven` is what an index in that order leads to; `rest` is looked at row by row, at most WINDOW rows a page, so
    that a page may hold fewer rows than were asked for, or none, and yet name a next one. `is_narrowed`: the rows are
    filtered already by what no index leads to. `columns` are read of the page's rows alone, other tables' among them:
    a database that joins so many tables no longer finds by itself that few rows are wanted.
    """

    driven: Q = field(default_factory=Q)
    rest: Q = field(default_factory=Q)
    time: str = ""
    key: str = "pk"
    is_narrowed: bool = False
    columns: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[str, ...]:
        """The names to sort by."""
        return (f"-{self.time}", f"-{self.key}") if self.time else (f"-{self.key}",)

    @property
    def place(self) -> tuple[str, ...]:
        """The names that tell a row's place."""
        return (self.key, self.time) if self.time else (self.key,)


def page_of(rows: QuerySet[Any, Any], wanted: Wanted, place: Place | None, limit: int) -> Page:
    """At most `limit` rows after `place`: dicts of the columns, else as `rows` gives them."""
    if not wanted.columns:
        return _page_of(rows, wanted, place, limit)
    page = _page_of(rows.values(*wanted.place), wanted, place, limit)
    keys = [row[wanted.key] for row in page.rows]
    found = {row[wanted.key]: row for row in rows.model._default_manager.filter(pk__in=keys).values(*wanted.columns)}
    return Page([found[key] for key in keys if key in found], page.place)


def _page_of(rows: QuerySet[Any, Any], wanted: Wanted, place: Place | None, limit: int) -> Page:
    if not (wanted.rest or wanted.is_narrowed):
        return _told(list(_after(rows.filter(wanted.driven), wanted, place)[: limit + 1]), wanted, limit)
    plain = rows.model._default_manager.filter(wanted.driven)
    candidates = _after(plain, wanted, place)[:WINDOW]
    found = rows.filter(wanted.rest, pk__in=candidates.values("pk")).order_by(*wanted.order)
    page = _told(list(found[: limit + 1]), wanted, limit)
    return page if page.place else Page(page.rows, _end_of(candidates, wanted))


def _after(rows: QuerySet[Any, Any], wanted: Wanted, place: Place | None) -> QuerySet[Any, Any]:
    if place is not None and place.at is not None:
        # The first condition bounds the scan of the index, the other leaves out what was told.
        told = Q(**{f"{wanted.time}__lt": place.at}) | Q(**{f"{wanted.key}__lt": place.key})
        rows = rows.filter(told, **{f"{wanted.time}__lte": place.at})
    elif place is not None:
        rows = rows.filter(**{f"{wanted.key}__lt": place.key})
    return rows.order_by(*wanted.order)


def _told(found: list[Any], wanted: Wanted, limit: int) -> Page:
    if len(found) <= limit:
        return Page(found, None)
    return Page(found[:limit], _place(found[limit - 1], wanted))


def _place(row: Any, wanted: Wanted) -> Place:
    def value(name: str) -> Any:
        return row[name] if isinstance(row, dict) else getattr(row, name)

    return Place(value(wanted.key), value(wanted.time) if wanted.time else None)


def _end_of(candidates: QuerySet[Any, Any], wanted: Wanted) -> Place | None:
    """The last row of a full window: the next page looks on from there."""
    last = list(candidates.values(*wanted.place)[WINDOW - 1 :])
    return _place(last[0], wanted) if last else None


def cursor_of(place: Place | None, of: str, *, by_time: bool) -> str | None:
    """The place as a client keeps it, good for the list `of` in this order alone."""
    if place is None:
        return None
    at = f"{place.at.astimezone(UTC):%Y%m%dT%H%M%S%f}" if place.at is not None else ""
    return _signer(of, by_time).sign(f"{place.key}_{at}")


def place_of(cursor: str, of: str, *, by_time: bool) -> Place:
    """The place that the cursor of this list names. Raises Invalid for any other text."""
    try:
        if len(cursor) > LONGEST_CURSOR:
            raise BadSignature
        key, _, at = _signer(of, by_time).unsign(cursor).partition("_")
    except BadSignature:
        raise Invalid(
            "cursor is none of this list; take it from `next` of the page before, with the same filters.",
            details={"field": "cursor", "fields": {"cursor": "not of this list"}},
        ) from None
    return Place(int(key), datetime.strptime(f"{at}+0000", "%Y%m%dT%H%M%S%f%z") if at else None)


def _signer(of: str, by_time: bool) -> Signer:
    return Signer(sep=".", salt=f"cursor:{of}:{'time' if by_time else 'key'}")
