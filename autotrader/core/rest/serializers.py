"""What a request may say: a field that is not known is refused by its name, and every wrong one is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from autotrader.core.errors import Invalid

NAME_SHOWN = 40


class Body(serializers.Serializer[Any]):
    """Declare the fields; `read` gives the checked values. It documents the body in the schema as well."""

    @classmethod
    def read(cls, told: object, **options: Any) -> dict[str, Any]:
        """The checked values of a body or a query string.

        Raises Invalid, code UNKNOWN_FIELD or INVALID, with `field` (the first) and `fields` (name → what is wrong).
        """
        if not isinstance(told, Mapping):
            raise Invalid("Send one JSON object.", details={"field": "", "fields": {}})
        body = cls(data=told, **options)
        body._refuse_unknown(told)
        if not body.is_valid():
            wrong = {name: _sentence(found) for name, found in body.errors.items()}
            first = next(iter(wrong))
            raise Invalid(f"{first}: {wrong[first]}", details={"field": first, "fields": wrong})
        values: dict[str, Any] = body.validated_data
        return values

    @classmethod
    def refuse_unknown(cls, told: Mapping[str, Any]) -> None:
        """Raise Invalid UNKNOWN_FIELD where a field is not known: for a body that a service reads."""
        cls()._refuse_unknown(told)

    def _refuse_unknown(self, told: Mapping[str, Any]) -> None:
        for name in told:
            if name not in self.fields:
                shown = str(name)[:NAME_SHOWN]
                known = ", ".join(self.fields)
                raise Invalid(
                    f"There is no field {shown!r}; known are {known}.",
                    code="UNKNOWN_FIELD",
                    details={"field": shown, "fields": {shown: "unknown"}},
                )


def _sentence(found: Any) -> str:
    if isinstance(found, Mapping):
        return "; ".join(f"{name}: {_sentence(value)}" for name, value in found.items())
    if isinstance(found, (list, tuple)):
        return " ".join(_sentence(item) for item in found)
    return str(found)
