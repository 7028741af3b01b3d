"""Numbers that several processes count together: each writes a file of its own, and a reader adds the files up."""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import mmap_key

from autotrader.core.ops.value_files import BROKEN, folder, new_file

logger = logging.getLogger(__name__)


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
            self._open[kind] = None if place is None else _file(place, kind)
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


def _file(place: Path, kind: str) -> Any:
    try:
        # Every number stands in every file from the beginning: a histogram needs all of its buckets.
        return new_file(place, kind, dict.fromkeys(_keys[kind], 0.0))
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
