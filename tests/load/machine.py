"""What the machine gives at this moment: a figure means little without it where many share one."""

from __future__ import annotations

import time

import psutil

from tests.load.frame import Figure, percentile

SUMS, SLEEPS, NAP_S = 2_000_000, 200, 0.005


def given() -> list[Figure]:
    """How long a fixed reckoning takes and a sleeper oversleeps, and what others took of the processors meanwhile."""
    before = psutil.cpu_times()
    began = time.perf_counter()
    total = 0
    for number in range(SUMS):
        total += number
    reckoned = time.perf_counter() - began
    late = [_overslept() for _ in range(SLEEPS)]
    taken = getattr(psutil.cpu_times(), "steal", 0.0) - getattr(before, "steal", 0.0)
    share = 100 * taken / (time.perf_counter() - began) / (psutil.cpu_count() or 1)
    return [
        Figure("the machine: two million sums", reckoned * 1000, "ms"),
        Figure("  a sleeper wakes late, 99 %", percentile(late, 0.99) * 1000, "ms"),
        Figure("  taken by other machines on it", share, "%"),
    ]


def _overslept() -> float:
    began = time.perf_counter()
    time.sleep(NAP_S)
    return time.perf_counter() - began - NAP_S
