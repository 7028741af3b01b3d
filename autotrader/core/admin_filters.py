"""Filters of the admin's long lists where no index serves the column: they look at the newest rows only, and say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import BooleanField, Model, QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:
    FieldFilter = admin.FieldListFilter
    DateFilter = admin.DateFieldListFilter
else:
    from django.contrib.admin import DateFieldListFilter as DateFilter
    from django.contrib.admin import FieldListFilter as FieldFilter

WINDOW = 100_000  # rows that such a filter looks at, the newest
LOOKED_AT = 1_000  # rows whose values it offers, the newest


def newest_only(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of them among the newest rows of the table."""
    return rows.filter(pk__gt=oldest_of_newest(rows.model))


def oldest_of_newest(model: type[Model]) -> int:
    """The number after which the newest rows of a table begin; numbers grow with time."""
    newest = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    return 0 if newest is None else int(newest) - WINDOW


class NewestFilter(FieldFilter):
    """By a column of few values: those that the model names, else those of the newest rows."""

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.lookup = f"{field_path}__exact"
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = f"{self.title}, of the newest {WINDOW:,}"
        told = self.used_parameters.get(self.lookup)
        self.value = told[-1] if isinstance(told, list) else told
        self.offered = _offered(field, model)

    def expected_parameters(self) -> list[str | None]:
        return [self.lookup]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.used_parameters:
            return queryset
        if "\x00" in str(self.value):
            raise IncorrectLookupParameters(f"{self.lookup} is no value")
        found = super().queryset(request, queryset)
        return newest_only(queryset if found is None else found)

    def choices(self, changelist: Any) -> Any:
        yield {
            "selected": self.value is None,
            "query_string": changelist.get_query_string(remove=[self.lookup]),
            "display": "All",
        }
        for value, display in self.offered:
            yield {
                "selected": self.value == value,
                "query_string": changelist.get_query_string({self.lookup: value}),
                "display": display,
            }


class NewestDateFilter(DateFilter):
    """By a time that has no index."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.title = f"{self.title}, of the newest {WINDOW:,}"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.used_parameters:
            return queryset
        found = super().queryset(request, queryset)
        return newest_only(queryset if found is None else found)


def _offered(field: Any, model: Any) -> list[tuple[str, str]]:
    if isinstance(field, BooleanField):
        return [("1", "Yes"), ("0", "No")]
    if field.flatchoices:
        return [(str(value), str(display)) for value, display in field.flatchoices]
    newest = model._default_manager.order_by("-pk").values_list(field.name, flat=True)[:LOOKED_AT]
    return [(str(value), str(value)) for value in sorted({value for value in newest if value not in (None, "")})]
