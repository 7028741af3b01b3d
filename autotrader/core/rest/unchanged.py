"""Answers that are told again for as long as nothing has been committed since they were made.

Programs ask the same list over and over. Whether anybody has changed anything is one cheap question to the database,
which both of them answer exactly; where nobody has, the bytes of the last answer are the right ones still.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpResponse
from rest_framework.response import Response

from autotrader.core.rest.renderers import ExactJsonRenderer

# SQLite's number changes with every commit of another connection, in this process or not. PostgreSQL's text names the
# newest transaction that has ended and those that are under way: two that are alike show the same rows.
STATES = {"sqlite": "PRAGMA data_version", "postgresql": "SELECT pg_current_snapshot()::text"}
# Of each thread that answers.
MOST_BYTES = 2 * 1024 * 1024
State = tuple[Any, ...]


def database_state() -> State | None:
    """Equal to an earlier one where this thread's connection sees the same rows. None within a transaction."""
    ask = STATES.get(connection.vendor)
    if ask is None or connection.in_atomic_block:
        return None
    with connection.cursor() as cursor:
        cursor.execute(ask)
        (version,) = cursor.fetchone()
    # The connection itself, since versions of two cannot be compared; and what was written by it.
    raw = connection.connection
    return raw, version, getattr(raw, "total_changes", 0)


class _Told(threading.local):
    """What this thread has answered in one state of the database."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.answers: dict[str, bytes] = {}
        self.bytes = 0

    def begin(self, state: State) -> None:
        if state != self.state or self.bytes > MOST_BYTES:
            self.state, self.answers, self.bytes = state, {}, 0

    def keep(self, name: str, body: bytes) -> None:
        self.answers[name] = body
        self.bytes += len(body)


_told = _Told()


def told_again(name: str, make: Callable[[], Response]) -> Response | HttpResponse:
    """The answer of this name: what `make` made last, or makes now where the database may say something else.

    `make` must reckon with nothing but the name and the database's rows: neither with the time nor with who asks.
    """
    # Looked at first: what is committed while `make` reads is another state for whoever asks next.
    state = database_state()
    if state is None:
        return make()
    _told.begin(state)
    body = _told.answers.get(name)
    if body is None:
        body = ExactJsonRenderer().render(make().data)
        _told.keep(name, body)
    return HttpResponse(body, content_type=ExactJsonRenderer.media_type)
