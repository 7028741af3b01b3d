"""Anchors: the chain's head, signed and written down outside the database, so that even a chain written anew shows."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.shipping import ship
from autotrader.core.errors import AutoTraderError, Conflict

EVERY = timedelta(minutes=5)
SEND_S = 30.0  # for all ways together; a host that answers a byte at a time would hold up the workers' wake
FILE = "anchors.jsonl"
FILE_SUBJECT = "anchor:file"


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

    with _exclusively() as file:
        head = AuditHead.objects.get(pk=1)  # not before: another taker may meanwhile have anchored a later one
        known = _checked(_whole_lines(file))
        if known and head.seq < known[-1].seq:
            # Written down, this line would spoil what the file still proves.
            raise AnchorsBroken(
                f"The log has {head.seq} rows, but row {known[-1].seq} was anchored at {known[-1].at}: an older copy "
                "runs. Where a person has restored it, begin a new file: manage.py anchor_audit --begin-anew."
            )
        before = known[-1].signature if known else ""
        anchor = Anchor(head.seq, head.hash, now.isoformat(), socket.gethostname(), before).signed()
        file.write(json.dumps(asdict(anchor)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    problems = _within(SEND_S, partial(send, anchor))
    if problems:
        with audit.acting(actor="anchors"), audit.recording():
            audit.record(EventType.AUDIT_ANCHOR_FAILED, f"anchor:{anchor.seq}", cause="; ".join(problems))
    return anchor


def _within(seconds: float, send: Callable[[], list[str]]) -> list[str]:
    """What `send` tells, or that it has not ended in time; it is left to its thread then."""
    told: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def run() -> None:
        try:
            told.put(send())
        except Exception as error:
            told.put([f"{type(error).__name__}: {error}"])

    threading.Thread(target=run, name="anchor", daemon=True).start()
    try:
        return told.get(timeout=seconds)
    except queue.Empty:
        return [f"it was not sent within {seconds:g} s"]


def anchor_if_due(now: datetime) -> None:
    """Take the anchor that is due. What hinders it is raised each time, and recorded once until one is taken again."""
    if not anchor_due(now):
        return
    try:
        anchor_take(now)
    except (AnchorsBroken, OSError) as error:
        _record_once(str(error), now)
        raise


def anchors_begin_anew(actor: str, reason: str, now: datetime) -> tuple[Anchor, Path]:
    """Set the file aside and take the first anchor of a new one; answers that and where the old file lies.

    For a log that a person has restored from a copy, or a secret key that was changed. Raises Conflict where the file
    fits the log, since then nothing calls for it.
    """
    with _exclusively():
        if not _misfit():
            raise Conflict("The anchors fit the log; there is nothing to begin anew.")
        old = anchors_path().with_name(f"anchors-until-{now:%Y%m%dT%H%M%S}.jsonl")
        anchors_path().rename(old)
    with audit.acting(actor=actor), audit.recording():
        audit.record(
            EventType.AUDIT_ANCHOR_FAILED, FILE_SUBJECT, cause=f"begun anew, the old file is {old.name}: {reason}"
        )
    return anchor_take(now), old


def _misfit() -> bool:
    """True where the file is broken, or the log is not the one that was anchored."""
    from autotrader.core.audit.models import Event

    try:
        known = anchors_read()
    except AnchorsBroken:
        return True
    return any(not Event.objects.filter(seq=row.seq, hash=row.hash).exists() for row in known[-1:] if row.seq)


def _record_once(cause: str, now: datetime) -> None:
    from autotrader.core.audit.models import Event

    told = Event.objects.filter(type=EventType.AUDIT_ANCHOR_FAILED, subject=FILE_SUBJECT)
    age = anchor_age(now)
    if not (told.filter(cause=cause) if age is None else told.filter(at__gt=now - age)).exists():
        with audit.acting(actor="anchors"), audit.recording():
            audit.record(EventType.AUDIT_ANCHOR_FAILED, FILE_SUBJECT, cause=cause)


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
