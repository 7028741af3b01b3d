"""Fields and filters that several endpoints share."""

from __future__ import annotations

from django_filters import TypedChoiceFilter
from rest_framework import serializers

LARGEST_ID = 2**63 - 1


def row_id(**options: object) -> serializers.IntegerField:
    """The field of a row's id, or of its version."""
    return serializers.IntegerField(min_value=1, max_value=LARGEST_ID, **options)  # type: ignore[arg-type]


def flag_filter(help_text: str) -> TypedChoiceFilter:
    """A filter by true or false, and by nothing that only looks like it."""
    words = [("true", "true"), ("false", "false")]
    return TypedChoiceFilter(choices=words, coerce=lambda text: text == "true", help_text=help_text)
