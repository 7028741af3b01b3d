"""The owner's wish to cancel: that of the file latch, and what a full disk did not take into the file."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from autotrader.core.ops.pace import paced
from broker import halts, types
from broker import latch as latches
from broker.latch import RUNNING, HaltState, Latch

WITHOUT_FILE = 60.0  # seconds that a wish lasts where not even an empty file could be made


class Wishes:
    """What is to be cancelled. A wish in memory lasts as long as the file goes on halting: a release ends it."""

    def __init__(self, state_dir: Path) -> None:
        self._dir = state_dir
        self._lock = threading.Lock()
        self._memory: Latch | None = None
        self._last: Latch | None = None  # what the file said before it was emptied
        self._mark = ""
        self._until = float("inf")

    def take(self, request: types.Kill) -> tuple[str, str]:
        """Tighten this owner's file; the name of the run that does the request, and why the file does not halt."""
        found = self._read()
        if found is not None and _does(found, request):
            return found.run, ""
        wish = halts.wish_of(HaltState(request.state), request.actor, request.reason, request.cancel)
        if request.cancel and request.run:
            wish = replace(wish, run=request.run)
        wish = _joined(wish, self.kept())  # the disk may have room by now
        try:
            stands, merged = latches.tightened(self._dir, wish)
        except OSError as error:
            self._keep(wish, found, "", time.monotonic() + paced(WITHOUT_FILE))
            return wish.run, f"the file latch cannot be written ({error.strerror}), only the database's row may hold"
        if not latches.carries(stands, wish):
            self._keep(wish, merged, stands.mark, float("inf"))
            return wish.run, ""
        return stands.run, ""

    def now(self) -> Latch | None:
        """The wish that is to be done or was done last; None where nothing is halted."""
        found = self._read()
        with self._lock:
            kept = self._memory
            if kept is None:
                return found
            if not self._holds(kept, found):
                self._memory = None
                return found
            # Done, it only tells of its end; the file may want something else by now.
            return kept if kept.is_cancelling or (found is not None and found.run == kept.run) else found

    def of(self, run: str) -> Latch | None:
        """What has become of a run; the file where it is not one in memory, None where nothing is halted."""
        now = self.now()
        with self._lock:
            return self._memory if self._memory is not None and self._memory.run == run else now

    def kept(self) -> Latch | None:
        """The wish that memory knows better than the file, done or not; None where there is none."""
        found = self._read()
        with self._lock:
            return self._memory if self._memory is not None and self._holds(self._memory, found) else None

    def note(self, run: str, **progress: Any) -> Latch | None:
        """Keep the progress of a run: in the file, and in memory where the disk is full. None where the run ended."""
        with self._lock:
            kept = self._memory if self._memory is not None and self._memory.run == run else None
            told = {name: getattr(kept, name) for name in RUNNING if name != "run"} if kept is not None else {}
            changed = latches.note(self._dir, run, **(told | progress))
            if changed is None:
                if kept is not None:
                    self._memory = replace(kept, **progress)
                return self._memory if kept is not None else None
            if latches.read(self._dir) != changed:
                self._memory, self._mark, self._until = changed, changed.mark, float("inf")
            elif kept is not None:
                self._memory = None
            return changed

    def _read(self) -> Latch | None:
        """The file; where it was emptied with cancels under way, by whichever process, they go on in memory."""
        found = latches.read(self._dir)
        with self._lock:
            lost, self._last = self._last, found
            is_lost = found is not None and found.by_hand and lost is not None and lost.is_cancelling
            if is_lost and lost is not None and found is not None and self._memory is None:
                self._memory, self._mark, self._until = lost, found.mark, float("inf")
        return found

    def _keep(self, wish: Latch, stood: Latch | None, mark: str, until: float) -> None:
        """`stood`: what the file said or was to say; cancels under way that do all of the wish's are joined."""
        with self._lock:
            wish = _joined(_joined(wish, stood), self._memory)
            self._memory, self._mark, self._until = wish, mark, until
            self._last = None

    def _holds(self, kept: Latch, found: Latch | None) -> bool:
        """Whether the wish in memory is in force: its file halts yet, and has not come to do it itself."""
        if found is None:
            return not self._mark and time.monotonic() < self._until
        if found.run == kept.run:
            return True
        if latches.carries(found, kept):
            return False
        return found.by_hand or bool(found.problem) or found.mark == self._mark


def _joined(wish: Latch, under_way: Latch | None) -> Latch:
    """The wish with the cancels under way that do all of its own, by its own name."""
    if under_way is None or not under_way.is_cancelling or not latches.carries(under_way, wish):
        return wish
    told = {name: getattr(under_way, name) for name in RUNNING}
    return replace(wish, **(told | ({"run": wish.run} if wish.run else {})))


def _does(found: Latch, request: types.Kill) -> bool:
    """True where the file halts as strictly, and has the very run."""
    has_run = found.run == request.run if request.run else not request.cancel
    return has_run and not found.problem and not latches.stricter(request.state, found.state)
