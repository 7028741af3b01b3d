"""What tests of every package share: waiting with a deadline, real threads, and the environment of child processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from django.db import connection

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
REAL_BARS = ROOT.parent / "shared" / "data" / "ohlcv"
needs_real_bars = pytest.mark.skipif(not REAL_BARS.is_dir(), reason=f"no bars in {REAL_BARS}")


def eventually(predicate: Callable[[], T], timeout: float = 10, *, every: float = 0.02) -> T:
    """Ask until the answer is true and give it back; fails the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s; the last answer was {answer!r}")
        time.sleep(every)
    return answer


def gone(pid: int) -> bool:
    """True where the process has ended, even if nobody has collected it yet."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def in_threads(jobs: Iterable[Callable[[], T]], *, threads: int = 16) -> list[T]:
    """Run the jobs on real threads; each closes its database connection. Raises the first error."""

    def run(job: Callable[[], T]) -> T:
        try:
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, jobs))


def database_url() -> str:
    """The URL of the test database in use, for a child process."""
    config = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{config['NAME']}"
    host = config["OPTIONS"].get("host") or config["HOST"]
    return f"postgresql://{config['USER']}@/{config['NAME']}?host={host}"


def child_environment(**changes: str) -> dict[str, str]:
    """This process's environment for a child process that must use the same test database and state folder."""
    return {**os.environ, "AUTOTRADER_DATABASE_URL": database_url(), **changes}
