"""The owner's lock: an flock that the kernel releases at death; its text is the address book."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from broker.errors import BrokerUnavailable

# A reader's glance holds a shared lock for microseconds; an owner holds it for life.
GLANCE = 0.25


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock; `url` is empty where the owner serves no other process."""

    url: str
    pid: int
    build: str
    since: str
    command: str = ""

    def sentence(self) -> str:
        """For people: who owns the connection."""
        served = f"at {self.url}" if self.url else f"({self.command or 'a command'}), which serves no other process"
        return f"owned by pid {self.pid} {served}, since {self.since}"


class AlreadyOwned(BrokerUnavailable):
    """Another owner holds the lock; `holder` is None where it has not written who it is yet."""

    code = "ALREADY_OWNED"

    def __init__(self, path: Path, holder: Holder | None) -> None:
        who = holder.sentence() if holder else "owned by a process that is starting"
        super().__init__(f"The broker connection is {who}.", details={"lock": path.name})
        self.holder = holder


class Kept(BrokerUnavailable):
    """`manage.py up` starts the owner of this connection, so nobody else becomes it."""

    code = "STARTING"

    def __init__(self, pid: int) -> None:
        super().__init__(f"The broker's owner is being started by manage.py up (pid {pid}); ask again in a moment.")


def lock_path(state_dir: Path, host: str, port: int, client_id: int) -> Path:
    """One lock for each gateway and client id."""
    return state_dir / f"broker-{host.replace('/', '_')}-{port}-{client_id}.lock"


class HeldLock:
    """The lock while this process holds it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, holder: Holder) -> None:
        """Say who holds it, and where it answers."""
        text = json.dumps(asdict(holder)).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Give it up, leaving no address behind."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def take(path: Path) -> HeldLock:
    """Take the lock without waiting; raises AlreadyOwned naming the holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    limit = time.monotonic() + GLANCE
    while not _flock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > limit:
            os.close(descriptor)
            raise AlreadyOwned(path, _text(path))
        time.sleep(0.005)
    os.ftruncate(descriptor, 0)
    return HeldLock(path, descriptor)


def read(path: Path) -> Holder | None:
    """Who holds the lock now; None where nobody does. Raises AlreadyOwned for a holder without a text yet."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _flock(descriptor, fcntl.LOCK_SH):
            return None
    finally:
        os.close(descriptor)
    holder = _text(path)
    if holder is None:
        raise AlreadyOwned(path, None)
    return holder


def holder_of_this_process(url: str, build: str, now: datetime, command: str) -> Holder:
    """The text for a lock this process holds."""
    return Holder(url, os.getpid(), build, now.astimezone(UTC).isoformat(timespec="seconds"), command)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _text(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
