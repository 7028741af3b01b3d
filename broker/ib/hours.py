"""Trading hours: from TWS's text to sessions in UTC, and what they say about a moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from zoneinfo import ZoneInfo

from broker import types

CLOSED = "CLOSED"
LONGEST_PAUSE = 9  # days between two sessions of a market that has any
Sessions = tuple[types.SessionHours, ...]


def at(contract: types.Contract, now: datetime) -> types.TradingHours:
    """What the contract's hours say of `now`; no time where the known hours end before."""
    return types.TradingHours(
        con_id=contract.con_id,
        symbol=contract.symbol,
        time_zone=contract.time_zone,
        at=now,
        is_open=_is_within(contract.trading_hours, now),
        is_liquid=_is_within(contract.liquid_hours, now),
        next_open=_next(now, (session.open for session in contract.trading_hours)),
        next_close=_next(now, (session.close for session in contract.trading_hours)),
        liquid_hours=contract.liquid_hours,
        trading_hours=contract.trading_hours,
    )


def _is_within(sessions: Sessions, now: datetime) -> bool:
    return any(session.open <= now < session.close for session in sessions)


def _next(now: datetime, moments: Iterable[datetime]) -> datetime | None:
    return min((moment for moment in moments if moment > now), default=None)


def covers(contract: types.Contract, market_now: datetime) -> bool:
    """Whether the known hours speak of the market's day; a contract that trades no more has none to speak of."""
    days = [session.day for session in contract.liquid_hours]
    first = contract.hours_from or min(days, default=None)
    last = contract.hours_until or max(days, default=None)
    if first is None or last is None:
        return True
    return first <= market_now.astimezone(ZoneInfo(contract.time_zone)).date() <= last


def last_open_moment(known: Sessions, zone: str, moment: datetime) -> datetime | None:
    """The latest instant up to `moment` at which the market was open, taking each week to be like the known one.

    None where no session is known.
    """
    if not known:
        return None
    time_zone = ZoneInfo(zone)
    closes, length = known[0].close.astimezone(time_zone), known[0].close - known[0].open
    weekdays = {session.day.weekday() for session in known}
    today = moment.astimezone(time_zone).date()
    for back in range(-1, LONGEST_PAUSE):
        close = datetime.combine(today - timedelta(days=back), closes.time(), time_zone).astimezone(UTC)
        day = (close.astimezone(time_zone) - timedelta(microseconds=1)).weekday()
        if day in weekdays and moment > close - length:
            return min(moment, close)
    return None


@lru_cache(maxsize=512)
def sessions(text: str, zone: str) -> Sessions:
    """Sessions of "20190603:0930-20190603:1600;20190604:CLOSED", given in the contract's time zone.

    A day in several parts (a lunch break) is one session; its day is that of its last moment, since some open in the
    evening before and some close at midnight.
    """
    time_zone = ZoneInfo(zone)
    parts = [_part(part, entry[:8]) for entry in _entries(text) if CLOSED not in entry for part in entry.split(",")]
    return tuple(
        types.SessionHours(
            day=day,
            open=min(begin for begin, _ in group).replace(tzinfo=time_zone).astimezone(UTC),
            close=max(end for _, end in group).replace(tzinfo=time_zone).astimezone(UTC),
        )
        for day, group in ((day, list(rows)) for day, rows in groupby(sorted(parts), key=_day))
    )


@lru_cache(maxsize=512)
def reach(text: str) -> tuple[date | None, date | None]:
    """The first and the last day of which such a text speaks, closed days included."""
    entries = _entries(text)
    if not entries:
        return None, None
    last = entries[-1] if CLOSED in entries[-1] else entries[-1].rpartition("-")[2]
    until = last[:8] if ":" in last else entries[-1][:8]
    return _date(entries[0][:8]), _date(until)


def _entries(text: str) -> list[str]:
    return [entry for entry in text.split(";") if entry]


def _date(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _day(part: tuple[datetime, datetime]) -> date:
    return (part[1] - timedelta(microseconds=1)).date()


def _part(part: str, day: str) -> tuple[datetime, datetime]:
    begin, end = part.split("-")
    return _moment(begin, day), _moment(end, day)


def _moment(text: str, day: str) -> datetime:
    date_text, _, clock = text.rpartition(":")
    return datetime.strptime(f"{date_text or day}{clock}", "%Y%m%d%H%M")  # noqa: DTZ007 - the zone is put on by the caller
