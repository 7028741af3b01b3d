"""Pages of a table that grows: newest first, each found in a bounded amount of work, however many rows there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet

from autotrader.core.errors import Invalid
from autotrader.core.rest.kept_texts import RawRows

WINDOW = 500
LONGEST_CURSOR = 200


@dataclass(frozen=True, slots=True)
class Place:
    """The row after which a page goes on; `at` is its time where the order is by time."""

    key: int
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page, and where the next one begins: None where there is no more.

    `after` tells where it begins if this page ends with the row of that index already, in a list whose pages may.
    """

    rows: Sequence[Any] | RawRows
    place: Place | None
    after: Callable[[int], Place | None] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, in which order: by `key`, or by the time in `time` and then by `key`, the newest first.

    `driven` is what an index in that order leads to; `rest` is looked at row by row, at most WINDOW rows a page, so
    that a page may hold fewer rows than were asked for, or none, and yet name a next one. `is_narrowed`: the rows are
    filtered already by what no index leads to. `columns` are what is read of a page's rows.

    The rows are found by their keys alone, in steps that leave a planner no choice: with all their columns, other
    tables or two conditions at once it reckons that rows are spread evenly, and reads the whole table where they are
    not.
    """

    driven: Q = field(default_factory=Q)
    rest: Q = field(default_factory=Q)
    time: str = ""
    key: str = "id"
    is_narrowed: bool = False
    columns: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[str, ...]:
        """The names to sort by."""
        return (f"-{self.time}", f"-{self.key}") if self.time else (f"-{self.key}",)


def page_of(rows: QuerySet[Any, Any], wanted: Wanted, place: Place | None, limit: int) -> Page:
    """At most `limit` rows after `place`."""
    if not (wanted.driven or wanted.rest or wanted.is_narrowed or wanted.time):
        return _newest(rows.model, wanted, place, limit)
    keys, last = _keys(rows, wanted, place, limit)
    table = rows.model._default_manager
    read = _reading(rows.model, wanted.columns)
    found = RawRows(read.filter(pk__in=keys) if keys else read.none(), wanted.key).in_order(keys)
    return Page(found, _place(table, wanted, last), lambda index: _place(table, wanted, found.key(index)))


def _newest(model: type[Model], wanted: Wanted, place: Place | None, limit: int) -> Page:
    """Without a condition there is nothing to reckon with: the rows come in the order of the key."""
    found = RawRows(_after(_reading(model, wanted.columns), wanted, place)[: limit + 1], wanted.key)
    more = Place(found.key(limit - 1)) if len(found) > limit else None
    return Page(found.first(limit), more, lambda index: Place(found.key(index)))


def _reading(model: type[Model], columns: tuple[str, ...]) -> QuerySet[Any, Any]:
    """To be narrowed: to find out what the columns of a page are takes as long as to read its rows."""
    known = _readings.get((model, columns))
    if known is None:
        known = _readings[model, columns] = model._default_manager.order_by().values(*columns)
    return known


_readings: dict[tuple[type[Model], tuple[str, ...]], QuerySet[Any, Any]] = {}


def plain_page(rows: QuerySet[Any, Any], place: Place | None, limit: int) -> Page:
    """At most `limit` rows after `place`, by their primary key, as `rows` gives them: for lists that stay short."""
    if place is not None:
        rows = rows.filter(pk__lt=place.key)
    found = list(rows.order_by("-pk")[: limit + 1])
    return Page(found[:limit], Place(found[limit - 1].pk) if len(found) > limit else None)


def _keys(rows: QuerySet[Any, Any], wanted: Wanted, place: Place | None, limit: int) -> tuple[list[int], int | None]:
    """The keys of the page, and the last that was looked at where there may be more."""
    if not (wanted.rest or wanted.is_narrowed):
        found = _ordered(rows.filter(wanted.driven), wanted, place, limit + 1)
        return found[:limit], found[limit - 1] if len(found) > limit else None
    looked_at = _ordered(rows.model._default_manager.filter(wanted.driven), wanted, place, WINDOW)
    kept = rows.filter(wanted.rest, pk__in=looked_at).order_by().values_list("pk", flat=True)
    right = set(kept) if looked_at else set()
    found = [key for key in looked_at if key in right]
    if len(found) > limit:
        return found[:limit], found[limit - 1]
    return found, looked_at[-1] if len(looked_at) == WINDOW else None


def _ordered(rows: QuerySet[Any, Any], wanted: Wanted, place: Place | None, count: int) -> list[int]:
    return list(_after(rows, wanted, place).values_list("pk", flat=True)[:count])


def _after(rows: QuerySet[Any, Any], wanted: Wanted, place: Place | None) -> QuerySet[Any, Any]:
    if place is not None and place.at is not None:
        # The first condition bounds the scan of the index, the other leaves out what was told.
        told = Q(**{f"{wanted.time}__lt": place.at}) | Q(**{f"{wanted.key}__lt": place.key})
        rows = rows.filter(told, **{f"{wanted.time}__lte": place.at})
    elif place is not None:
        rows = rows.filter(**{f"{wanted.key}__lt": place.key})
    return rows.order_by(*wanted.order)


def _place(table: Any, wanted: Wanted, key: int | None) -> Place | None:
    if key is None or not wanted.time:
        return None if key is None else Place(key)
    return Place(key, table.values_list(wanted.time, flat=True).get(pk=key))


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
