"""Does the database answer? Asked all the time by one thread, so that no request waits for a connection that hangs."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.conf import settings

from autotrader.core.ops.probes import Probe, probe_of

EVERY = 0.2
PATIENCE = 0.6  # seconds a probe may take before the database counts as away
FIRST_LOOK = 0.8


@dataclass(frozen=True, slots=True)
class Look:
    """What is known now; `since_s` is how long it has been so."""

    ok: bool
    reason: str
    since_s: float


class Breaker:
    """The state of one database for this process. The thread starts with the first look and stops by `stop`."""

    def __init__(self, probe: Probe, *, every: float = EVERY, patience: float = PATIENCE) -> None:
        self._probe = probe
        self._every = every
        self._patience = patience
        self._asked: float | None = None  # a probe is under way since
        self._answered = float("-inf")
        self._reason = "it has not been asked yet"
        self._ok = False
        self._since = time.monotonic()
        self._lock = threading.Lock()
        self._round = threading.Condition(self._lock)
        self._rounds = 0
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def look(self) -> Look:
        """What is known, at once; only the very first look waits, at most 0.8 s, for a first answer."""
        self._ensure_running()
        with self._lock:
            if not self._rounds:
                self._round.wait_for(lambda: bool(self._rounds) or self._is_late(), FIRST_LOOK)
            return self._look()

    def peek(self) -> Look:
        """What is known, without any waiting; a database that was not asked yet counts as there."""
        self._ensure_running()
        with self._lock:
            found = self._look()
            return found if self._rounds or self._is_late() else Look(ok=True, reason="", since_s=found.since_s)

    def ask(self, limit: float = FIRST_LOOK) -> Look:
        """A look that began after this call, waited for at most so many seconds: for who has just met an error."""
        self._ensure_running()
        with self._lock:
            wanted = self._rounds + (2 if self._asked is not None else 1)
            self._wake.set()
            self._round.wait_for(lambda: self._rounds >= wanted or self._is_late(), limit)
            return self._look()

    def stop(self) -> None:
        """End the thread; for tests."""
        self._stopping = True
        self._wake.set()

    def _look(self) -> Look:
        ok, reason = self._ok, self._reason
        if self._is_late():
            ok, reason = False, f"no answer for {self._patience:g} s"
        elif not self._rounds:
            ok, reason = False, "no answer yet"
        since = self._since if ok == self._ok else self._asked or self._since
        return Look(ok, "" if ok else reason, time.monotonic() - since)

    def _is_late(self) -> bool:
        return self._asked is not None and time.monotonic() - self._asked > self._patience

    def _ensure_running(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="database-probe", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            with self._lock:
                self._asked = time.monotonic()
            reason = self._probe()
            with self._lock:
                self._note(reason)
            self._wake.wait(self._every)

    def _note(self, reason: str) -> None:
        ok = not reason
        if ok != self._ok:
            self._since = time.monotonic()
        self._ok, self._reason, self._asked = ok, reason, None
        self._rounds += 1
        self._round.notify_all()


_breaker: Breaker | None = None
_making = threading.Lock()


def breaker() -> Breaker:
    """This process's own, for the database of the settings."""
    global _breaker
    with _making:
        if _breaker is None:
            _breaker = Breaker(probe_of())
        return _breaker


def database_look() -> Look:
    """What is known; where nothing watches, because no requests are answered here, it is asked once."""
    if settings.AUTOTRADER_WATCHES_DATABASE:
        return breaker().look()
    probe = probe_of()
    try:
        reason = probe()
    finally:
        probe.close()
    return Look(not reason, reason, 0.0)
