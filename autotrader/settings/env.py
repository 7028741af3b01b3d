"""The one parser of the environment: typed, loud, with secrets from `<NAME>_FILE` too."""

from __future__ import annotations

import difflib
import os
from datetime import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autotrader.core.errors import ConfigInvalid

# Every name that was asked for, so that a misspelt one can be refused.
_known: set[str] = set()
_in_file: set[str] = set()
OURS = "AUTOTRADER_"
# What docker compose and the tests read beside this program.
_FOREIGN = ("POSTGRES_", "COMPOSE_", "DOCKER_", "AUTOTRADER_TEST_")
TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}
NEVER = "none"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def load_dotenv(path: Path, *, required: bool) -> None:
    """Read `NAME=value` lines of `path` without overriding what the environment already says."""
    if not path.is_file():
        if required:
            raise ConfigInvalid(f"AUTOTRADER_ENV_FILE names {path}, which does not exist.")
        return
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} cannot be read as text: {error}.") from error
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.strip().isidentifier():
            raise ConfigInvalid(f"{path.name} line {number} is not NAME=value.")
        _in_file.add(name.strip())
        os.environ.setdefault(name.strip(), value.strip().strip("'\""))


def text(name: str, default: str = "") -> str:
    """The variable's text, stripped; an empty value counts as absent."""
    _known.add(name)
    return os.environ.get(name, "").strip() or default


def secret(name: str, default: str = "") -> str:
    """The variable, or the content of the file that `<NAME>_FILE` names."""
    path = text(f"{name}_FILE")
    if not path:
        return text(name, default)
    if text(name):
        raise ConfigInvalid(f"{name} and {name}_FILE are both set; keep one of them.")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ConfigInvalid(f"{name}_FILE names {path}, which cannot be read ({error.strerror}).") from error


def boolean(name: str, *, default: bool) -> bool:
    """true/false, yes/no, on/off, 1/0."""
    value = text(name).lower()
    if not value:
        return default
    if value in TRUE | FALSE:
        return value in TRUE
    raise ConfigInvalid(f"{name}={value} is not a truth value; write true or false.")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number within [low, high]."""
    value = text(name)
    try:
        number = int(value) if value else default
    except ValueError as error:
        raise ConfigInvalid(f"{name}={value} is not a whole number.") from error
    if not low <= number <= high:
        raise ConfigInvalid(f"{name}={number} is outside {low} to {high}.")
    return number


def decimal(name: str, default: str) -> Decimal:
    """A finite decimal number, zero or more."""
    value = text(name, default)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ConfigInvalid(f"{name}={value} is not a number.") from error
    if not number.is_finite() or number < 0:
        raise ConfigInvalid(f"{name}={value} must be a finite number, zero or more.")
    return number


def choice(name: str, default: str, options: tuple[str, ...]) -> str:
    """One of the listed words."""
    value = text(name, default).lower()
    if value not in options:
        raise ConfigInvalid(f"{name}={value} is unknown; it is one of {', '.join(options)}.")
    return value


def words(name: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(part.strip() for part in text(name).split(",") if part.strip())


def web_address(name: str) -> str:
    """An http or https address; empty where the variable is absent."""
    value = secret(name)
    if value and not value.startswith(("https://", "http://")):
        raise ConfigInvalid(f"{name} must begin with https:// or http://.")
    return value


def decimal_pair(name: str) -> tuple[Decimal, Decimal] | None:
    """Two finite numbers, zero or more, separated by a comma; None where the variable is absent."""
    given = words(name)
    if not given:
        return None
    try:
        numbers = [Decimal(part) for part in given]
    except InvalidOperation as error:
        raise ConfigInvalid(f"{name}={text(name)} is not two numbers.") from error
    if len(numbers) != 2 or not all(number.is_finite() and number >= 0 for number in numbers):
        raise ConfigInvalid(f"{name}={text(name)} must be two finite numbers, zero or more, separated by a comma.")
    return numbers[0], numbers[1]


def daily(name: str, default: str) -> time | None:
    """A time of day with its zone, such as "23:45 US/Eastern"; None for "none"."""
    value = text(name, default)
    if value.lower() == NEVER:
        return None
    at = _time_of_day(value)
    if at is None:
        raise ConfigInvalid(f"{name}={value} is not a time and a zone, such as 23:45 US/Eastern, or none.")
    return at


def weekly(name: str, default: str) -> tuple[int, time] | None:
    """A day and a time with its zone, such as "Sunday 01:00 US/Eastern", as (0 = Monday, time); None for "none"."""
    value = text(name, default)
    if value.lower() == NEVER:
        return None
    day, _, rest = value.partition(" ")
    at = _time_of_day(rest)
    if at is None or day.lower() not in WEEKDAYS:
        raise ConfigInvalid(f"{name}={value} is not a day, time and zone, such as Sunday 01:00 US/Eastern, or none.")
    return WEEKDAYS.index(day.lower()), at


def _time_of_day(value: str) -> time | None:
    clock, _, zone = value.partition(" ")
    try:
        return time.fromisoformat(clock).replace(tzinfo=ZoneInfo(zone.strip()))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None


def refuse_unknown(*others: str) -> None:
    """Refuse an AUTOTRADER_… variable, or a line of .env, that nobody reads: it may be a misspelt safety."""
    known = _known | {f"{name}_FILE" for name in _known} | set(others)
    given = {name for name in os.environ if name.startswith(OURS)} | _in_file
    for name in sorted(given):
        if name not in known and not name.startswith(_FOREIGN):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigInvalid(f"{name} is not a setting{hint}")
