"""Child processes that leave nothing behind: they end with their parent, and a whole tree can be killed."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterable

import psutil

PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec a child may not import.
_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel sends SIGTERM when the thread that started this process ends (Linux only).

    Not SIGKILL: a task cluster killed that way leaves its workers behind, one that is asked to stop ends them.
    """
    if hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants; empty where it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL each; psutil compares start times, so a pid that was given out anew is spared."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
