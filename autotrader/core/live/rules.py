"""The bounds of the stream: what one client may cost, and how often is looked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds, bytes and numbers. docs/events.md tells them to those who write clients."""

    keep_alive_s: float = 15.0
    longest_s: float = 600.0
    largest: int = 512 * 1024  # bytes of one response, a server's buffer for a client that does not read
    chunk: int = 64 * 1024  # bytes handed to the server at once
    waiting: int = 256  # events that may come while one chunk is not taken
    last_words_s: float = 5.0
    per_key: int = 5
    per_person: int = 20
    in_all: int = 2000
    recheck_s: float = 2.0
    stale_s: float = 5.0  # no event leaves on a login that was last seen good longer ago
    grace_s: float = 30.0  # the tailer outlives its last client
    look_s: float = 1.0  # between two looks that nothing asked for
    poll_s: float = 0.02  # between two questions whether SQLite's file has changed
    answer_s: float = 5.0  # for the database to answer the tailer, or whether logins still hold
    entry_s: float = 20.0  # to come in, also for the last of a thousand that come at once
    cached: int = 4 * 1024 * 1024  # bytes of events kept for those who catch up
    lines_cached: int = 4 * 1024 * 1024  # bytes of lines kept, each made once for all pages
    lines: int = 64  # of one frame of a page's socket
    owed: int = 512 * 1024  # bytes that a page may leave unacknowledged, and that are held for it at most
    owed_s: float = 20.0  # for a page to acknowledge what it was sent, or to take one frame
    heard: int = 200  # messages of a page from one second to the next
