"""Lists: newest first, in pages by cursor, filtered by declared parameters, tagged, and only what the key may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters import FilterSet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from autotrader.core.errors import Invalid
from autotrader.core.rest.limits import limited_rows, limits_of
from autotrader.core.rest.paging import Page, Place, cursor_of, place_of, plain_page
from autotrader.core.rest.views import SAFE, Endpoint, parameters, unknown_parameter

LIMIT, LARGEST_LIMIT = 50, 500
PAGING = ("limit", "cursor")


class ListEndpoint(Endpoint):
    """GET: `{"results": […], "next": "<cursor or null>"}`, newest first, `limit` 1 to 500, `cursor` of the page before.

    Give `queryset()`, and `document(row)` or a `serializer_class`; `filterset_class` declares the parameters.
    `account_field` and `strategy_field` name the columns by which a limited key's rows are told; a list without the one
    that a key is limited by is refused to it. `answers["GET"]` is the type of one row.
    """

    paged = True
    etag = True
    serializer_class: type[BaseSerializer[Any]] | None = None
    filterset_class: type[FilterSet] | None = None
    account_field = ""
    strategy_field = ""

    def queryset(self) -> QuerySet[Any, Any]:
        """Every row of the list, as models, dicts or named tuples."""
        raise NotImplementedError

    def document(self, row: Any) -> Any:
        """One row as it is answered."""
        if self.serializer_class is None:
            raise NotImplementedError
        return self.serializer_class(row).data

    def documents(self, rows: Iterable[Any]) -> list[Any]:
        """The rows of a page as they are answered; the first of them where all would be too long an answer."""
        return [self.document(row) for row in rows]

    def limited(self, rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        """What the key may see of the rows. Raises KeyLimited where that cannot be told."""
        limits = limits_of(self.request)
        return limited_rows(rows, limits, account=self.account_field, strategy=self.strategy_field)

    def page(self, rows: QuerySet[Any, Any], asked: Mapping[str, str], place: Place | None, limit: int) -> Page:
        """The page; a list whose filters need more than the filter set's own query overrides this."""
        return plain_page(self.filtered(rows, asked).qs if asked else rows, place, limit)

    def is_by_time(self, asked: Mapping[str, str]) -> bool:
        """Whether these parameters put the list in the order of time."""
        return False

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = parameters(request)
        limit, cursor = limit_of(asked.pop("limit", None)), asked.pop("cursor", None)
        by_time = self.is_by_time(asked)
        place = None if cursor is None else place_of(cursor, request.path, by_time=by_time)
        page = self.page(self.limited(self.queryset()), asked, place, limit)
        told, place = self.documents(page.rows), page.place
        if page.after is not None and 0 < len(told) < len(page.rows):
            place = page.after(len(told) - 1)
        return Response({"results": told, "next": cursor_of(place, request.path, by_time=by_time)})

    def check_parameters(self, request: Request) -> None:
        if request.method not in SAFE:
            super().check_parameters(request)
        known = (*self.filters(), *PAGING)
        for name, value in parameters(request).items():
            if name not in known:
                raise unknown_parameter(name, known)
            if not value:
                raise Invalid(f"{name} is empty.", details={"field": name, "fields": {name: "empty"}})

    def filters(self) -> Iterable[str]:
        """The names of the filters."""
        return self.filterset_class.base_filters if self.filterset_class is not None else ()

    def filtered(self, rows: QuerySet[Any, Any], asked: Mapping[str, str]) -> FilterSet:
        """The checked filters on the rows. Raises Invalid naming each parameter that is wrong."""
        filters = self.filterset_class or FilterSet
        found = filters(data=dict(asked), queryset=rows, request=self.request)
        if not found.is_valid():
            raise _wrong({str(name): " ".join(map(str, errors)) for name, errors in found.errors.items()})
        return found

    def checked(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """The values of these parameters alone. Raises Invalid naming each that is wrong.

        A form would copy every field with all its choices for each request, which takes longer than a page's rows.
        """
        filters = self.filterset_class.base_filters if self.filterset_class is not None else {}
        found: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name, value in asked.items():
            try:
                found[name] = filters[name].field.clean(value)
            except ValidationError as error:
                wrong[name] = " ".join(error.messages)
        if wrong:
            raise _wrong(wrong)
        return found


def _wrong(fields: dict[str, str]) -> Invalid:
    first = next(iter(fields))
    return Invalid(f"{first}: {fields[first]}", details={"field": first, "fields": fields})


def limit_of(text: str | None) -> int:
    """How many rows a page holds. Raises Invalid unless it is a number from 1 to 500."""
    if text is None:
        return LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= LARGEST_LIMIT):
        raise Invalid(
            f"limit must be a whole number from 1 to {LARGEST_LIMIT}.",
            details={"field": "limit", "fields": {"limit": f"1 to {LARGEST_LIMIT}"}},
        )
    return int(text)
