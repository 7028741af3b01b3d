"""Whether the owner of a lock still answers: asked all the time by who can replace it, from a thread of its own."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from broker.errors import BrokerUnavailable
from broker.service import lock

SLOT = 2.0
MISSES = 3
REST = 0.5
START_LIMIT = 60.0
ALIVE = (200, 401)  # who refuses our secret, since it was made anew, lives nevertheless


class Pulse:
    """Asks /ping at the address in the lock file and waits a slot of `SLOT` seconds; `MISSES` silent slots are death.

    A process whose sockets are open but which answers nobody keeps its client id, so nobody can follow it alive.
    """

    def __init__(self, lock_path: Path, secret: Callable[[], str], *, slot: float = SLOT) -> None:
        self._lock_path = lock_path
        self._secret = secret
        self._slot = slot
        self._answered = float("-inf")
        self._silent_since = float("inf")
        self._misses = 0
        self._thread: threading.Thread | None = None

    def stalled(self, running_for: float) -> str:
        """Why the owner, which runs for so many seconds, must be replaced; "" while it lives. Never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
            self._thread.start()
        now, limit = time.monotonic(), MISSES * self._slot
        began = now - running_for
        if self._misses >= MISSES and began < self._silent_since <= now - limit:
            return f"did not answer for {limit:g} s"
        if self._answered < began and running_for > START_LIMIT:
            return f"did not listen within {START_LIMIT:g} s"
        return ""

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            answered = self._asked()
            if answered:
                self._answered = time.monotonic()
            if answered is False:
                self._silent_since = min(self._silent_since, began)
                self._misses += 1
            else:
                self._silent_since, self._misses = float("inf"), 0
            time.sleep(max(began + min(REST, self._slot) - time.monotonic(), 0))

    def _asked(self) -> bool | None:
        """Whether it answered; None where nobody says yet where to ask."""
        try:
            holder = lock.read(self._lock_path)
        except (OSError, BrokerUnavailable):
            return None
        if holder is None or not holder.url:
            return None
        try:
            return self._ping(holder.url)
        except (OSError, http.client.HTTPException):
            return False

    def _ping(self, url: str) -> bool:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=self._slot)
        try:
            connection.request("GET", "/ping", headers={"Authorization": f"Bearer {self._secret()}"})
            return connection.getresponse().status in ALIVE
        finally:
            connection.close()
