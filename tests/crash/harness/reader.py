"""The live reader of a cell: follows the audit log and writes each seq it saw to a file, so that it may be killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from django.db import DatabaseError, connection

from autotrader.core.audit.tail import read_after

PAUSE = 0.05


def follow(log: Path, *, ends: Callable[[], bool] = lambda: False) -> None:
    """Go on after the last seq in the file; each is on disk before the next is asked for. Until `ends()`."""
    last = (seen(log) or [0])[-1]
    with log.open("ab", buffering=0) as file:
        while True:
            ending = ends()
            try:
                rows = read_after(last)
            except DatabaseError:
                connection.close()
                rows = []
            if rows:
                last = rows[-1].seq
                file.write(b"".join(b"%d\n" % row.seq for row in rows))
                os.fsync(file.fileno())
            elif ending:
                return
            else:
                time.sleep(PAUSE)


def seen(log: Path) -> list[int]:
    """What was seen, in that order; a line that a kill cut off was not."""
    if not log.exists():
        return []
    text = log.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        log.write_bytes(whole)
    return [int(line) for line in whole.split()]
