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


class Pulse:
    """Asks /ping at the address in the lock file; a slot of `SLOT` seconds without an answer is a miss.

    A process whose sockets are open but which answers nobody keeps its client id, so nobody can follow it alive.
    """

    def __init__(self, lock_path: Path, secret: Callable[[], str], *, slot: float = SLOT) -> None:
        self._lock_path = lock_path
        self._secret = secret
        self._slot = slot
        self._misses = 0
        self._answered = float("-inf")
        self._thread: threading.Thread | None = None

    def stalled(self, running_for: float) -> str:
        """Why the owner, which runs for so many seconds, must be replaced; "" while it lives. Never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
            self._thread.start()
        if self._answered < time.monotonic() - running_for:
            self._misses = 0
            return f"did not listen within {START_LIMIT:g} s" if running_for > START_LIMIT else ""
        return f"did not answer for {MISSES * self._slot:g} s" if self._misses >= MISSES else ""

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            if self._asked():
                self._answered, self._misses = time.monotonic(), 0
                time.sleep(min(REST, self._slot))
            else:
                self._misses += 1
                time.sleep(max(began + self._slot - time.monotonic(), 0))

    def _asked(self) -> bool:
        try:
            holder = lock.read(self._lock_path)
            return holder is not None and bool(holder.url) and self._ping(holder.url)
        except (OSError, http.client.HTTPException, BrokerUnavailable):
            return False

    def _ping(self, url: str) -> bool:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=self._slot)
        try:
            connection.request("GET", "/ping", headers={"Authorization": f"Bearer {self._secret()}"})
            return connection.getresponse().status == 200
        finally:
            connection.close()
