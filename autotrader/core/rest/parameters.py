"""The query parameters of lists as OpenAPI says them: what the filter set declares, and the two of the paging."""

from __future__ import annotations

from typing import Any

from django import forms
from django_filters import FilterSet
from drf_spectacular.utils import OpenApiParameter

from autotrader.core.rest.documents import DECIMAL, Schema

LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
CURSOR: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
PAGING = (
    OpenApiParameter("limit", LIMIT, description="How many rows at most."),
    OpenApiParameter("cursor", CURSOR, description="`next` of the page before, with the same filters."),
)


def list_parameters(filters: type[FilterSet] | None) -> list[OpenApiParameter]:
    """The filters, then the paging."""
    found = filters.base_filters if filters is not None else {}
    return [*(_parameter(name, declared) for name, declared in found.items()), *PAGING]


def _parameter(name: str, declared: Any) -> OpenApiParameter:
    described = declared.extra.get("help_text") or declared.label or ""
    return OpenApiParameter(name, schema_of_field(declared.field), description=str(described))


def schema_of_field(field: forms.Field) -> Schema:
    """What a form's field takes, as it is written in a query string."""
    if isinstance(field, (forms.ChoiceField, forms.TypedChoiceField)):
        choices: Any = field.choices
        words = [str(value) for value, _ in choices if value not in ("", None)]
        return {"type": "string", "enum": words} if words else {"type": "string"}
    if isinstance(field, forms.IntegerField):
        return {"type": "integer", **_bounds(field)}
    if isinstance(field, forms.DecimalField):
        return dict(DECIMAL)
    if isinstance(field, forms.DateTimeField):
        return {"type": "string", "format": "date-time"}
    if isinstance(field, forms.DateField):
        return {"type": "string", "format": "date"}
    if isinstance(field, (forms.BooleanField, forms.NullBooleanField)):
        return {"type": "boolean"}
    longest = getattr(field, "max_length", None)
    return {"type": "string", "minLength": 1, **({"maxLength": longest} if longest else {})}


def _bounds(field: forms.IntegerField) -> Schema:
    known = {"minimum": field.min_value, "maximum": field.max_value}
    return {name: value() if callable(value) else value for name, value in known.items() if value is not None}
