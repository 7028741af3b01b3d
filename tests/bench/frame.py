"""The frame of the benches: `@bench(...)` registers a measurement, medians come from interleaved rounds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

REGISTRY: list[Bench] = []


@dataclass(frozen=True)
class Measured:
    """Median seconds of ours and, where there is one, of the baseline measured in the same rounds; or another unit."""

    seconds: float
    baseline: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is."""
        return self.baseline / self.seconds if self.baseline else None


@dataclass(frozen=True)
class Bench:
    """One measurement: at most `target` seconds (or `unit`), at least `faster` times faster than its baseline."""

    name: str
    target: float
    faster: float | None
    measure: Callable[[], Measured]
    unit: str = "s"

    def verdict(self, measured: Measured) -> bool:
        """True where every target is met."""
        quick = measured.seconds <= self.target
        return quick and (self.faster is None or (measured.ratio or 0) >= self.faster)


def bench(
    name: str, *, target: float, faster: float | None = None, unit: str = "s"
) -> Callable[[Callable[[], Measured]], Callable[[], Measured]]:
    """Register a function that measures; `target` in seconds, unless `unit` says otherwise."""

    def register(measure: Callable[[], Measured]) -> Callable[[], Measured]:
        REGISTRY.append(Bench(name, target, faster, measure, unit))
        return measure

    return register


def seconds_of(run: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median_of(run: Callable[[], object], *, rounds: int) -> Measured:
    """The median of `rounds` calls after one to warm up."""
    run()
    return Measured(statistics.median(seconds_of(run) for _ in range(rounds)))


def against(ours: Callable[[], object], baseline: Callable[[], object], *, rounds: int) -> Measured:
    """Both medians, measured by turns so that both see the same machine."""
    ours(), baseline()
    pairs = [(seconds_of(ours), seconds_of(baseline)) for _ in range(rounds)]
    return Measured(statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs))
