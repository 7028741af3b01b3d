"""What the machine gives at this moment: a figure means little without it where many share one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.load.frame import Figure, percentile

SUMS, SLEEPS, NAP_S = 2_000_000, 200, 0.005
# What others may take of the processors, in percent: beyond the first a run waits to begin, for a while; one that was
# late while they took more than the second tells more of them than of us.
QUIET, DISTURBED = 2.0, 3.0
LOOK_S, PAUSE_S, PATIENCE_S = 2.0, 5.0, 60.0


# Does nothing on one processor, after everything else that wants it, for as long as its parent lives. Where the kernel
# weighs sessions against each other, its own weighs least: the idle class gives way within a session alone.
SPIN = """
import os, pathlib, sys, time
cpu, parent = map(int, sys.argv[1:])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setaffinity(0, {cpu})
group = pathlib.Path("/proc/self/autogroup")
while group.exists() and os.getppid() == parent:
    try:
        group.write_text("19")
        break
    except OSError:  # ten a second are taken from who is not root
        time.sleep(0.2)
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def awake() -> Iterator[Figure]:
    """No processor goes to sleep in it, where the system can be told to.

    A virtual processor that sleeps is given away, and comes back late: that is no time of the desk's, and on a machine
    that others share it was two fifths of all. Whatever else wants a processor has it at once.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "SCHED_IDLE") else []
    command = [sys.executable, "-c", SPIN]
    spinning = [subprocess.Popen([*command, str(cpu), str(os.getpid())], start_new_session=True) for cpu in cpus]
    try:
        yield Figure("processors kept awake", len(spinning), "")
    finally:
        for one in spinning:
            one.terminate()
            one.wait()


@dataclass
class Others:
    """What other machines took of our processors since they were looked at first; nothing where nobody says so."""

    began: float
    before: float

    @classmethod
    def now(cls) -> Others:
        """From this moment on."""
        return cls(time.perf_counter(), _stolen())

    def share(self) -> float:
        """In percent of all processors."""
        seconds = (time.perf_counter() - self.began) * (psutil.cpu_count() or 1)
        return 100 * (_stolen() - self.before) / seconds


def waited() -> Figure:
    """How long it took until others left us the machine; given up after a while."""
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < PATIENCE_S:
        others = Others.now()
        while time.perf_counter() < others.began + LOOK_S:  # who does nothing is not held up
            pass
        if others.share() <= QUIET:
            break
        time.sleep(PAUSE_S)
    return Figure("waited for other machines", spent, "s")


def given() -> list[Figure]:
    """How long a fixed reckoning takes and a sleeper oversleeps, and what others took of the processors meanwhile."""
    others, began, total = Others.now(), time.perf_counter(), 0
    for number in range(SUMS):
        total += number
    reckoned = time.perf_counter() - began
    late = [_overslept() for _ in range(SLEEPS)]
    return [
        Figure("the machine: two million sums", reckoned * 1000, "ms"),
        Figure("  a sleeper wakes late, 99 %", percentile(late, 0.99) * 1000, "ms"),
        Figure("  taken by other machines on it", others.share(), "%"),
    ]


def _stolen() -> float:
    stolen: float = getattr(psutil.cpu_times(), "steal", 0.0)
    return stolen


def _overslept() -> float:
    began = time.perf_counter()
    time.sleep(NAP_S)
    return time.perf_counter() - began - NAP_S
