"""One copy of a program per state folder, by a lock that the kernel releases at death."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autotrader.core.errors import Conflict

# Who only looks holds a shared lock for microseconds; a copy holds it for life.
GLANCE = 0.25


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy that runs: its pid, and the name of what it alone starts, "" where it keeps nothing."""

    pid: int
    keeps: str


class AlreadyRunning(Conflict):
    """Another copy runs: use that one, or stop it first."""

    code = "ALREADY_RUNNING"


@contextmanager
def only_copy(path: Path, *, keeps: str = "") -> Iterator[None]:
    """Hold the lock inside the block and say what is kept; raises AlreadyRunning naming the holder's pid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not inherited by children: they must not keep the lock when the supervisor is gone.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        limit = time.monotonic() + GLANCE
        while not _flock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > limit:
                other = _told(descriptor)
                raise AlreadyRunning(f"Another copy runs already (pid {other.pid if other else 'unknown'}, {path}).")
            time.sleep(0.005)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {keeps}".strip().encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def running_copy(path: Path) -> Copy | None:
    """The copy that holds the lock now; None where none does."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if _flock(descriptor, fcntl.LOCK_SH) else _told(descriptor)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _told(descriptor: int) -> Copy | None:
    pid, _, keeps = os.pread(descriptor, 400, 0).decode().partition(" ")
    return Copy(int(pid), keeps) if pid.isdigit() else None
