"""Who may open a stream, how many each may have, and whether those who came in may stay."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.db import Error, OperationalError, connection
from django.http.cookie import parse_cookie
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied

from autotrader.core.errors import AutoTraderError
from autotrader.core.live.rules import Rules
from autotrader.core.ops.breaker import breaker
from autotrader.core.rest.authentication import CHALLENGE, REFUSED
from autotrader.core.rest.permissions import ScopeMissing
from autotrader.core.users.access import Access, access_of, still_valid
from autotrader.core.users.keys import scopes_for, shown_key
from autotrader.core.users.limits import KeyLimited

T = TypeVar("T")
THREADS = 2
PATIENCE_S = 0.1
PERMISSION = "audit.view_event"


class TooManyStreams(AutoTraderError):
    """As many streams as one may have are open: close one, or read one stream for several purposes."""

    code = "TOO_MANY_STREAMS"
    status = 429
    wait = 1


class Doors:
    """For one event loop. Who knocks waits in other threads than those who are in, so that a crowd sends nobody off."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._entry = _Threads(THREADS, "stream-access", rules.entry_s)
        self._rechecks = _Threads(1, "stream-recheck", rules.answer_s)
        self._open: Counter[str] = Counter()
        self._in_all = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """One of all that this process serves; raises TooManyStreams."""
        if self._in_all >= self._rules.in_all:
            raise TooManyStreams("This process serves as many streams as it may.")
        self._in_all += 1
        try:
            yield
        finally:
            self._in_all -= 1

    @contextmanager
    def counted(self, access: Access) -> Iterator[None]:
        """One of the streams of this key or person; raises TooManyStreams."""
        most = self._rules.per_key if access.prefix else self._rules.per_person
        if self._open[access.name] >= most:
            raise TooManyStreams(f"{most} streams are open already.")
        self._open[access.name] += 1
        try:
            yield
        finally:
            self._open[access.name] -= 1
            if not self._open[access.name]:
                del self._open[access.name]

    async def let_in(self, headers: Mapping[str, str], address: str) -> Access:
        """Who asks, if they may see events; counted as a request of theirs in any case.

        Raises NotAuthenticated, TooMany, PermissionDenied, ScopeMissing, DatabaseError.
        """
        cookies = parse_cookie(headers.get("cookie", ""))
        access = await self._entry.ask(partial(access_of, headers, cookies, address))
        if access is None:
            raise _nobody(headers)
        if access.may(PERMISSION):
            return access
        if access.prefix and not access.scopes & scopes_for(PERMISSION, is_read=True):
            raise ScopeMissing("This needs a key with the scope read.")
        raise PermissionDenied(f"This needs the permission {PERMISSION}.")

    async def still_valid(self, accesses: Collection[Access]) -> set[Access]:
        """Those that may do what they might when they came in. Raises DatabaseError."""
        return await self._rechecks.ask(partial(still_valid, accesses))

    def close(self) -> None:
        """End the threads when they have answered."""
        self._entry.close()
        self._rechecks.close()


class _Threads:
    """Threads that ask the database, and give their connections back when all is quiet."""

    def __init__(self, count: int, name: str, limit_s: float) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._limit_s = limit_s
        self._queued = _Count()  # asked, and not begun

    async def ask(self, work: Callable[[], T]) -> T:
        """Raises OperationalError as soon as the database is known to be away, and in any case where no answer comes
        within `limit_s` seconds, though a thread still waits for it."""
        _refuse_away()
        until = time.monotonic() + self._limit_s
        self._queued.add(1)
        told = self._pool.submit(self._asked, work)
        answer = asyncio.wrap_future(told)
        try:
            while not (await asyncio.wait({answer}, timeout=PATIENCE_S))[0]:
                _refuse_away()
                if time.monotonic() > until:
                    raise OperationalError(f"no answer in {self._limit_s:g} s")
            return answer.result()
        finally:
            if told.cancel():
                self._queued.add(-1)

    def close(self) -> None:
        """End the threads when they have answered."""
        self._pool.shutdown(wait=False)

    def _asked(self, work: Callable[[], T]) -> T:
        self._queued.add(-1)
        try:
            return work()
        except Error:
            connection.close()  # the next question connects anew
            raise
        finally:
            if not self._queued.count:
                connection.close()


class _Count:
    """A number that several threads change."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self, more: int) -> None:
        with self._lock:
            self.count += more


def _refuse_away() -> None:
    if settings.AUTOTRADER_WATCHES_DATABASE and not breaker().peek().ok:
        raise OperationalError("the database does not answer")


def refuse_limited(access: Access) -> None:
    """Raise KeyLimited for a key of some strategies: an event does not say which strategy it concerns."""
    if access.limits.strategies:
        raise KeyLimited("Events are told by account; a key that is limited to strategies cannot read them.")


def _nobody(headers: Mapping[str, str]) -> Exception:
    shown = shown_key(headers.get("authorization", ""), headers.get("x-api-key", ""))
    error = NotAuthenticated() if shown is None else AuthenticationFailed(REFUSED)
    error.auth_header = CHALLENGE  # type: ignore[union-attr]  # as the framework sets it on its own refusals
    return error
