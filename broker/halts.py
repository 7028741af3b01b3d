"""The Halt, row and file: the stricter of both holds; the file is written first and goes last."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from autotrader.core.ops.crashpoints import crashpoint
from autotrader.core.ops.pace import paced
from broker import latch as latches
from broker.latch import Cancel, HaltState, Latch
from broker.models import Halt

logger = logging.getLogger(__name__)
# Who halts writes file and row himself; only what was left undone for so long is put right by others.
GRACE = 3.0
LONGEST_ACTOR = 80  # as the table has it; a longer name must not keep a halt out of it
NEW_INSTALLATION = "a new installation on a real gateway is halted until released"
NEW_BROKER = "nobody has released trading on this broker yet, only on another one"


@dataclass(frozen=True, slots=True)
class HaltReading:
    """The Halt in force, with who set it and why; `version` is the row's, 0 without a row.

    `cancel` is what it cancels and `cancelled_at` when the end of those orders was proven; `asked` and `confirmed`
    count them, None before the first was asked, and `working` names those in doubt. `seen` names exactly this Halt, so
    that a release can say which one it means; `run` names its cancels.
    """

    state: HaltState
    reason: str
    actor: str
    at: datetime | None
    version: int
    cancel: Cancel = ""
    cancelled_at: datetime | None = None
    seen: str = ""
    run: str = ""
    asked: int | None = None
    confirmed: int | None = None
    working: tuple[str, ...] = ()

    @property
    def is_cancelling(self) -> bool:
        """True while the end of what it cancels is not proven."""
        return bool(self.cancel) and self.cancelled_at is None


def halt_reading() -> HaltReading:
    """The stricter of the file latch and the row, for people; HALTED where either cannot be read."""
    file = latches.read(_state_dir())
    try:
        row = _of_row(Halt.objects.filter(pk=1).first())
    except DatabaseError as error:
        problem = f"the Halt cannot be read ({type(error).__name__})"
        row = HaltReading(HaltState.HALTED, problem, "system", None, 0)
        if file is not None and file.state == HaltState.HALTED:
            return _of_file(file, row)
    row = replace(row, seen=f"{row.version}.{file.mark if file else ''}", run=file.run if file else "")
    if file is None:
        return row
    if latches.stricter(file.state, row.state):
        return _of_file(file, row)
    return row if row.asked is not None else replace(row, **_cancels(file))


def halt_state() -> HaltState:
    """The stricter of the file latch and the row; HALTED where either cannot be read."""
    return halt_reading().state


def halt_set(state: HaltState | str, actor: str, reason: str, *, cancel: Cancel = "") -> HaltReading:
    """Tighten: file first, then row; a stricter state that is in force stays. ACTIVE releases.

    `cancel`: the owner ends these orders, and goes on after a restart until their end is proven. What was written to
    the file is in force even where the database then raises; where the file cannot be written, the row must hold.
    """
    wanted = HaltState(state)
    if wanted is HaltState.ACTIVE:
        return halt_release(actor, reason)
    wish = wish_of(wanted, actor, reason, cancel)
    try:
        latches.tighten(_state_dir(), wish)
    except OSError:
        logger.exception("the file latch cannot be written; the row must hold")
    crashpoint("halt_file")
    with audit.acting(actor=actor), audit.recording(point="halt_row"):
        _tighten_row(wish)
        _write_again(wish)
    return halt_reading()


def _write_again(wish: Latch) -> None:
    """Under the row's lock: a release that saw the file of a moment ago must not take this halt along."""
    found = latches.read(_state_dir())
    is_kept = found is not None and found.run == wish.run
    with suppress(OSError):
        latches.tighten(_state_dir(), replace(wish, mark=latches.new_mark(), cancel="" if is_kept else wish.cancel))


def wish_of(state: HaltState, actor: str, reason: str, cancel: Cancel) -> Latch:
    """A new wish, as of now."""
    run = latches.new_mark() if cancel else ""
    return Latch(state.value, actor[:LONGEST_ACTOR], reason, system_now(), cancel, mark=latches.new_mark(), run=run)


def halt_release(actor: str, reason: str, *, to: HaltState = HaltState.ACTIVE, seen: str | None = None) -> HaltReading:
    """Loosen row, then file; where a crash comes in between, `halt_sync` finishes it. A wish to cancel ends with it.

    `seen` names the Halt that is meant; None is whatever is in force. The file of another host goes once its owner
    compares it with the row. Raises Conflict: HALT_CHANGED where the Halt in force is not the one `seen`,
    LATCH_UNREADABLE where the file is none that a release may remove.
    """
    folder = _state_dir()
    with audit.acting(actor=actor), audit.recording(point="halt_release"):
        row = _locked_row()
        file = latches.read(folder)
        _refuse_release(row, file, seen)
        row.cancel, row.cancelled_at, row.asked, row.confirmed, row.working = "", None, None, None, []
        row.released_for = settings.AUTOTRADER_BROKER
        _write_row(row, to, actor, reason, system_now())
        wish = _wish_of_row(row)
        if file is not None:
            # Who reads both between the commit and the file's end must not take the file for a newer halt.
            latches.release_at(folder, file.mark, row.version)
        # Not before the row is committed.
        transaction.on_commit(lambda: _loosen_file(folder, file, wish))
    return halt_reading()


def halt_sync(*, grace: float = GRACE, kept: Latch | None = None) -> None:
    """Make row and file agree, the stricter one winning, and record what has become of the cancels.

    `grace`: the seconds that a halt has for writing its row itself. `kept`: the wish, with its progress, that an owner
    has in memory where the disk did not take it.
    """
    folder, before = _state_dir(), system_now() - timedelta(seconds=paced(grace))
    file, row = latches.read(folder), Halt.objects.filter(pk=1).first()
    if file is not None and file.problem:
        return  # it halts as long as it cannot be read, and no longer
    behind = _row_is_behind(row, file, before) or _file_is_behind(row, file) or _is_released(row, file)
    if not (behind or _is_news(row, kept or file) or _agrees_anew(row, file)):
        return
    with audit.recording(point="halt_sync"):
        row, file = _locked_row(), latches.read(folder)
        if file is not None and _is_released(row, file):
            # Its releaser is about to remove it, or died before it could.
            _loosen_file(folder, file, _wish_of_row(row))
            return
        if _row_is_behind(row, file, before) and file is not None:
            with audit.acting(actor=file.actor):
                row = _tighten_row(_own_wish(file))
        if _file_is_behind(row, file):
            file = _tighten_file(folder, row, file) or file
        if file is not None and _agrees_anew(row, file):
            file = latches.agree_at(folder, file.mark, row.version)
        told = kept or file
        if told is not None and _is_news(row, told):
            _record_progress(row, told)


def _wish_of_row(row: Halt, cancel: Cancel = "") -> Latch:
    """The row's halt as a wish, of the row's own time."""
    return replace(wish_of(HaltState(row.state), row.actor, row.reason, cancel), at=row.at)


def _tighten_file(folder: Path, row: Halt, file: Latch | None) -> Latch | None:
    """The row is locked until the file stands there, so that no release can come in between."""
    wish = _wish_of_row(row, _open_cancel(row))
    if file is not None and _is_unheld(row, file):  # it stays a newer halt than the row's
        wish = replace(wish, actor=file.actor, reason=file.reason, at=file.at)
    try:
        return latches.tighten(folder, wish)
    except OSError:
        logger.exception("the file latch cannot be written; the row holds")
        return None


def _state_dir() -> Path:
    return Path(settings.AUTOTRADER_STATE_DIR)


def _of_row(row: Halt | None) -> HaltReading:
    if row is not None:
        cancel: Cancel = row.cancel  # type: ignore[assignment]
        told = HaltReading(HaltState(row.state), row.reason, row.actor, row.at, row.version, cancel, row.cancelled_at)
        if _is_released_elsewhere(row):
            told = replace(told, state=HaltState.HALTED, reason=NEW_BROKER, actor="system")
        return replace(told, asked=row.asked, confirmed=row.confirmed, working=tuple(row.working))
    if settings.AUTOTRADER_BROKER == "paper":
        return HaltReading(HaltState.ACTIVE, "", "system", None, 0)
    return HaltReading(HaltState.HALTED, NEW_INSTALLATION, "system", None, 0)


def _is_released_elsewhere(row: Halt) -> bool:
    """What a person has released on the embedded gateway is no release of a real one."""
    real, released = settings.AUTOTRADER_BROKER != "paper", row.released_for == settings.AUTOTRADER_BROKER
    return real and not released and row.state != HaltState.HALTED


def _of_file(file: Latch, row: HaltReading) -> HaltReading:
    seen = f"{row.version}.{file.mark}"
    reading = HaltReading(HaltState(file.state), file.reason, file.actor, file.at, row.version, seen=seen, run=file.run)
    return replace(reading, **_cancels(file))


def _cancels(file: Latch) -> dict[str, Any]:
    """What the file knows of its cancels."""
    if file.asked_at is None:
        return {"cancel": file.cancel, "cancelled_at": None}
    names = ("cancel", "cancelled_at", "asked", "confirmed", "working")
    return {name: getattr(file, name) for name in names}


def _locked_row() -> Halt:
    """The row under its lock; without one, as a new installation has it, not saved yet."""
    known = _of_row(None)
    unsaved = {"state": known.state.value, "reason": known.reason, "actor": known.actor, "at": system_now()}
    row = Halt.objects.select_for_update().filter(pk=1).first()
    if row is None:
        Halt.objects.bulk_create([Halt(pk=1, version=0, **unsaved)], ignore_conflicts=True)
        row = Halt.objects.select_for_update().get(pk=1)
    return row


def _open_cancel(row: Halt) -> Cancel:
    cancel: Cancel = row.cancel if row.cancelled_at is None else ""  # type: ignore[assignment]
    return cancel


def _tighten_row(wish: Latch) -> Halt:
    """The stricter state and the larger wish to cancel into the row; asking for less than stands there is recorded."""
    row = _locked_row()
    if wish.cancel:
        row.cancel = latches.more(_open_cancel(row), wish.cancel)
        row.cancelled_at = row.asked = row.confirmed = None
        row.working = []
    if latches.stricter(row.state, wish.state):
        cause = f"{wish.state} was asked for, {row.state} stays: {wish.reason}"
        return _write_row(row, HaltState(row.state), row.actor, row.reason, row.at, cause=cause)
    return _write_row(row, HaltState(wish.state), wish.actor, wish.reason, wish.at or system_now())


def _own_wish(file: Latch) -> Latch:
    """The file's wish without cancels that had ended before it came: the row must not ask for them again."""
    is_older = file.cancelled_at is not None and file.at is not None and file.cancelled_at < file.at
    return replace(file, cancel="") if is_older else file


def _write_row(row: Halt, state: HaltState, actor: str, reason: str, at: datetime, *, cause: str = "") -> Halt:
    """Save the locked row, with its Event."""
    old = row.state if row.version else ""
    row.state, row.actor, row.reason, row.at = state.value, actor[:LONGEST_ACTOR], reason, at
    row.version += 1
    row.save()
    audit.record(
        EventType.HALT_CHANGED,
        "halt:1",
        version=row.version,
        old_state=old,
        new_state=row.state,
        cause=cause or reason,
        document={"cancel": row.cancel},
    )
    return row


def _refuse_release(row: Halt, file: Latch | None, seen: str | None) -> None:
    if file is not None and file.problem:
        raise Conflict(f"{file.problem}; put that right on its machine, then release.", code="LATCH_UNREADABLE")
    version = row.version
    if seen is not None and seen != f"{version}.{file.mark if file else ''}":
        raise Conflict("The Halt has changed since you looked; read why, then decide anew.", code="HALT_CHANGED")


def _loosen_file(folder: Path, file: Latch | None, wish: Latch) -> None:
    """Only the file that was seen goes: one that came since is another halt, and stays."""
    crashpoint("halt_loosening")
    try:
        if wish.state == HaltState.ACTIVE:
            latches.replace_with(folder, file.mark if file else "", None)
        elif file is not None:
            latches.replace_with(folder, file.mark, wish)
        else:
            latches.tighten(folder, wish)
    except OSError:
        logger.exception("the file latch could not be loosened; it goes on halting")


def _row_is_behind(row: Halt | None, file: Latch | None, before: datetime) -> bool:
    if file is None or (file.at is not None and file.at > before) or _is_released(row, file):
        return False
    if row is None:
        return True
    is_more = latches.stricter(file.state, row.state) or (file.is_cancelling and row.cancel != file.cancel)
    return is_more or _is_unheld(row, file)


def _is_unheld(row: Halt, file: Latch) -> bool:
    """True where the file has a newer halt, as strict as the row's, that the row never held.

    In the same words it is the row's own, which the owner of another host was told of a moment later.
    """
    if file.by_hand or file.agreed or file.released or file.at is None or file.state != row.state:
        return False
    later = timedelta(seconds=paced(GRACE) if _has_words_of(row, file) else 0)
    return file.at > row.at + later


def _has_words_of(row: Halt, file: Latch) -> bool:
    return (row.actor, row.reason, row.state) == (file.actor[:LONGEST_ACTOR], file.reason, file.state)


def _is_released(row: Halt | None, file: Latch | None) -> bool:
    """By the releaser's own note, or because the row held this wish once and is looser now: only a release loosens."""
    if row is None or file is None:
        return False
    is_looser = latches.stricter(file.state, row.state) or (bool(file.cancel) and not row.cancel)
    return 0 < file.released <= row.version or (is_looser and 0 < file.agreed < row.version)


def _agrees_anew(row: Halt | None, file: Latch | None) -> bool:
    """True where the row holds this very wish, not only one as strict, and the file does not say so yet."""
    if row is None or file is None or file.agreed or file.released or file.by_hand or file.problem:
        return False
    is_same = file.at is not None and _has_words_of(row, file) and not _is_unheld(row, file)
    return is_same and (not file.cancel or row.cancel == file.cancel)


def _file_is_behind(row: Halt | None, file: Latch | None) -> bool:
    if row is None or row.state == HaltState.ACTIVE:
        return False
    if file is None or latches.stricter(row.state, file.state):
        return True
    # A full disk kept the halt and not what it was to cancel; or an owner elsewhere has a file of its own.
    return latches.more(_open_cancel(row), file.cancel) != file.cancel or _is_of_before(row, file)


def _is_of_before(row: Halt, file: Latch) -> bool:
    """True where the file's cancels had ended before the row's halt came: they say nothing of its own."""
    return bool(_open_cancel(row)) and file.cancelled_at is not None and file.cancelled_at < row.at


def _is_news(row: Halt | None, file: Latch | None) -> bool:
    """True where the cancels are further on than the row tells."""
    if file is None or file.asked_at is None or row is None or row.cancel != file.cancel or not file.cancel:
        return False
    if _is_of_before(row, file):
        return False
    if row.cancelled_at and not file.cancelled_at and file.at and file.at <= row.cancelled_at:
        return False  # a full disk did not take the end, which its owner has told
    told = (row.asked, row.confirmed, tuple(row.working), row.cancelled_at)
    return told != (file.asked, file.confirmed, file.working, file.cancelled_at)


def _record_progress(row: Halt, file: Latch) -> None:
    """Events for the first cancels and for the end of them; the numbers in between only in the row."""
    steps = [(EventType.HALT_CANCELS_ASKED, row.asked is None)]
    steps.append((EventType.HALT_CANCELS_CONFIRMED, row.cancelled_at is None and file.cancelled_at is not None))
    row.asked, row.confirmed, row.working = file.asked, file.confirmed, list(file.working)
    row.cancelled_at = file.cancelled_at
    row.save(update_fields=["asked", "confirmed", "working", "cancelled_at"])
    numbers = {name: getattr(file, name) for name in ("cancel", "asked", "confirmed", "working", "kept", "owner")}
    with audit.acting(actor=file.actor, correlation_id=f"halt.{file.run}"):
        for kind, is_due in steps:
            if is_due:
                audit.record(kind, "halt:1", version=row.version, cause=file.reason, document=numbers)
