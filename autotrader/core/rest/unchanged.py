"""Answers that are told again for as long as nothing has been committed since they were made.

Programs ask the same list over and over. Whether anybody has changed anything is one cheap question to the database,
which both of them answer exactly; where nobody has, the bytes of the last answer are the right ones still.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection
from django.http import HttpResponse
from rest_framework.response import Response

from autotrader.core.rest.renderers import ExactJsonRenderer

# The number that one connection is told changes with every commit of another, in this process or not.
SQLITE = "PRAGMA data_version"
# The text names the newest transaction that has ended and those that are under way: where it is the same, the same rows
# are seen. A server that was started with an older copy of them counts anew.
POSTGRESQL = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
MOST_BYTES = 4 * 1024 * 1024
# Beside a name and its answer; many short ones may be long in their names.
ENTRY_BYTES = 200
State = tuple[Any, ...]


def database_state() -> State | None:
    """Equal to an earlier one where the same rows are seen. None within a transaction, which sees more than others."""
    if connection.in_atomic_block:
        return None
    if connection.vendor == "sqlite":
        return _watch.state()
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors:
        return tuple(raw.execute(POSTGRESQL).fetchone())


class _Watch:
    """A connection to SQLite that writes nothing: what any other commits, this thread's own too, changes its number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watching: Any = None
        self._file: tuple[str, int] | None = None
        self._number = 0

    def state(self) -> State | None:
        """None where the database is no file."""
        path = str(connection.settings_dict["NAME"])
        with self._lock:
            try:
                file = path, Path(path).stat().st_ino
            except FileNotFoundError:
                return None
            if file != self._file:
                self._open(file)
            self._watching.ensure_connection()
            with self._watching.wrap_database_errors:
                return self._number, self._watching.connection.execute(SQLITE).fetchone()[0]

    def _open(self, file: tuple[str, int]) -> None:
        if self._watching is not None:
            self._watching.close()
        # Asked by whichever thread comes, one at a time.
        self._watching = connection.copy()
        self._watching.inc_thread_sharing()
        self._file, self._number = file, self._number + 1


class Told:
    """The answers in one state of the database; for any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._state: State | None = None
        self._answers: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def find(self, state: State, name: str) -> bytes | None:
        """The answer of this name, if there was one in this very state."""
        with self._lock:
            return self._answers.get(name) if state == self._state else None

    def keep(self, state: State, name: str, body: bytes) -> None:
        """For who asks next; those of another state are forgotten, or of too many."""
        size = ENTRY_BYTES + len(name) + len(body)
        with self._lock:
            if state != self._state or self._bytes + size > self._most_bytes:
                self._state, self._answers, self._bytes = state, {}, 0
            if name not in self._answers:  # else another thread has made the same
                self._answers[name] = body
                self._bytes += size


_watch = _Watch()
_told = Told()


def told_again(name: str, make: Callable[[], Response]) -> Response | HttpResponse:
    """The answer of this name: what `make` made last, or makes now where the database may say something else.

    `make` must reckon with nothing but the name and the database's rows: neither with the time nor with who asks.
    """
    # Looked at first: what is committed while `make` reads is another state for whoever asks next.
    state = database_state()
    if state is None:
        return make()
    body = _told.find(state, name)
    if body is None:
        body = ExactJsonRenderer().render(make().data)
        _told.keep(state, name, body)
    return HttpResponse(body, content_type=ExactJsonRenderer.media_type)
