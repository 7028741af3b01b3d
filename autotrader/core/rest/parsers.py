"""JSON bodies with exact numbers: a number is a Decimal, and what JSON does not know is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser

from autotrader.core.rest.errors import Malformed

LARGEST_BODY = 64 * 1024  # bytes


class BodyTooLarge(APIException):
    """The body is longer than any sound request."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is longer than {LARGEST_BODY} bytes."
    default_code = "BODY_TOO_LARGE"


class ExactJson(BaseParser):
    """One JSON object; no NaN, no Infinity, no field twice, no float anywhere."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        raw = stream.read(LARGEST_BODY + 1)
        if len(raw) > LARGEST_BODY:
            raise BodyTooLarge
        return parse_object(raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """The object that the bytes say; an empty body is an empty object. Raises Malformed."""
    if not raw.strip():
        return {}
    try:
        found = json.loads(
            raw.decode(),
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise Malformed(f"The body is not JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise Malformed("The body must be one JSON object.")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the field {name!r} is given twice")
        found[name] = value
    return found
