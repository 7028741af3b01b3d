"""The kill switch's file: written before anything else, read last before every frame; needs no database."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from broker.codec import CodecError, from_json, to_json

Cancel = Literal["", "entries", "all"]
CANCELS: tuple[Cancel, ...] = ("", "entries", "all")
LARGEST = 256 * 1024
# Who changes the file holds its lock for microseconds; a halt waits no longer than this for it, then goes ahead.
LOCK_LIMIT = 0.05


class HaltState(StrEnum):
    """ACTIVE: everything may leave. REDUCING: only what reduces a position. HALTED: only protective stops."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


STRICTNESS = (HaltState.ACTIVE, HaltState.REDUCING, HaltState.HALTED)


@dataclass(frozen=True, slots=True)
class Latch:
    """What the file says. A file that cannot be read is HALTED, with `problem` telling why.

    `mark` changes with every halt, `run` with every wish to cancel that is new; neither changes with the progress.
    `owner` is who took the cancels up; `asked` and `confirmed` count orders, `working` names those whose end is not
    proven and `kept` those that stay on purpose. `by_hand`: a person made the file, it halts whatever it says.
    `released`: the version of the row whose commit releases this wish; 0 where none does. `agreed`: the version of the
    row that held this wish already; a row that is looser since then was released, on whichever host; 0 where none did.
    """

    state: str
    actor: str
    reason: str
    at: datetime | None = None
    cancel: Cancel = ""
    mark: str = ""
    run: str = ""
    owner: str = ""
    asked_at: datetime | None = None
    asked: int = 0
    confirmed: int = 0
    working: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    cancelled_at: datetime | None = None
    problem: str = ""
    by_hand: bool = False
    released: int = 0
    agreed: int = 0

    @property
    def is_cancelling(self) -> bool:
        """True while orders are to be cancelled and their end is not proven."""
        return bool(self.cancel) and self.cancelled_at is None


def path_of(state_dir: Path) -> Path:
    """The file: its existence means that something is halted, whatever it says."""
    return state_dir / "HALT"


def read(state_dir: Path) -> Latch | None:
    """What is in force by the file; None where it is proven that there is none. Never raises."""
    path = path_of(state_dir)
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None if state_dir.is_dir() else _odd(f"{state_dir} is missing", "missing")
    except OSError as error:
        return _odd(f"{path} cannot be read ({error.strerror})", "unreadable")
    mark = f"{found.st_ino}.{found.st_mtime_ns}"
    if not stat.S_ISREG(found.st_mode):
        return _odd(f"{path} is no plain file", mark)
    try:
        text = _text(path)
    except FileNotFoundError:  # released since we looked
        return read(state_dir)
    except OSError as error:
        return _odd(f"{path} cannot be read ({error.strerror})", mark)
    return _understood(path, text, mark)


def tighten(state_dir: Path, wish: Latch) -> Latch:
    """Write the wish, or what is stricter already: nothing is ever loosened here. Answers what is in force now.

    A full disk halts as well, but may keep no wish to cancel: `carries` tells. Raises OSError where not even an empty
    file could be made: then the file does not halt as was wished.
    """
    return tightened(state_dir, wish)[0]


def tightened(state_dir: Path, wish: Latch) -> tuple[Latch, Latch]:
    """As `tighten`; and what the file was to say, with a larger wish to cancel that stood there: a full disk loses it,
    and who asked does it instead."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with _alone(state_dir):
        found = read(state_dir)
        merged = _merged(found, wish)
        try:
            _write(state_dir, merged)
        except OSError:
            return _by_force(state_dir, found, merged), merged
    return merged, merged


def carries(stands: Latch, wish: Latch) -> bool:
    """True where the cancels of the wish will be done by who reads the file: as its own run, or with one under way."""
    if not wish.cancel or stands.run == wish.run:
        return True
    return stands.is_cancelling and more(stands.cancel, wish.cancel) == stands.cancel


def note(state_dir: Path, run: str, **progress: Any) -> Latch | None:
    """Keep the progress of the cancels in the file; None where another wish to cancel stands there by now, or none."""
    with _alone(state_dir):
        found = read(state_dir)
        if found is None or not run or found.run != run:
            return None
        changed = replace(found, **progress)
        with suppress(OSError):
            _write(state_dir, changed)
        return changed


def replace_with(state_dir: Path, mark: str, latch: Latch | None) -> bool:
    """Loosen: put `latch` in the place of the wish of that mark, None = remove it. False where another stands there."""
    with _alone(state_dir):
        found = read(state_dir)
        if found is None or found.mark != mark:
            return found is None and latch is None
        if latch is None:
            path_of(state_dir).unlink(missing_ok=True)
            _sync_folder(state_dir)
        else:
            _write(state_dir, latch)
    return True


def release_at(state_dir: Path, mark: str, version: int) -> None:
    """Say in the file which version of the row releases the wish of that mark; until it is removed, it halts."""
    with _alone(state_dir):
        found = read(state_dir)
        if found is not None and found.mark == mark and not found.problem and not found.by_hand:
            with suppress(OSError):
                _write(state_dir, replace(found, released=version))


def agree_at(state_dir: Path, mark: str, version: int) -> Latch | None:
    """Say in the file which version of the row held the wish of that mark too; what the file says now."""
    with _alone(state_dir):
        found = read(state_dir)
        if found is not None and found.mark == mark and not found.problem and not found.by_hand:
            with suppress(OSError):
                _write(state_dir, replace(found, agreed=version))
                return replace(found, agreed=version)
        return found


def new_mark() -> str:
    """A name for one wish."""
    return uuid.uuid4().hex[:16]


def stricter(one: str, other: str) -> bool:
    """True where state `one` lets less pass than `other`."""
    return STRICTNESS.index(HaltState(one)) > STRICTNESS.index(HaltState(other))


def more(one: Cancel, other: Cancel) -> Cancel:
    """The wish that cancels more."""
    return max(one, other, key=CANCELS.index)


def _merged(found: Latch | None, wish: Latch) -> Latch:
    """The stricter state and the larger wish to cancel; a run of cancels that is under way is joined."""
    if found is None:
        return wish
    base = found if stricter(found.state, wish.state) else wish
    joins = found.is_cancelling and more(found.cancel, wish.cancel) == found.cancel
    if joins or not wish.cancel:
        told = {name: getattr(found, name) for name in RUNNING}
    else:
        told = {name: getattr(wish, name) for name in RUNNING}
    return replace(base, mark=wish.mark, problem="", by_hand=False, released=0, agreed=0, **told)


RUNNING = ("cancel", "run", "owner", "asked_at", "asked", "confirmed", "working", "kept", "cancelled_at")


def _by_force(state_dir: Path, found: Latch | None, merged: Latch) -> Latch:
    """A disk that is full may still take an empty file, and an empty file halts; one that is older may say less.

    A file that halts as strictly already, and has cancels under way, stays: they would be lost. One that is empty stays
    as it is: to empty it again would make it another halt than the one that somebody looked at.
    """
    written = read(state_dir)
    if written is not None and written.mark == merged.mark:  # only the folder could not be synced
        return written
    is_enough = found is not None and (bool(found.problem) or found.by_hand)
    if not is_enough and (found is None or not found.is_cancelling or stricter(merged.state, found.state)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        os.close(os.open(path_of(state_dir), flags, 0o644))
        with suppress(OSError):
            _sync_folder(state_dir)
    return read(state_dir) or merged


def _odd(problem: str, mark: str) -> Latch:
    return Latch("HALTED", "file", problem, mark=mark, problem=problem)


def _understood(path: Path, text: str, mark: str) -> Latch:
    """A file that a person made by hand halts as well, and may be released as any other."""
    by_hand = Latch("HALTED", "file", f"{path} exists", mark=mark, by_hand=True)
    try:
        told = json.loads(text)
        known = {field.name for field in fields(Latch)}
        latch: Latch = from_json(Latch, {name: value for name, value in told.items() if name in known})
    except (ValueError, AttributeError, CodecError, RecursionError):
        return by_hand
    if latch.state not in (HaltState.REDUCING, HaltState.HALTED) or latch.problem:
        return by_hand
    return latch if latch.mark else replace(latch, mark=mark)


def _text(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, LARGEST).decode(errors="replace")
    finally:
        os.close(descriptor)


def _write(state_dir: Path, latch: Latch) -> None:
    """Whole or not at all, and on the disk when this returns."""
    temporary = state_dir / f".HALT.{os.getpid()}.{threading.get_ident()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        try:
            text = json.dumps(to_json(latch)).encode()
            if os.write(descriptor, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path_of(state_dir))
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(state_dir)


def _sync_folder(state_dir: Path) -> None:
    descriptor = os.open(state_dir, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """One change of the file at a time. Goes ahead after a moment: a frozen process must not keep a halt from us."""
    descriptor = -1
    try:
        with suppress(OSError):
            descriptor = os.open(state_dir / "HALT.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + LOCK_LIMIT
        while descriptor >= 0 and not _locked(descriptor) and time.monotonic() < deadline:
            time.sleep(0.001)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
