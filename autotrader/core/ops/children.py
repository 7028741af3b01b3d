"""Child processes that leave nothing behind: each leads a session of its own, and ends when its parent does."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

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


def start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """A child with its output in one pipe, no input, and a session of its own, so that Ctrl-C reaches only us."""
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def members(session: int) -> list[int]:
    """Every process of the session, also those whose parent is gone. A leader's pid is not reused while one lives."""
    return [pid for pid in psutil.pids() if pid != os.getpid() and _session(pid) == session]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def kill_session(session: int) -> None:
    """SIGKILL every process of the session until none is left that could start another, at most for 5 s."""
    deadline = time.monotonic() + 5
    while (living := [pid for pid in members(session) if _is_alive(pid)]) and time.monotonic() < deadline:
        for pid in living:
            signal_to(pid, signal.SIGKILL)
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def signal_to(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process, which may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
