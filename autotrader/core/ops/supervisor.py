"""Keeps a set of child processes running: starts them in order, restarts what ends or stalls, stops them in reverse."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from types import FrameType

from autotrader.core.ops.children import kill_session, signal_to, start

POLL = 0.1
READY_WITHIN = 15.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# A child that lived this long has recovered: its next restart is quick again.
RECOVERED = 60.0
CHECK_EVERY = 5.0
LAST_WORDS = 3
CONFIGURATION, OWNED_ELSEWHERE = 2, 3
FATAL = frozenset({CONFIGURATION, OWNED_ELSEWHERE})

Say = Callable[[str, str], None]


@dataclass(frozen=True)
class Child:
    """What to run. `stalled` gets the seconds since the start and says why the child must be restarted, or "".

    It is asked each `check_every` seconds and must answer at once. Children are started in their order and stopped in
    the reverse; neighbours of one `stage` stop together. An exit code in `fatal` stops all of them.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stage: str = ""
    grace: float = 8.0
    ready: Callable[[], bool] | None = None
    stalled: Callable[[float], str] | None = None
    check_every: float = CHECK_EVERY
    fatal: frozenset[int] = FATAL


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    checked: float = 0.0
    pause: float = FIRST_PAUSE
    start_at: float = 0.0
    last_words: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))
    reader: threading.Thread | None = None


class Supervisor:
    """`run()` blocks until a signal, `stop()`, or a child that cannot be helped."""

    def __init__(self, children: Sequence[Child], say: Say, *, announce: Callable[[], None] = lambda: None) -> None:
        self._running = [_Running(child) for child in children]
        self._say = say
        self._announce = announce
        self._stop = threading.Event()
        self._hurry = False
        self._code = 0

    def stop(self) -> None:
        """Ask for the end; a second time hurries it."""
        self._hurry = self._stop.is_set()
        self._stop.set()

    def run(self) -> int:
        """Supervise; 0 after a stop that was asked for, else the exit code of the child that cannot be helped."""
        with self._signals():
            try:
                self._start_in_order()
                while not self._stop.wait(POLL):
                    for running in self._running:
                        self._look_after(running)
            finally:
                self._stop_in_reverse()
        return self._code

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self.stop()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start_in_order(self) -> None:
        for running in self._running:
            if not self._stop.is_set():
                self._start(running)
                self._wait_until_ready(running)
        if not self._stop.is_set():
            self._announce()

    def _start(self, running: _Running) -> None:
        running.last_words.clear()
        running.process = start(running.child.command, running.child.environment)
        running.started = running.checked = time.monotonic()
        running.reader = threading.Thread(target=self._read, args=(running, running.process), daemon=True)
        running.reader.start()

    def _read(self, running: _Running, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if text := line.rstrip():
                running.last_words.append(text)
                self._say(running.child.name, text)

    def _wait_until_ready(self, running: _Running) -> None:
        """Wait for what the next child needs, for a while; a child that ends meanwhile is started again."""
        ready = running.child.ready
        deadline = time.monotonic() + READY_WITHIN
        while ready is not None and not ready() and time.monotonic() < deadline:
            if self._stop.wait(POLL):
                return
            self._look_after(running)

    def _look_after(self, running: _Running) -> None:
        if running.process is None:
            if time.monotonic() >= running.start_at and not self._stop.is_set():
                self._start(running)
        elif (code := running.process.poll()) is not None:
            self._after_end(running, code)
        elif running.child.stalled and time.monotonic() - running.checked > running.child.check_every:
            running.checked = time.monotonic()
            if reason := running.child.stalled(time.monotonic() - running.started):
                self._say(running.child.name, f"{reason}; killing it")
                self._clear_away(running)
                self._restart_later(running)

    def _after_end(self, running: _Running, code: int) -> None:
        """A main process that ended may have left its workers behind; they go before it starts again."""
        self._clear_away(running)
        if code in running.child.fatal:
            self._code = self._code or code
            words = " ".join(running.last_words) or "it said nothing"
            self._say(running.child.name, f"cannot run (exit code {code}): {words}")
            self._stop.set()
            return
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        self._say(running.child.name, f"ended with {how}")
        self._restart_later(running)

    def _restart_later(self, running: _Running) -> None:
        if time.monotonic() - running.started > RECOVERED:
            running.pause = FIRST_PAUSE
        running.start_at = time.monotonic() + running.pause
        self._say(running.child.name, f"starting again in {running.pause:g} s")
        running.pause = min(running.pause * 2, LONGEST_PAUSE)

    def _clear_away(self, running: _Running) -> None:
        if running.process is None:
            return
        kill_session(running.process.pid)
        running.process.wait()
        if running.reader is not None:
            running.reader.join(1)
        running.process = None

    def _stop_in_reverse(self) -> None:
        for _, stage in groupby(reversed(self._running), key=lambda running: running.child.stage or running.child.name):
            self._stop_stage([running for running in stage if running.process is not None])

    def _stop_stage(self, stage: list[_Running]) -> None:
        grace = max((running.child.grace for running in stage), default=0)
        for number in (signal.SIGTERM, signal.SIGINT):
            # To the main process only: a task cluster hangs when its whole group is signalled.
            for process in _living(stage):
                signal_to(process.pid, number)
            deadline = time.monotonic() + grace / 2
            while _living(stage) and time.monotonic() < deadline and not self._hurry:
                time.sleep(POLL / 4)
        for running in stage:
            if running.process in _living(stage):
                self._say(running.child.name, f"does not stop within {grace:g} s; killing it")
            self._clear_away(running)


def _living(stage: list[_Running]) -> list[subprocess.Popen[str]]:
    return [running.process for running in stage if running.process is not None and running.process.poll() is None]
