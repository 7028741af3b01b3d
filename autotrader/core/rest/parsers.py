"""JSON bodies with exact numbers, and the doors for what no sound request holds: odd texts, numbers and addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import IO, Any

from rest_framework import status
from rest_framework.exceptions import APIException, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from autotrader.core.rest.errors import Malformed

LARGEST_BODY = 64 * 1024  # bytes
DEEPEST = 16  # objects and lists within one another
TOO_DEEP = f"it is deeper than {DEEPEST} levels"
LONGEST_NUMBER = 10_000  # digits, written or meant by an exponent
CHARSETS = {"", "utf-8", "utf8", "us-ascii"}


class BodyTooLarge(APIException):
    """The body is longer than any sound request."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is longer than {LARGEST_BODY} bytes."
    default_code = "BODY_TOO_LARGE"


class LengthRequired(APIException):
    """A body in chunks has no length, and would be taken for none at all."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_detail = "Send the body with its Content-Length, not in chunks."
    default_code = "LENGTH_REQUIRED"


class ExactJson(BaseParser):
    """One JSON object; no NaN, no Infinity, no field twice, no float anywhere."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if _charset(media_type or "") not in CHARSETS:
            raise UnsupportedMediaType(media_type or "")
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
            parse_float=_number,
            parse_int=_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_once,
        )
        if not isinstance(found, dict):
            raise Malformed("The body must be one JSON object.")
        for text in _texts(found, DEEPEST):
            if not is_sound(text):
                raise ValueError("a text holds a character that no text may hold")
    except RecursionError as error:
        raise Malformed(f"The body is not JSON: {TOO_DEEP}") from error
    except (ValueError, ArithmeticError) as error:
        raise Malformed(f"The body is not JSON: {_shown(error)}") from error
    return found


def is_sound(text: str) -> bool:
    """Whether every database can keep the text: no NUL, and no half of a surrogate pair."""
    return "\x00" not in text and _is_unicode(text)


def refuse_odd(request: Request) -> None:
    """Raise Malformed where the query string is no text, LengthRequired where a body comes without its length."""
    for name, values in request.query_params.lists():
        if not all(is_sound(text) for text in (name, *values)):
            raise Malformed("The query string holds a character that no text may hold.")
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _charset(media_type: str) -> str:
    """What the content type says after `charset=`, or ""."""
    for part in media_type.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _number(written: str) -> Decimal:
    number = Decimal(written)
    if len(written) > LONGEST_NUMBER or abs(number.adjusted()) > LONGEST_NUMBER:
        raise ValueError(f"a number has more than {LONGEST_NUMBER} digits")
    return number


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Every text in the value, names included. Raises ValueError where it is deeper than `depth`."""
    if isinstance(value, str):
        yield value
        return
    if not isinstance(value, (dict, list)):
        return
    if not depth:
        raise ValueError(TOO_DEEP)
    for inner in (*value.keys(), *value.values()) if isinstance(value, dict) else value:
        yield from _texts(inner, depth - 1)


def _shown(error: Exception) -> str:
    """The error's text without what was sent, which may not be printable."""
    return str(error)[:200].encode("ascii", "replace").decode()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the field {name!r} is given twice")
        found[name] = value
    return found
