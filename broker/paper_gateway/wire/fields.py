"""Fields of a message: a strict, typed reader for what clients send, and the spelling of what the gateway sends."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal

from broker.paper_gateway.wire.framing import frame
from broker.paper_gateway.wire.versions import FRACTIONAL_SIZES, SHARES_NOT_LOTS

UNSET_DOUBLE = "1.7976931348623157E308"
UNSET_INTEGER = "2147483647"
UNSET_LONG = "9223372036854775807"

MAX_TEXT = 4096
MAX_INTEGER = 2**31 - 1
MAX_NUMBER = Decimal(10) ** 15
LOT = 100

_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_UNSET_FLOOR = Decimal("1.79E308")

Value = str | int | float | Decimal | bool | None


class BadField(Exception):
    """A field that is missing or cannot be read as what it must be."""


def split(payload: bytes) -> list[str]:
    """The fields of a payload; each is terminated by NUL, so the piece after the last one is dropped."""
    fields = payload.decode("utf-8", errors="replace").split("\0")
    if fields[-1] == "":
        fields.pop()
    return fields


class FieldReader:
    """Reads the fields of one message in order; every read raises BadField rather than guess."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = fields
        self._next = 0

    def text(self) -> str:
        """The next field as it stands."""
        if self._next >= len(self.fields):
            raise BadField(f"field {self._next} is missing")
        field = self.fields[self._next]
        if len(field) > MAX_TEXT:
            raise BadField(f"field {self._next} is longer than {MAX_TEXT} characters")
        self._next += 1
        return field

    def texts(self, count: int) -> Sequence[str]:
        """The next `count` fields as they stand."""
        fields = self.fields[self._next : self._next + count]
        if len(fields) < count:
            raise BadField(f"field {len(self.fields)} is missing")
        if sum(map(len, fields)) > MAX_TEXT:
            return [self.text() for _ in range(count)]
        self._next += count
        return fields

    def optional(self) -> str:
        """The next field, or empty text when the message ends here."""
        return self.text() if self._next < len(self.fields) else ""

    def skip(self, count: int = 1) -> None:
        """Pass over fields that carry nothing for us."""
        for _ in range(count):
            self.text()

    def integer(self) -> int:
        """The next field as a 32-bit integer; empty is 0."""
        return integer(self.text())

    def number(self) -> Decimal | None:
        """The next field as a Decimal; None where it is empty or holds the protocol's unset value."""
        return number(self.text())

    def flag(self) -> bool:
        """The next field as a boolean; empty is False."""
        return flag(self.text())

    def count(self, limit: int = 1000) -> int:
        """The next field as the number of entries that follow."""
        value = self.integer()
        if not 0 <= value <= limit:
            raise BadField(f"a list cannot have {value} entries")
        return value


def integer(text: str) -> int:
    """A 32-bit integer; empty is 0, anything else raises BadField."""
    if not text:
        return 0
    if not _INTEGER.fullmatch(text) or abs(int(text)) > MAX_INTEGER:
        raise BadField(f"{text[:40]!r} is not an integer")
    return int(text)


def number(text: str) -> Decimal | None:
    """A finite Decimal, None for unset; infinities, NaN and absurd magnitudes raise BadField."""
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise BadField(f"{text[:40]!r} is not a number")
    value = Decimal(text)
    if value >= _UNSET_FLOOR or text == UNSET_INTEGER:
        return None
    if abs(value) >= MAX_NUMBER or (value and value.adjusted() < -15):
        raise BadField(f"{text[:40]!r} is out of range")
    return value


def flag(text: str) -> bool:
    """A boolean, `1` or `0`; empty is False."""
    if text not in {"", "0", "1"}:
        raise BadField(f"{text[:40]!r} is not a boolean")
    return text == "1"


def spell(value: Value) -> str:
    """One value as its field text: booleans as 1 and 0, None as empty, decimals at their shortest."""
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else UNSET_DOUBLE
    return str(value)


def decimal_text(value: Decimal) -> str:
    """A Decimal in plain notation without trailing zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def price(value: Decimal | None) -> str:
    """A price as a double is spelled, 0.0 where there is none."""
    text = decimal_text(value or Decimal(0))
    return text if "." in text else text + ".0"


def unset_or(value: Decimal | None) -> str:
    """An amount, or the unset double where there is none."""
    return UNSET_DOUBLE if value is None else price(value)


def size(value: Decimal, version: int) -> str:
    """A quantity of shares; whole numbers only for clients that cannot read fractions."""
    if version < FRACTIONAL_SIZES:
        value = value.to_integral_value(rounding=ROUND_DOWN)
    return decimal_text(value)


def quote_size(shares: int, version: int) -> str:
    """The size of a quote: in shares, or in round lots for older clients."""
    return str(shares if version >= SHARES_NOT_LOTS else shares // LOT)


def ascii_text(text: str) -> str:
    """Text with everything outside ASCII as a backslash-u escape, as TWS sends names and errors."""
    return text.encode("ascii", errors="backslashreplace").decode("ascii")


def row(*values: Value) -> tuple[Value, ...]:
    """Fields that belong together, to be unpacked into a message."""
    return values


def message(*values: Value) -> bytes:
    """A whole frame of the given fields, the first of which is the message id."""
    # Most fields of the long messages are text already, and a call for each of them is half of what encoding costs.
    text = "\0".join([value if type(value) is str else spell(value) for value in values])
    return frame((text + "\0").encode("utf-8", errors="replace"))
