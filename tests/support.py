"""What tests of every package share: waiting with a deadline, real threads, and the environment of child processes."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from django.db import connection

from tests.environment import FOLDER

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
REAL_BARS = ROOT.parent / "shared" / "data" / "ohlcv"
# For what a quiet machine does within a few seconds: a busy one may stand still for as long.
PATIENCE_S = 45.0
# Below these the kernel gives no port to whoever asks for any.
PORTS = range(20_000, 32_000)
needs_real_bars = pytest.mark.skipif(not REAL_BARS.is_dir(), reason=f"no bars in {REAL_BARS}")


def eventually(predicate: Callable[[], T], timeout: float = PATIENCE_S, *, every: float = 0.02) -> T:
    """Ask until the answer is true and give it back; fails the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s; the last answer was {answer!r}")
        time.sleep(every)
    return answer


def free_port() -> int:
    """A port at which nobody listens, for who comes to it later, or never.

    One that the kernel chose may be another's by then, since every connection that somebody opens takes one of those.
    """
    for port in random.SystemRandom().sample(PORTS, 1000):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """No other process of this run is within such a block of the same name: for what a machine has only once."""
    with (Path(os.environ[FOLDER]) / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
