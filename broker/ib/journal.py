"""What happened to the connection, newest last and bounded: it tells how the state of now came about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from autotrader.core.clock import system_now
from broker import types
from broker.types.session import NoteKind

KEPT = 300
LONGEST = 300  # characters of a text


class Journal:
    """Written in the loop's thread; `notes` may be read from any. The same twice in a row is one note, counted."""

    def __init__(self, now: Callable[[], datetime] = system_now, kept: int = KEPT) -> None:
        self._now = now
        self._kept = kept
        self.notes: tuple[types.ConnectionNote, ...] = ()

    def add(self, kind: NoteKind, text: str, code: int = 0) -> None:
        """Something happened just now."""
        now, text = self._now(), text[:LONGEST]
        last = self.notes[-1] if self.notes else None
        if last is not None and (last.kind, last.text, last.code) == (kind, text, code):
            self.notes = (*self.notes[:-1], replace(last, count=last.count + 1, last_at=now))
        else:
            self.notes = (*self.notes[1 - self._kept :], types.ConnectionNote(now, kind, text, code))
