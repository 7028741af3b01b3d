"""Dates and times as the protocol spells them, and the readers for those that clients send."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from broker.paper_gateway.types import GatewayError, SessionHours

_GIVEN = re.compile(r"(\d{8})(?:[ -]+(\d{1,2}:\d{2}(?::\d{2})?)(?: +(\S+))?)?", re.ASCII)
BAD_TIME = 10314


def stamp(moment: datetime, zone: str = "UTC") -> str:
    """`yyyymmdd hh:mm:ss Zone`, the only spelling that every client reads as an aware time."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y%m%d %H:%M:%S} {zone}"


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return int(moment.timestamp())


def read_time(text: str, default_zone: str) -> datetime | None:
    """A time a client gave, as aware UTC; None when it gave none. Raises GatewayError 10314 for any other spelling.

    `yyyymmdd-hh:mm:ss` is UTC, a zone name after the time is obeyed, without one `default_zone` applies.
    """
    if not text:
        return None
    match = _GIVEN.fullmatch(text.strip())
    if match is None:
        raise _bad_time(text)
    day, clock, zone = match[1], match[2] or "00:00:00", match[3]
    zone_name = zone or ("UTC" if "-" in text else default_zone)
    try:
        naive = datetime.strptime(f"{day} {clock if clock.count(':') == 2 else clock + ':00'}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007
        return naive.replace(tzinfo=ZoneInfo(zone_name)).astimezone(UTC)
    except (ValueError, OSError, KeyError, OverflowError) as error:
        raise _bad_time(text) from error


def _bad_time(text: str) -> GatewayError:
    return GatewayError(
        BAD_TIME,
        f"End Date/Time: The date, time, or time-zone entered is invalid: {text[:60]!r}. "
        "The correct format is yyyymmdd hh:mm:ss xx/xxxx, or yyyymmdd-hh:mm:ss in UTC.",
    )


def hours_text(sessions: Sequence[SessionHours], zone: str) -> str:
    """Trading hours as contract details carry them: `20261120:0930-20261120:1600;20261121:CLOSED`."""
    return ";".join(_session_text(session, ZoneInfo(zone)) for session in sessions)


def _session_text(session: SessionHours, zone: ZoneInfo) -> str:
    if session.open is None or session.close is None:
        return f"{session.day:%Y%m%d}:CLOSED"
    return f"{session.open.astimezone(zone):%Y%m%d:%H%M}-{session.close.astimezone(zone):%Y%m%d:%H%M}"
