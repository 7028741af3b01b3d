"""Which processes live: each touches a file of its own every second, so that it can be told without a database.

The thread runs in the main process only: a fork leaves it behind, so that the orphans of a killed cluster are no sign
of life. It calls nothing but the kernel between two sleeps, and holds no lock that a fork could copy.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.util import Finalize
from pathlib import Path

import psutil
from django.conf import settings

EVERY = 1.0
SILENT = 4.0  # seconds without a touch after which a process counts as gone
LEFT_OVER = 3600.0
SUPERVISED = "supervised.json"


@dataclass(frozen=True, slots=True)
class Life:
    """Who writes a file; `start` is the process's own start in Unix seconds, which tells a reused pid apart."""

    name: str
    pid: int
    host: str
    start: float


@dataclass(frozen=True, slots=True)
class Beat:
    """A process as its file shows it; `age_s` since its last touch."""

    name: str
    running: bool
    pid: int | None
    host: str
    age_s: float | None


def folder() -> Path:
    """Where the files lie."""
    return Path(settings.AUTOTRADER_STATE_DIR) / "beats"


def start(name: str, place: Path | None = None) -> None:
    """Show from now on that this process, `name`, lives; until its orderly end, or its death.

    What keeps it from writing is raised here, at the start; later a touch that fails is only missed.
    """
    path = (place or folder()) / f"{name}-{socket.gethostname()}-{os.getpid()}.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, asdict(_this(name)))
    for old in read(name, path.parent):
        if not old.running and old.age_s is not None and old.age_s > LEFT_OVER:
            _path(old, path.parent).unlink(missing_ok=True)
    _at_the_end(path)
    threading.Thread(target=_beat, args=(path,), name="beat", daemon=True).start()


def _beat(path: Path) -> None:
    while True:
        time.sleep(EVERY)
        try:
            os.utime(path)
        except OSError:  # the disk is full or the folder was taken away: a missed touch tells it
            continue


def _at_the_end(path: Path) -> None:
    """Take the file away when this process ends: after its children, for which a cluster's main process waits as it
    ends, and not in those."""
    Finalize(None, path.unlink, kwargs={"missing_ok": True}, exitpriority=-1)


def _this(name: str) -> Life:
    return Life(name, os.getpid(), socket.gethostname(), psutil.Process().create_time())


def supervise(names: Sequence[str], place: Path | None = None) -> None:
    """Write down which processes a supervisor, this process, keeps; `expected` believes it while this process lives."""
    place = place or folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place / SUPERVISED
    _write(path, {**asdict(_this("up")), "keeps": list(names)})
    _at_the_end(path)


def expected(by_settings: Iterable[str], place: Path | None = None) -> list[str]:
    """The processes that should run: those of a living supervisor on this host, else what the settings call for."""
    try:
        told = json.loads(((place or folder()) / SUPERVISED).read_text())
        names = told.pop("keeps")
        if _is_alive(Life(**told)):
            return list(names)
    except (OSError, ValueError, KeyError, TypeError):
        return list(by_settings)
    return list(by_settings)


def read(name: str, place: Path | None = None, *, now: float | None = None) -> list[Beat]:
    """Every file of a name, the most recent first; `now` in Unix seconds."""
    found = []
    for path in (place or folder()).glob(f"{name}-*.json"):
        try:
            life, touched = Life(**json.loads(path.read_text())), path.stat().st_mtime
        except (OSError, ValueError, TypeError):
            continue
        age = (time.time() if now is None else now) - touched
        # Either way: the clock may have been set back since.
        running = abs(age) <= SILENT and (life.host != socket.gethostname() or _is_alive(life))
        found.append(Beat(life.name, running, life.pid, life.host, round(age, 1)))
    return sorted(found, key=lambda beat: (not beat.running, beat.age_s))


def processes(names: Iterable[str], place: Path | None = None, *, now: float | None = None) -> list[Beat]:
    """The state of each expected process; one that was never seen has neither pid nor age."""
    states = []
    for name in names:
        files = [beat for beat in read(name, place, now=now) if beat.name == name]
        states.append(files[0] if files else Beat(name, running=False, pid=None, host="", age_s=None))
    return states


def _is_alive(life: Life) -> bool:
    try:
        process = psutil.Process(life.pid)
        is_same = abs(process.create_time() - life.start) < 1
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _path(beat: Beat, place: Path) -> Path:
    return place / f"{beat.name}-{beat.host}-{beat.pid}.json"


def _write(path: Path, document: dict[str, object]) -> None:
    """In one piece, so that no reader meets half of it."""
    half = path.with_suffix(".half")
    half.write_text(json.dumps(document))
    half.replace(path)
