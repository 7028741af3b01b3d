"""What a person or a program may ask for, read strictly: every problem names its field and the fix."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from autotrader.core.audit.chain import canonical
from autotrader.core.errors import Invalid

LARGEST_BODY = 4 * 1024  # characters of the canonical body: each is kept for good, whether it is a sound order or not
DEEPEST = 4
TOO_LARGE = Decimal(10) ** 9  # our rows keep nine digits before the point
PLACES = 6
LARGEST_ID = 10**10
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9. ]{0,19}", re.ASCII)
_REF = re.compile(r"[!-~]{1,20}", re.ASCII)
SIDES = ("BUY", "SELL")
ORDER_TYPES = ("LMT", "MKT")
PURPOSES = ("entry", "exit")


@dataclass(frozen=True, slots=True)
class PlaceBody:
    """An order to be placed. `account` and `strategy` are names; of `symbol` and `con_id` one is given.

    `limit_price` belongs to LMT. An entry carries `stop_price` and `target_price`, an exit neither. `intended`: it may
    equal an order of a moment ago.
    """

    account: str | None
    strategy: str | None
    symbol: str | None
    con_id: int | None
    side: str
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    purpose: str
    intended: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ModifyBody:
    """New terms of a working order; what is None stays as it is."""

    order_ref: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    quantity: Decimal | None
    intended: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CancelBody:
    """The end of a working order; `force` ends even the stop of an open position."""

    order_ref: str
    force: bool
    reason: str


@dataclass(frozen=True, slots=True)
class WithdrawBody:
    """Taking back what waits under an approval, before it is sent."""

    approval: int
    reason: str


def plain_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body as it is stored and hashed: numbers as text. Raises Invalid for what is no JSON or could not be kept."""
    found = _plain(dict(body), "body", 0)
    if len(canonical(found)) > LARGEST_BODY:
        raise Invalid(f"The body is longer than {LARGEST_BODY} characters.", code="BODY_TOO_LARGE")
    return found  # type: ignore[no-any-return]


def body_hash(plain: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical body: the order of its fields does not count, all else does."""
    return hashlib.sha256(canonical(plain).encode()).hexdigest()


def _plain(value: Any, where: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise Invalid(f"{where} is nested too deeply.", details={"fields": {where: "nest it less deeply"}})
    if isinstance(value, dict):
        return {_text(name, where): _plain(item, _text(name, where), depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where, depth + 1) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, (int, float, Decimal)):
        return _digits(value, where)
    raise _bad(where, f"is a {type(value).__name__}, which JSON does not know")


def _digits(value: float | Decimal, where: str) -> str:
    """A number as text. Python refuses to write whole numbers of more than 4,300 digits, as it should."""
    try:
        text = str(value)
    except ValueError as error:
        raise _bad(where, "has too many digits") from error
    return text


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise _bad(where, "must have names that are text")
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise _bad(where, "contains a NUL or half a character, which cannot be stored")
    return value


def _bad(field: str, problem: str) -> Invalid:
    return Invalid(f"{field} {problem}.", details={"fields": {field: problem}})


class _Reader:
    """Reads the fields of one body and gathers what is wrong with them."""

    def __init__(self, body: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
        self._body = body
        self.problems: dict[str, str] = {}
        for name in body:
            if name not in allowed:
                self.problems[name[:40]] = f"is not known here; the fields are {', '.join(allowed)}"

    def take(self, name: str, read: Callable[[Any], Any], *, needed: bool = False, default: Any = None) -> Any:
        """The field as `read` gives it; a problem is noted and answered with `default`."""
        value = self._body.get(name)
        if value is None:
            if needed and name not in self.problems:
                self.problems[name] = "is missing"
            return default
        try:
            return read(value)
        except ValueError as error:
            self.problems[name] = str(error)
            return default

    def refuse(self, name: str, problem: str) -> None:
        """Note a problem of a field that was read well by itself."""
        self.problems.setdefault(name, problem)

    def finish(self) -> None:
        """Raise Invalid with all that is wrong."""
        if self.problems:
            first, problem = next(iter(self.problems.items()))
            raise Invalid(f"{first} {problem}.", details={"field": first, "fields": self.problems})


def place_body(body: Mapping[str, Any]) -> PlaceBody:
    """Read a request to place. Raises Invalid that names each bad field with its fix."""
    reader = _Reader(body, tuple(PlaceBody.__slots__))
    purpose = reader.take("purpose", one_of(PURPOSES), needed=True)
    order_type = reader.take("order_type", one_of(ORDER_TYPES), needed=True)
    prices = {name: reader.take(name, number) for name in ("limit_price", "stop_price", "target_price")}
    found = PlaceBody(
        account=reader.take("account", text(40)),
        strategy=reader.take("strategy", text(80)),
        symbol=reader.take("symbol", matching(_SYMBOL, "must be written as the broker does, in capitals")),
        con_id=reader.take("con_id", whole),
        side=reader.take("side", one_of(SIDES), needed=True),
        quantity=reader.take("quantity", number, needed=True),
        order_type=order_type,
        purpose=purpose,
        intended=reader.take("intended", flag, default=False),
        reason=reader.take("reason", text(500), default=""),
        **prices,
    )
    _check_together(reader, body, found)
    reader.finish()
    return found


def _check_together(reader: _Reader, body: Mapping[str, Any], found: PlaceBody) -> None:
    given = {name for name, value in body.items() if value is not None}
    if len(given & {"symbol", "con_id"}) != 1:
        reader.refuse("symbol", "or con_id must be given, and not both")
    if found.order_type == "LMT" and "limit_price" not in given:
        reader.refuse("limit_price", "is missing: a limit order names its worst price")
    if found.order_type == "MKT" and "limit_price" in given:
        reader.refuse("limit_price", "is not for MKT; leave it out")
    for name in ("stop_price", "target_price"):
        if found.purpose == "entry" and name not in given:
            reader.refuse(name, "is missing: an entry leaves with its stop and its target, or not at all")
        if found.purpose == "exit" and name in given:
            reader.refuse(name, "is not for an exit; leave it out, or modify the leg that stands")


def modify_body(body: Mapping[str, Any]) -> ModifyBody:
    """Read a request to change a working order. Raises Invalid."""
    reader = _Reader(body, tuple(ModifyBody.__slots__))
    found = ModifyBody(
        order_ref=reader.take("order_ref", matching(_REF, "is no reference of an order"), needed=True, default=""),
        limit_price=reader.take("limit_price", number),
        stop_price=reader.take("stop_price", number),
        quantity=reader.take("quantity", number),
        intended=reader.take("intended", flag, default=False),
        reason=reader.take("reason", text(500), default=""),
    )
    if all(body.get(name) is None for name in ("limit_price", "stop_price", "quantity")):
        reader.refuse("limit_price", "is missing: name what changes, one of limit_price, stop_price, quantity")
    reader.finish()
    return found


def cancel_body(body: Mapping[str, Any]) -> CancelBody:
    """Read a request to cancel. Raises Invalid."""
    reader = _Reader(body, tuple(CancelBody.__slots__))
    found = CancelBody(
        order_ref=reader.take("order_ref", matching(_REF, "is no reference of an order"), needed=True, default=""),
        force=reader.take("force", flag, default=False),
        reason=reader.take("reason", text(500), default=""),
    )
    if found.force and not found.reason.strip():
        reader.refuse("reason", "is missing: say why the stop of an open position should end")
    reader.finish()
    return found


def withdraw_body(body: Mapping[str, Any]) -> WithdrawBody:
    """Read a request to take back what an approval is about. Raises Invalid."""
    reader = _Reader(body, tuple(WithdrawBody.__slots__))
    found = WithdrawBody(
        approval=reader.take("approval", whole, needed=True, default=0),
        reason=reader.take("reason", text(500), default=""),
    )
    reader.finish()
    return found


def number(value: Any) -> Decimal:
    """A finite number above zero that our rows can keep, exactly. Raises ValueError with the fix."""
    found = _positive(value)
    if found >= TOO_LARGE:
        raise ValueError(f"must be below {TOO_LARGE:,}")
    if found != round(found, PLACES):
        raise ValueError(f"has more than {PLACES} decimals; round it to the tick or the lot")
    return round(found, PLACES)


def whole(value: Any) -> int:
    """A whole number above zero, as the broker's ids are. Raises ValueError."""
    found = _positive(value)
    if found >= LARGEST_ID or found != found.to_integral_value():
        raise ValueError("must be a whole number of at most ten digits")
    return int(found)


def _positive(value: Any) -> Decimal:
    if isinstance(value, (bool, float)) or not isinstance(value, (str, int, Decimal)):
        raise ValueError("must be a number, or a number as text")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError("must be a plain finite number")
    found = Decimal(value)
    if not found.is_finite():
        raise ValueError("must be finite")
    if found <= 0:
        raise ValueError("must be above zero")
    return found


def flag(value: Any) -> bool:
    """True or false, and nothing that only looks like it. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def text(length: int) -> Callable[[Any], str]:
    """A reader of text of at most `length` characters, none of them a control character."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        if len(value) > length:
            raise ValueError(f"must have at most {length} characters")
        if any(character != "\n" and not character.isprintable() for character in value):
            raise ValueError("contains characters that cannot be printed")
        return value

    return read


def matching(pattern: re.Pattern[str], problem: str) -> Callable[[Any], str]:
    """A reader of text of that form."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(problem)
        return value

    return read


def one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
    """A reader of one of these words."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"must be {' or '.join(words)}")
        return value

    return read
