"""The thread `watch`: lets the desk see what waits too long for the broker's word, also while there is no broker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from broker.service import desk as desks
from broker.service import evidence
from broker.service.writer import Writer


class Watch:
    """Every `interval` seconds, one job in the writer's thread; the next one waits for the one before."""

    def __init__(self, writer: Writer, interval: float, now: Callable[[], datetime]) -> None:
        self._writer = writer
        self._interval = interval
        self._now = now
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch-desk", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread."""
        self._stopping.set()
        self._idle.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            self._idle.wait()
            self._idle.clear()
            self._writer.submit(self._watch)

    def _watch(self) -> None:
        try:
            aside = desks.registered().watched(self._now(), evidence.blocked())
            if aside:
                self._writer.set_aside(aside)
        finally:
            self._idle.set()
