"""Bar sizes and spans of time as TWS writes them, and how much of a size it gives at once."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from broker.ib.requests import bad_request

SECONDS = {"S": 1, "D": 86_400, "W": 7 * 86_400, "M": 31 * 86_400, "Y": 366 * 86_400}
LONGEST_COUNT = {"S": 86_400, "D": 365}  # TWS wants anything longer in a larger unit
FEWEST_SESSIONS = 240  # of any exchange in a year
MOST_PIECES = 60  # TWS answers 60 requests for small bars in 10 minutes
_SPAN = re.compile(r"([1-9][0-9]{0,7}) ?([SDWMY])")
_SIZE = re.compile(r"([1-9][0-9]?) ?(sec|min|hour|day|week|month|D|W|M)s?")
_LETTERS = {"D": "day", "W": "week", "M": "month"}


@dataclass(frozen=True, slots=True)
class Span:
    """How far back: N seconds, sessions (D), weeks, months or years."""

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count} {self.unit}"

    @property
    def seconds(self) -> int:
        """About how long it is at most."""
        return self.count * SECONDS[self.unit]

    def start(self, end: datetime) -> datetime:
        """The instant so long before `end`; only for what the calendar counts (W, M, Y)."""
        if self.unit == "W":
            return end - timedelta(weeks=self.count)
        months = self.count * (12 if self.unit == "Y" else 1)
        year, month = divmod(end.year * 12 + end.month - 1 - months, 12)
        if year < 1:
            return datetime.min.replace(tzinfo=end.tzinfo)
        return end.replace(year=year, month=month + 1, day=min(end.day, monthrange(year, month + 1)[1]))


@dataclass(frozen=True, slots=True)
class BarSize:
    """A size of bars; `longest` is what TWS gives of it in one answer, None where it gives any range."""

    name: str
    step: timedelta
    longest: Span | None

    def fits(self, span: Span) -> bool:
        """Whether the span comes in one answer."""
        if self.longest is None:
            return True
        return span.count <= LONGEST_COUNT.get(span.unit, span.count) and span.seconds <= self.longest.seconds

    @property
    def reach(self) -> str:
        """The longest span that `MOST_PIECES` answers hold, in words."""
        if self.longest is None:
            return "any range"
        return str(replace(self.longest, count=self.longest.count * MOST_PIECES))


def _sizes() -> dict[str, BarSize]:
    table = [
        ("1 secs", 1, Span(1800, "S")),
        ("5 secs", 5, Span(3600, "S")),
        *((f"{count} secs", count, Span(14_400, "S")) for count in (10, 15)),
        ("30 secs", 30, Span(28_800, "S")),
        ("1 min", 60, Span(1, "D")),
        ("2 mins", 120, Span(2, "D")),
        *((f"{count} mins", count * 60, Span(1, "W")) for count in (3, 5, 10, 15, 20)),
        ("30 mins", 1800, Span(1, "M")),
        ("1 hour", 3600, Span(1, "M")),
        *((f"{count} hours", count * 3600, Span(1, "M")) for count in (2, 3, 4, 8)),
        ("1 day", 86_400, None),
        ("1 week", 7 * 86_400, None),
        ("1 month", 31 * 86_400, None),
    ]
    return {name: BarSize(name, timedelta(seconds=seconds), longest) for name, seconds, longest in table}


BAR_SIZES = _sizes()
_BY_PARTS = {(name.split()[0], name.split()[1].rstrip("s")): size for name, size in BAR_SIZES.items()}


def parse_bar_size(text: str) -> BarSize:
    """The size of that name, however its plural is spelt. Raises MarketDataError (BAD_REQUEST) where there is none."""
    match = _SIZE.fullmatch(text.strip())
    size = _BY_PARTS.get((match[1], _LETTERS.get(match[2], match[2]))) if match else None
    if size is None:
        raise bad_request("bar_size", f"{text[:40]!r} is no bar size; the broker has {', '.join(BAR_SIZES)}.")
    return size


def parse_span(text: str) -> Span:
    """The span of that text. Raises MarketDataError (BAD_REQUEST) where it is none."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        fix = f"{text[:40]!r} is no period; write a whole number, a space and one of S D W M Y, as in '2 Y'."
        raise bad_request("period", fix)
    return Span(int(match[1]), match[2])


def piece_of(span: Span, size: BarSize) -> Span:
    """The largest part of the span that comes in one answer, in the span's own unit where one of it fits."""
    longest = size.longest or span
    if span.unit in LONGEST_COUNT and longest.seconds >= SECONDS[span.unit]:
        count = min(longest.seconds // SECONDS[span.unit], LONGEST_COUNT[span.unit])
        return Span(count, span.unit)
    return longest


def in_years(span: Span) -> Span:
    """Whole years that hold the span where its count of days is more than TWS takes; else the span itself."""
    if span.unit != "D" or span.count <= LONGEST_COUNT["D"]:
        return span
    return Span(ceil(span.count / FEWEST_SESSIONS), "Y")


def pieces_needed(size: BarSize, span: Span) -> int:
    """About how many answers hold the span."""
    return 1 if size.longest is None else ceil(span.seconds / piece_of(span, size).seconds)
