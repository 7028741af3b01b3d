"""How many wrong passwords are looked at: few from a stranger, and never so that a stranger locks the owner out."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.errors import AutoTraderError
from autotrader.core.users.models import KnownAddress, LoginAttempt, User

WINDOW = timedelta(minutes=15)
KEPT = 2 * WINDOW
PER_PLACE = 5  # of one name from one place
PER_ADDRESS = 30  # of all names from one address
PER_NAME = 10  # of one name from all places where it never logged in
ADVISORY_LOCK = 7_010_514


class LoginLocked(AutoTraderError):
    """Too many wrong passwords: wait until `details["until"]`; no password is looked at before."""

    code: ClassVar[str] = "LOGIN_LOCKED"
    status: ClassVar[int] = 429

    def __init__(self, until: datetime) -> None:
        clock = f"{until:%H:%M:%S} UTC"
        super().__init__(f"Too many wrong passwords; try again at {clock}.", details={"until": until.isoformat()})
        self.until = until


@dataclass(frozen=True, slots=True)
class Guess:
    """A password about to be looked at: the digest of the name, where it comes from, and if that place is known.

    `place` is an address, or the device or session that failures are counted by instead; `is_known` takes a guess out
    of the count over all places, `is_own` also out of that over all names of an address.
    """

    name: str
    place: str
    is_known: bool = False
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to look at one password; `last_of` says what is locked if it is wrong."""

    pk: int
    guess: Guess
    last_of: tuple[str, ...]


def name_digest(username: str) -> str:
    """What stands for a typed name in the table, since people type passwords there."""
    return hmac.new(settings.SECRET_KEY.encode(), username.encode(errors="replace"), sha256).hexdigest()


def is_known(username: str, place: str) -> bool:
    """Did this person log in from there before?"""
    return KnownAddress.objects.filter(user__username=username, address=place).exists()


def claim(guess: Guess, now: datetime) -> Claim:
    """Count the guess before its password is looked at, so that guesses sent at once do not pass each other.

    Raises LoginLocked, and then nothing is written.
    """
    _refuse_locked(guess, now)
    with transaction.atomic():
        _wait_for_others()
        last_of = _refuse_locked(guess, now)
        LoginAttempt.objects.filter(at__lt=now - KEPT).delete()
        row = LoginAttempt.objects.create(
            name=guess.name, place=guess.place, is_known=guess.is_known, is_own=guess.is_own, at=now
        )
    return Claim(row.pk, guess, last_of)


def succeeded(claimed: Claim, user: Any, address: str, now: datetime) -> None:
    """Forget this name's failures from this place, and know the place from now on."""
    LoginAttempt.objects.filter(name=claimed.guess.name, place=claimed.guess.place).delete()
    if address:
        seen = {"last_at": now}
        KnownAddress.objects.update_or_create(
            user=user, address=address, defaults=seen, create_defaults={**seen, "first_at": now}
        )


def failed(claimed: Claim, username: str, now: datetime) -> None:
    """The claim stays as a failure; the one that locks is recorded."""
    if not claimed.last_of:
        return
    who = f"user:{username}" if User.objects.filter(username=username).exists() else "user: unknown"
    document = {"locked": claimed.last_of, "place": claimed.guess.place, "until": now + WINDOW}
    with audit.recording():
        audit.record(EventType.LOGIN_LOCKED, who[:80], cause="too many wrong passwords", document=document)


def locked_until(times: Sequence[datetime], limit: int, now: datetime) -> datetime | None:
    """When the newest `limit` failures (newest first) stop locking; None where they do not lock at `now`."""
    if len(times) < limit or times[0] - times[limit - 1] >= WINDOW:
        return None
    until = times[0] + WINDOW
    return until if until > now else None


def _refuse_locked(guess: Guess, now: datetime) -> tuple[str, ...]:
    """What one more failure locks. Raises LoginLocked with the last of the times at which it opens."""
    opens, last_of = [], []
    for title, rows, limit in _counted(guess):
        times = list(rows.order_by("-at", "-pk").values_list("at", flat=True)[:limit])
        if until := locked_until(times, limit, now):
            opens.append(until)
        if locked_until([now, *times], limit, now):
            last_of.append(title)
    if opens:
        raise LoginLocked(max(opens))
    return tuple(last_of)


def _counted(guess: Guess) -> list[tuple[str, QuerySet[LoginAttempt], int]]:
    """The failures a guess is counted with: what is locked by them, the rows, how many."""
    rows = LoginAttempt.objects
    counted = [("name at this place", rows.filter(name=guess.name, place=guess.place), PER_PLACE)]
    if not guess.is_own:
        counted.append(("address", rows.filter(place=guess.place, is_own=False), PER_ADDRESS))
    if not guess.is_known:
        counted.append(("name at unknown places", rows.filter(name=guess.name, is_known=False), PER_NAME))
    return counted


def _wait_for_others() -> None:
    """One claim at a time; SQLite's transactions are so by themselves."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
