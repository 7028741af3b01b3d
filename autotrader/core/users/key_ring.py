"""Whose key it is: looked up in the database at most every five seconds a key, and told from memory in between.

A key that is revoked or expires, an owner who is disabled or loses a permission: each process knows within FRESH_S.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import Q

from autotrader.core.clock import system_now
from autotrader.core.rest.throttling import FAILURES, FAILURES_PER_MINUTE, Buckets
from autotrader.core.users.addresses import place_of
from autotrader.core.users.keys import KEY, digest_of, live_keys
from autotrader.core.users.models import ApiKey, User

logger = logging.getLogger(__name__)
FRESH_S = 5.0
ALL_DIGESTS_S = 1.0
USE_NOTED_EVERY_S = 60.0
NOTE_BUSY_MS = 100
SIZE = 2048


@dataclass(frozen=True, slots=True)
class Found:
    """The key with its owner, or none; `wait_s` above 0: this address has failed too often, nothing was looked up."""

    key: ApiKey | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Entry:
    tick: float
    key: ApiKey | None


class KeyRing:
    """The keys of late, good and bad apart, so that a flood of bad ones pushes no good one out."""

    def __init__(self, *, failures: Buckets, size: int = SIZE) -> None:
        self._failures = failures
        self._size = size
        self._good: OrderedDict[str, _Entry] = OrderedDict()
        self._bad: OrderedDict[str, _Entry] = OrderedDict()
        self._noted: OrderedDict[int, float] = OrderedDict()
        self._all: tuple[float, frozenset[str]] = (float("-inf"), frozenset())
        self._lock, self._all_lock = threading.Lock(), threading.Lock()

    def find(self, text: str, address: str, *, tick: float, now: datetime) -> Found:
        """Whose key this text is. `tick` is the monotonic clock, `now` the system's; raises DatabaseError.

        A good key is found however often its address fails.
        """
        digest = digest_of(text)
        entry = self._fresh(self._good, digest, tick)
        if entry is None:
            wait = self._failures.wait(place_of(address), FAILURES_PER_MINUTE, tick)
            if wait and not self._is_live(digest, tick, now):
                return Found(wait_s=wait)
            entry = self._fresh(self._bad, digest, tick) or self._look_up(text, digest, tick, now)
        key = entry.key
        if key is None or key.expires_at <= now:
            self._failures.take(place_of(address), FAILURES_PER_MINUTE, tick)
            return Found()
        self._note_use(key, address, tick, now)
        # A copy, because a view may change what it is given.
        mine = copy(key)
        mine.user = copy(key.user)
        return Found(mine)

    def forget(self, digest: str) -> None:
        """Look it up anew the next time it is shown."""
        with self._lock:
            self._good.pop(digest, None)
            self._bad.pop(digest, None)

    def clear(self) -> None:
        """As new."""
        with self._lock:
            for kept in (self._good, self._bad, self._noted):
                kept.clear()
        self._all = (float("-inf"), frozenset())

    def _fresh(self, kept: OrderedDict[str, _Entry], digest: str, tick: float) -> _Entry | None:
        entry = kept.get(digest)
        return entry if entry is not None and tick - entry.tick < FRESH_S else None

    def _look_up(self, text: str, digest: str, tick: float, now: datetime) -> _Entry:
        entry = _Entry(tick, _stored(digest, now) if KEY.fullmatch(text) else None)
        with self._lock:
            kept = self._bad if entry.key is None else self._good
            kept[digest] = entry
            kept.move_to_end(digest)
            while len(kept) > self._size:
                kept.popitem(last=False)
        return entry

    def _is_live(self, digest: str, tick: float, now: datetime) -> bool:
        """One query a second at most, however many keys are guessed."""
        with self._all_lock:
            if tick - self._all[0] >= ALL_DIGESTS_S:
                self._all = (tick, frozenset(live_keys(now).values_list("digest", flat=True)))
            return digest in self._all[1]

    def _note_use(self, key: ApiKey, address: str, tick: float, now: datetime) -> None:
        """Write when and from where it was used last, at most once a minute."""
        with self._lock:
            if tick - self._noted.get(key.pk, float("-inf")) < USE_NOTED_EVERY_S:
                return
            self._noted[key.pk] = tick
            while len(self._noted) > self._size:
                self._noted.popitem(last=False)
        _write_use(key.pk, address, now)


def _stored(digest: str, now: datetime) -> ApiKey | None:
    """The live key with its owner, whose permissions are known already."""
    key = live_keys(now).select_related("user").filter(digest=digest).first()
    if key is None or not hmac.compare_digest(key.digest, digest):
        return None
    if not key.user.is_superuser:
        key.user.get_all_permissions()
    return key


def _write_use(pk: int, address: str, now: datetime) -> None:
    """A request neither fails nor waits for this."""
    earlier = Q(last_used_at=None) | Q(last_used_at__lt=now - timedelta(seconds=USE_NOTED_EVERY_S))
    try:
        with _soon():
            ApiKey.objects.filter(earlier, pk=pk).update(last_used_at=now, last_used_from=address[:45])
    except DatabaseError as error:
        logger.warning("the last use of a key was not written: %s", error)


@contextmanager
def _soon() -> Iterator[None]:
    """One transaction that gives up where the database is busy with another's writing."""
    if connection.in_atomic_block or connection.vendor != "sqlite":
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"SET LOCAL lock_timeout = {NOTE_BUSY_MS}")
            yield
        return
    with connection.cursor() as cursor:
        usual = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {NOTE_BUSY_MS}")
        try:
            with transaction.atomic():
                yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {usual}")


RING = KeyRing(failures=FAILURES)


def find_key(text: str, address: str) -> Found:
    """Whose key this is, in this process and at this moment."""
    return RING.find(text, address, tick=time.monotonic(), now=system_now())


def forget_keys_of(owner: User) -> None:
    """Look their keys up anew in this process once the transaction is committed; the others know within FRESH_S."""
    digests = list(ApiKey.objects.filter(user=owner, revoked_at=None).values_list("digest", flat=True))

    def forget() -> None:
        for digest in digests:
            RING.forget(digest)

    transaction.on_commit(forget)
