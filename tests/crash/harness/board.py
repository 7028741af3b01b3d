"""What the driver of a cell and its forked processes share: one page of memory on which points are armed and met."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from typing import Literal

from autotrader.core.ops.crashpoints import POINTS

Action = Literal["kill", "stop", "meet"]
ACTIONS: tuple[Action, ...] = ("kill", "stop", "meet")
ROLES = ("web", "worker", "broker", "start")
# name, passes left, action, the pid that reached it, whether it may go on, a count of signs of life
SLOT = struct.Struct("48siiiii")
MEETING_LIMIT = 60.0
TICK = 0.001


class Board:
    """One slot a role. Armed by the driver, counted down by whichever process of that role passes the point."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, SLOT.size * len(ROLES))

    def arm(self, role: str, point: str, *, occurrence: int = 1, action: Action = "kill") -> None:
        """From now on: at the n-th pass of the point, die, stop, or wait there until told to go on."""
        self._write(role, point.encode(), occurrence, ACTIONS.index(action), 0, 0)

    def disarm(self, role: str) -> None:
        """Nothing happens at any point; whoever waits at one goes on."""
        self._write(role, b"", 0, 0, 0, 1)

    def reached(self, role: str) -> int:
        """The pid that has reached the armed point; 0 while none has."""
        return self._read(role)[3]

    def go_on(self, role: str) -> None:
        """Let the process that waits at the point pass."""
        name, left, action, pid, _, alive = self._read(role)
        SLOT.pack_into(self._page, self._at(role), name, left, action, pid, 1, alive)

    def sign(self, role: str, pid: int) -> None:
        """Say that this process is ready."""
        name, left, action, reached, go, _ = self._read(role)
        SLOT.pack_into(self._page, self._at(role), name, left, action, reached, go, pid)

    def signed(self, role: str) -> int:
        """The pid of the process of this role that was ready last."""
        return self._read(role)[5]

    def pass_by(self, role: str, point: str, first: Callable[[], object] | None) -> None:
        """In a process of the role, at a point: what was asked for, if this is the pass it was asked for."""
        name, left, action, _, go, alive = self._read(role)
        if left < 1 or name.rstrip(b"\0") != point.encode():
            return
        left -= 1
        pid = 0 if left else os.getpid()
        SLOT.pack_into(self._page, self._at(role), name, left, action, pid, go, alive)
        if not left:
            self._act(role, ACTIONS[action], first)

    def _act(self, role: str, action: Action, first: Callable[[], object] | None) -> None:
        if action == "kill":
            if first is not None:
                first()
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            until = time.monotonic() + MEETING_LIMIT
            while not self._read(role)[4] and time.monotonic() < until:
                time.sleep(TICK)

    def _write(self, role: str, name: bytes, left: int, action: int, reached: int, go: int) -> None:
        alive = self._read(role)[5]
        SLOT.pack_into(self._page, self._at(role), name, left, action, reached, go, alive)

    def _read(self, role: str) -> tuple[bytes, int, int, int, int, int]:
        return SLOT.unpack_from(self._page, self._at(role))

    def _at(self, role: str) -> int:
        return ROLES.index(role) * SLOT.size


class Watch:
    """In a forked process, in place of the crash points' own: notes every pass, and asks the board what to do."""

    def __init__(self, board: Board, role: str, trace: str) -> None:
        self._board = board
        self._role = role
        self._trace = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()

    def passed(self, name: str, first: Callable[[], object] | None = None) -> None:
        """One pass of a point; raises ValueError for a name that is not registered."""
        if name not in POINTS:
            raise ValueError(f"crashpoint({name!r}) is not registered")
        os.write(self._trace, f"{name}\n".encode())
        with self._lock:
            self._board.pass_by(self._role, name, first)
