"""Anchors: the chain's head, signed and written down outside the database, so that even a chain written anew shows."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.shipping import ship
from autotrader.core.errors import AutoTraderError

EVERY = timedelta(minutes=5)
FILE = "anchors.jsonl"


class AnchorsBroken(AutoTraderError):
    """The file of anchors was changed: find out by whom, compare with the copies that were sent elsewhere."""

    code = "ANCHORS_BROKEN"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The chain had `seq` rows at `at` (system's time), and `hash` was the last one's.

    `previous` is the signature of the anchor before; `signature` is over all of it, with a key that stands in no table.
    """

    seq: int
    hash: str
    at: str
    host: str
    previous: str
    signature: str = ""

    def signed(self) -> Anchor:
        """This anchor with its signature."""
        return Anchor(self.seq, self.hash, self.at, self.host, self.previous, self._signature())

    @property
    def is_genuine(self) -> bool:
        """True where the signature fits."""
        return constant_time_compare(self.signature, self._signature())

    def _signature(self) -> str:
        text = json.dumps([self.seq, self.hash, self.at, self.host, self.previous])
        return salted_hmac("audit.anchor", text, algorithm="sha256").hexdigest()


def anchors_path() -> Path:
    """The file that anchors are appended to."""
    return Path(settings.AUTOTRADER_ANCHOR_DIR) / FILE


def anchors_read(path: Path | None = None) -> list[Anchor]:
    """All anchors, oldest first; none where no file is. Raises AnchorsBroken where a line was changed or lost.

    A last line that a crash has cut off is left out: the next anchor begins anew after it.
    """
    try:
        lines = (path or anchors_path()).read_text().split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise AnchorsBroken(f"The anchors cannot be read: {error}.") from error
    return _checked(lines[:-1])


def _checked(lines: list[str]) -> list[Anchor]:
    anchors: list[Anchor] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            anchor = Anchor(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise AnchorsBroken(f"Line {number} of the anchors is none.") from error
        if not anchor.is_genuine:
            raise AnchorsBroken(f"Line {number} of the anchors (row {anchor.seq}) has a false signature.")
        if anchor.previous != (anchors[-1].signature if anchors else ""):
            raise AnchorsBroken(f"Before line {number} of the anchors (row {anchor.seq}) a line is missing.")
        if anchors and anchor.seq < anchors[-1].seq:
            raise AnchorsBroken(f"Line {number} of the anchors has fewer rows than the one before: an older copy ran.")
        anchors.append(anchor)
    return anchors


def anchor_take(now: datetime, *, send: Callable[[Anchor], list[str]] = ship) -> Anchor:
    """Write down the head of this moment, then send it where the settings say. Raises AnchorsBroken.

    The line is on disk before anything is sent; what could not be sent is recorded as AUDIT_ANCHOR_FAILED.
    """
    from autotrader.core.audit.models import AuditHead

    head = AuditHead.objects.get(pk=1)
    with _exclusively() as file:
        known = _checked(_whole_lines(file))
        before = known[-1].signature if known else ""
        anchor = Anchor(head.seq, head.hash, now.isoformat(), socket.gethostname(), before).signed()
        file.write(json.dumps(asdict(anchor)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    problems = send(anchor)
    if problems:
        with audit.acting(actor="anchors"), audit.recording():
            audit.record(EventType.AUDIT_ANCHOR_FAILED, f"anchor:{anchor.seq}", cause="; ".join(problems))
    return anchor


def anchor_due(now: datetime) -> bool:
    """True where the last anchor is five minutes old, or there is none."""
    taken = anchor_age(now)
    return taken is None or taken >= EVERY


def anchor_age(now: datetime) -> timedelta | None:
    """How long ago the last anchor was taken; None without any. By the file's own time, which costs no reading."""
    try:
        written = anchors_path().stat().st_mtime
    except OSError:
        return None
    return timedelta(seconds=max(0.0, now.timestamp() - written))


@contextmanager
def _exclusively() -> Iterator[IO[str]]:
    """The file under a lock of the kernel: two processes that are due at once write one after the other."""
    path = anchors_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _whole_lines(file: IO[str]) -> list[str]:
    """The lines there are; one that a crash has cut off is taken away."""
    file.seek(0)
    text = file.read()
    whole = text.rpartition("\n")[0]
    if text and not text.endswith("\n"):
        file.truncate(len((whole + "\n").encode()) if whole else 0)
    return whole.split("\n") if whole else []
