"""The files of the figures: one a process and kind, those of ended processes folded into one a kind, all added up.

In the format of prometheus_client's multiprocess mode. Ours differ in three ways: a process holds a lock on its files,
so that its death shows on every host and in every container that shares the folder, whoever has its pid then; no name
is used twice; and the room is taken from the disk at once, so that a full disk costs the figures and not, by SIGBUS,
the process.

`folded.json` says which files hold the sums, and what is within them already. It is put in place in one piece: a fold
that is cut short at any point neither loses a number nor counts one twice.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)
ROOM = 1 << 20  # bytes a file; with bounded labels none grows beyond it
SMALLEST = 8  # bytes; one that a full disk left with less holds nothing
FOLDED = "folded.json"
TRIES = 10  # of a reading in which a fold came; folds are half a minute apart
# What a file raises that is spoilt; and what one raises that is full or closed as well.
SPOILT = (ValueError, RuntimeError, TypeError, struct.error)
BROKEN = (OSError, *SPOILT)


@dataclass(frozen=True, slots=True)
class Folded:
    """The names of the files with the sums, and of the processes' files that are within these and count no more."""

    sums: frozenset[str] = frozenset()
    within: frozenset[str] = frozenset()


def folder() -> Path | None:
    """Where the files lie; None where this program runs without the site's settings, and counts for itself alone."""
    return Path(settings.AUTOTRADER_STATE_DIR) / "metrics" if settings.configured else None


def new_file(place: Path, kind: str, values: Mapping[str, float], suffix: str = ".db") -> Any:
    """A MmapedDict with these values, its file locked for as long as it is open. Raises one of BROKEN.

    The file gets its name when it is locked: one with that name and no lock is a dead process's.
    """
    path = place / f"{kind}_{os.getpid()}-{uuid4().hex}{suffix}"
    half = path.with_suffix(".new")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with half.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, ROOM)
        made: Any = MmapedDict(str(half))  # type: ignore[no-untyped-call]
        fcntl.flock(made._f, fcntl.LOCK_EX)
        for key, value in values.items():
            made.write_value(key, value, 0.0)
        half.rename(path)
    except BROKEN:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise
    made._fname = str(path)
    return made


def collected(place: Path | None = None) -> Iterable[Metric]:
    """All processes' numbers added up, also of those that have ended; a live gauge counts while its process lives.

    Raises OSError where the files cannot be read.
    """
    place = place or folder()
    if place is None or not place.is_dir():
        return ()
    for _ in range(TRIES):
        with suppress(FileNotFoundError):
            folded = _folded(place)
            names = [str(path) for path in _counting(place, folded)]
            merged: list[Metric] = list(MultiProcessCollector.merge(names))  # type: ignore[no-untyped-call]
            if _folded(place) == folded:
                return merged
    raise OSError(f"the files in {place} were others each time they were read")


def fold(place: Path | None = None) -> int:
    """Add what ended processes have left to the sums and take their files away; the number of these. Raises OSError.

    One at a time: two at once would lose what either of them adds.
    """
    place = place or folder()
    if place is None or not place.is_dir():
        return 0
    _clear(place)
    ended = [path for path in place.glob("*.db") if not _lives(path)]
    counted = [path for path in ended if not _is_live_gauge(path)]
    if counted:
        _put(place, counted, [place / name for name in _folded(place).sums])
    for path in ended:
        path.unlink(missing_ok=True)
    _clear(place)
    return len(ended)


def sweep(place: Path | None = None) -> int:
    """Take away what ended processes have left, their sums too; the number of files. Begins the counting anew."""
    place = place or folder()
    if place is None or not place.is_dir():
        return 0
    (place / FOLDED).unlink(missing_ok=True)
    left = [path for pattern in ("*.db", "*.sum", "*.new") for path in place.glob(pattern) if not _lives(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _counting(place: Path, folded: Folded) -> list[Path]:
    """The files that make up the whole; raises FileNotFoundError where one went away meanwhile."""
    sums = [path for path in place.glob("*.sum") if path.name in folded.sums]
    each = [path for path in place.glob("*.db") if path.name not in folded.within]
    whole = [path for path in (*sums, *each) if path.stat().st_size >= SMALLEST]
    return [path for path in whole if not _is_live_gauge(path) or _lives(path)]


def _put(place: Path, ended: Sequence[Path], sums: Sequence[Path]) -> None:
    """New sums in the place of the old ones; whoever reads sees either."""
    totals: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    within = [path.name for path in ended]
    for path in (*sums, *ended):
        for key, value in _values(path).items():
            totals[path.name.partition("_")[0]][key] += value
    files = [new_file(place, kind, values, ".sum") for kind, values in totals.items()]
    names = [Path(file._fname).name for file in files]
    half = place / f"{FOLDED}.half"
    half.write_text(json.dumps({"sums": names, "within": within}))
    half.replace(place / FOLDED)


def _values(path: Path) -> dict[str, float]:
    """What a file holds; nothing where it is spoilt or has gone."""
    try:
        entries = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
        return {key: value for key, value, _, _ in entries}
    except (FileNotFoundError, *SPOILT) as error:
        logger.warning("the figures in %s are lost: %s", path.name, error)
        return {}


def _folded(place: Path) -> Folded:
    """What the last fold said; one whose word cannot be read has summed up nothing."""
    try:
        told = json.loads((place / FOLDED).read_text())
        return Folded(frozenset(told["sums"]), frozenset(told["within"]))
    except FileNotFoundError:
        return Folded()
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("the figures of ended processes are lost: %s", error)
        return Folded()


def _clear(place: Path) -> None:
    """Take away what a fold left behind: what is within the sums, and sums that are not the last ones."""
    folded = _folded(place)
    for path in (*(place / name for name in folded.within), *place.glob("*.sum")):
        if path.name not in folded.sums:
            path.unlink(missing_ok=True)


def _is_live_gauge(path: Path) -> bool:
    return path.name.startswith("gauge_live")


def _lives(path: Path) -> bool:
    """True while the process that made it is alive."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
