"""One copy of a program per state folder, by a lock that the kernel releases at death."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autotrader.core.errors import Conflict


class AlreadyRunning(Conflict):
    """Another copy runs: use that one, or stop it first."""

    code = "ALREADY_RUNNING"


@contextmanager
def only_copy(path: Path) -> Iterator[None]:
    """Hold the lock inside the block; raises AlreadyRunning naming the holder's pid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not inherited by children: they must not keep the lock when the supervisor is gone.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 20, 0).decode() or "unknown"
            raise AlreadyRunning(f"Another copy runs already (pid {pid}, {path}).") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
