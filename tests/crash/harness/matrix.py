"""Which cells there are: the points that an operation was seen to pass, times the faults that make sense there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autotrader.core.ops.crashpoints import POINTS
from tests.crash.harness.cells import FAULTS, Cell

Passes = Mapping[str, Mapping[str, int]]
# Before the intent is written nothing can be doubled or lost at the broker: there it matters that work is resumed.
EARLY = frozenset({"C1", "C2", "C4", "C18"})
EARLY_FAULTS = ("kill", "stop", "database", "disk")
# Half of a frame is only ever written by a process that ends there.
DEATH_ONLY = frozenset({"frame_half", "cancel_half"})
MOST_OCCURRENCES = 3


def cells(operation: str, database: str, passes: Passes) -> Iterator[Cell]:
    """The reachable cells of an operation."""
    for role, points in sorted(passes.items()):
        for point, count in sorted(points.items()):
            for occurrence, fault in _strikes(point, count):
                yield Cell(operation, role, point, fault, database, occurrence)


def _strikes(point: str, count: int) -> Iterator[tuple[int, str]]:
    if point in DEATH_ONLY:
        faults: tuple[str, ...] = ("kill",)
    else:
        is_early = point in POINTS and POINTS[point].step in EARLY
        faults = EARLY_FAULTS if is_early else tuple(FAULTS)
    yield from ((1, fault) for fault in faults)
    yield from ((number, "kill") for number in range(2, min(count, MOST_OCCURRENCES) + 1))


def unreached(passes: Passes) -> list[str]:
    """The points that the operation never passes."""
    return sorted(set(POINTS) - {point for points in passes.values() for point in points})
