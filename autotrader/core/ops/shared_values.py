"""Numbers that several processes count together: each writes a file of its own, and a reader adds the files up.

In the format of prometheus_client's multiprocess mode. Ours differ from its values in three ways: the files lie in the
state folder, they are told apart by host and pid (in containers every main process has the pid 1), and their room is
taken from the disk at once, so that a full disk costs the figures and not, by SIGBUS, the process.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)
ROOM = 1 << 20  # bytes a file; with bounded labels none grows beyond it
HOST = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
NAME = re.compile(r"(?P<kind>[a-z]+(?:_[a-z]+)?)_(?P<host>[A-Za-z0-9.-]+)-(?P<pid>[0-9]+)\.db")
# What a file raises that is full, closed or spoilt.
BROKEN = (OSError, ValueError, RuntimeError, TypeError, struct.error)
# A process of another host cannot be looked at; what it has not written to for so long is left over.
SILENT_ELSEWHERE = 86_400.0


def folder() -> Path | None:
    """Where the files lie; None where this program runs without the site's settings, and counts for itself alone."""
    return Path(settings.AUTOTRADER_STATE_DIR) / "metrics" if settings.configured else None


class _Files:
    """This process's files, by kind of metric; anew in a child that was forked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._open: dict[str, Any] = {}
        self._place: Path | None = None
        self._pid = 0

    def get(self, kind: str) -> Any:
        """The file of a kind, an MmapedDict; None where there is no folder, or no room in it. Call under the lock."""
        place = folder()
        if self._pid != os.getpid() or self._place != place:
            self._open, self._pid, self._place = {}, os.getpid(), place
        if kind not in self._open:
            file = None if place is None else _file(place / f"{kind}_{HOST}-{self._pid}.db")
            self._open[kind] = file
            if file is None:
                return None
            # Every number stands in every file from the beginning: a histogram needs all of its buckets.
            for key in _keys[kind]:
                file.read_value(key)
        return self._open[kind]

    def write(self, kind: str, key: str, value: float, *, is_more: bool) -> None:
        """Put a number to a value, or by a value higher. A file that cannot be written to is given up: the caller may
        be the kill switch, which no figure may stop. Call under the lock."""
        file = self._open[kind]
        try:
            file.write_value(key, value + file.read_value(key)[0] if is_more else value, 0.0)
        except BROKEN as error:
            logger.warning("%s is not measured any more in this process: %s", kind, error)
            self._open[kind] = None


def _file(path: Path) -> Any:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, ROOM)
        return MmapedDict(str(path))  # type: ignore[no-untyped-call]
    except BROKEN as error:
        logger.warning("nothing is measured in this process: %s", error)
        return None


_files = _Files()
_keys: defaultdict[str, list[str]] = defaultdict(list)


def _after_fork() -> None:
    global _files
    _files = _Files()


os.register_at_fork(after_in_child=_after_fork)


class SharedValue:
    """One number of this process; takes the place of prometheus_client's own kinds of values."""

    _multiprocess = True

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = "",
        **options: Any,
    ) -> None:
        self._kind = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
        self._key = mmap_key(metric_name, name, list(labelnames), list(labelvalues), help_text)
        self._alone = 0.0
        with _files.lock:
            _keys[self._kind].append(self._key)
            if (file := _files.get(self._kind)) is not None:
                file.read_value(self._key)

    def inc(self, amount: float) -> None:
        """Add to it."""
        with _files.lock:
            file = _files.get(self._kind)
            if file is None:
                self._alone += amount
            else:
                _files.write(self._kind, self._key, amount, is_more=True)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Put it to a value."""
        with _files.lock:
            file = _files.get(self._kind)
            if file is None:
                self._alone = value
            else:
                _files.write(self._kind, self._key, value, is_more=False)

    def get(self) -> float:
        """What this process has counted."""
        with _files.lock:
            file = _files.get(self._kind)
            return self._alone if file is None else float(file.read_value(self._key)[0])

    def set_exemplar(self, exemplar: object) -> None:
        """Exemplars are not kept."""

    def get_exemplar(self) -> None:
        """Exemplars are not kept."""


def install() -> None:
    """Let every metric that is made from now on use these values."""
    values.ValueClass = SharedValue


def collected(place: Path | None = None) -> Iterable[Metric]:
    """All processes' numbers added up, also of those that have ended; a live gauge counts while its process lives."""
    place = place or folder()
    if place is None or not place.is_dir():
        return ()
    files = [path for path in place.glob("*.db") if _counts(path)]
    names = [str(path) for path in files]
    merged: Iterable[Metric] = MultiProcessCollector.merge(names, accumulate=True)  # type: ignore[no-untyped-call]
    return merged


def sweep(place: Path | None = None) -> int:
    """Take away what ended processes have left; the number of files. For a moment at which the desk does not run."""
    place = place or folder()
    left = [path for path in place.glob("*.db") if not _is_alive(path)] if place is not None else []
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _counts(path: Path) -> bool:
    return not path.name.startswith("gauge_live") or _is_alive(path)


def _is_alive(path: Path) -> bool:
    match = NAME.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] != HOST:
        return time.time() - path.stat().st_mtime < SILENT_ELSEWHERE
    try:
        return bool(psutil.Process(int(match["pid"])).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
