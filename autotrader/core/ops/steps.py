"""Steps that do not end one another: each is tried, and what fails is logged, kept for the health, and told at the end.

What fails lies in files of the state folder, so that it can be told without a database.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connections
from django.utils.text import slugify

from autotrader.core.clock import system_now

logger = logging.getLogger(__name__)
BEGUN = ".begun"
FORGOTTEN = 300.0  # seconds without a new failure, after which a trouble says nothing of this moment
LONGEST = 300
# Seconds after which a step that was begun and has not ended is named: free work may take one and a half minutes, and
# after 150 s the queue ends the process, with what comes after that step.
HANGS = 120.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A step that fails: `since` is when it first did, ISO 8601 in UTC; `problem` is the last error."""

    step: str
    problem: str
    since: str

    @property
    def sentence(self) -> str:
        """For people."""
        since = datetime.fromisoformat(self.since)
        return f"The workers' step “{self.step}” fails since {since:%Y-%m-%d %H:%M} UTC: {self.problem}"


def run(steps: Mapping[str, Callable[[], object]]) -> None:
    """Take every step in its order, whatever becomes of the others. Raises one ExceptionGroup of what failed."""
    failed: list[Exception] = []
    for name, step in steps.items():
        begun = _begin(name)
        try:
            step()
        except Exception as error:
            logger.exception("the step %r failed; the others go on", name)
            failed.append(error)
            _renew_connections()
            _note(name, error)
        else:
            _clear(name)
        finally:
            _unlink(begun)
    if failed:
        raise ExceptionGroup("steps that failed, the others were taken", failed)


def troubles() -> list[Trouble]:
    """The steps that fail at this moment, by name, then those that hang. Never raises."""
    return [*_failing(), *_hanging()]


def _failing() -> list[Trouble]:
    found = []
    for path in sorted(_folder().glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            if time.time() - path.stat().st_mtime <= FORGOTTEN:
                found.append(Trouble(**json.loads(path.read_text())))
    return found


def _renew_connections() -> None:
    """A connection that has died must not take the next step with it."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _folder() -> Path:
    return Path(settings.AUTOTRADER_STATE_DIR) / "troubles"


def _path(name: str) -> Path:
    return _folder() / f"{slugify(name)}.json"


def _note(name: str, error: Exception) -> None:
    problem = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
    known = [trouble.since for trouble in troubles() if trouble.step == name]
    trouble = Trouble(name, problem, known[0] if known else system_now().isoformat())
    path = _path(name)
    half = path.with_suffix(".half")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        half.write_text(json.dumps(asdict(trouble)))
        half.replace(path)
    except OSError as reason:  # the log has it
        logger.warning("the trouble of %r cannot be kept: %s", name, reason)


def _clear(name: str) -> None:
    """It works: neither what failed before nor a process that died of it says anything of this moment."""
    _unlink(_path(name))
    for path in _folder().glob(f"{slugify(name)}.*{BEGUN}"):
        with suppress(OSError):
            if not _lives(path) or time.time() - path.stat().st_mtime > FORGOTTEN:
                _unlink(path)


def _begin(name: str) -> Path:
    """Write down that it was begun, by this thread; what a process leaves that is ended tells of a step that hung."""
    path = _folder() / f"{slugify(name)}.{os.getpid()}-{threading.get_ident()}{BEGUN}"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(name)
    except OSError as reason:
        logger.warning("the beginning of %r cannot be kept: %s", name, reason)
    return path


def _hanging() -> list[Trouble]:
    """Of each step the oldest beginning of late that has not come to an end."""
    found: dict[str, float] = {}
    for path in _folder().glob(f"*{BEGUN}"):
        with suppress(OSError, ValueError):
            name, began = path.read_text(), path.stat().st_mtime
            age = time.time() - began
            if HANGS < age <= FORGOTTEN and name:
                found[name] = min(began, found.get(name, began))
    return [
        Trouble(name, "it was begun and has not ended", datetime.fromtimestamp(began, UTC).isoformat())
        for name, began in sorted(found.items())
    ]


def _lives(path: Path) -> bool:
    """Whether the process that began there is still one, as far as this machine can tell."""
    try:
        os.kill(int(path.name.split(".")[1].partition("-")[0]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, IndexError, OverflowError):
        return False
    return True


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
