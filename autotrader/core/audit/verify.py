"""Walk the chain and the anchors of it, and name the first row that does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from autotrader.core.audit.anchors import Anchor, AnchorsBroken, anchors_read
from autotrader.core.audit.chain import HASHED_FIELDS, instant, row_hash
from autotrader.core.audit.models import GENESIS, AuditHead, Event

CHUNK = 5000
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result: how many rows were read, how many anchors fit, and if anything is broken, where first and why."""

    rows: int
    bad_seq: int | None = None
    reason: str = ""
    anchors: int = 0

    @property
    def ok(self) -> bool:
        """True where every row, the head and every anchor fit."""
        return self.bad_seq is None


def verify_chain(anchors: Sequence[Anchor] | None = None) -> Verdict:
    """Recompute every hash in order of `seq`, then compare with the head and with the anchors.

    `anchors` in the order they were taken; those of the settings' folder where none are given. An anchor is what a
    chain that was written anew, or put back to an older state, cannot fit.
    """
    try:
        known = list(anchors_read() if anchors is None else anchors)
    except AnchorsBroken as error:
        return Verdict(0, 0, error.message)
    return _walk(known)


def _walk(anchors: Sequence[Anchor]) -> Verdict:
    wanted: dict[int, list[Anchor]] = {}
    for anchor in anchors:  # a quiet chain is anchored at one row again and again
        wanted.setdefault(anchor.seq, []).append(anchor)
    previous, seq, fitting = GENESIS, 0, 0
    while True:
        for row in _rows(seq):
            seq += 1
            reason = _fault(row, seq, previous)
            if reason:
                return Verdict(seq, row[0], reason)
            previous = row[-1]
            for anchor in wanted.get(seq, ()):
                if anchor.hash != previous:
                    return Verdict(seq, *_rewritten(anchor, anchors))
            fitting += seq in wanted
        head = AuditHead.objects.filter(pk=1).first()
        if head is None:
            return Verdict(seq, seq, "the head row is missing")
        if head.seq <= seq or not Event.objects.filter(seq=seq + 1).exists():
            break  # else somebody has written meanwhile: go on with those rows
    if (head.seq, head.hash) != (seq, previous):
        return Verdict(seq, min(head.seq, seq) + 1, f"the head says {head.seq} rows, the table ends at {seq}")
    return _beyond(seq, fitting, anchors)


def _beyond(seq: int, fitting: int, anchors: Sequence[Anchor]) -> Verdict:
    """An anchor after the last row: the table is an older copy, or was cut together with its head."""
    last = max(anchors, key=lambda anchor: anchor.seq, default=None)
    if last is not None and last.seq > seq:
        reason = f"the table ends at row {seq}, but row {last.seq} was anchored at {last.at}: rows were taken away"
        return Verdict(seq, seq + 1, reason)
    return Verdict(seq, anchors=fitting)


def _rewritten(anchor: Anchor, anchors: Sequence[Anchor]) -> tuple[int, str]:
    before = max((other.seq for other in anchors if other.seq < anchor.seq), default=0)
    reason = f"rows {before + 1} to {anchor.seq} are not those that were anchored at {anchor.at}: written anew"
    return before + 1, reason


def _rows(last: int) -> Iterator[Row]:
    """(seq, at, market_at, the hashed fields, previous_hash, hash) after `last`, in order; times as the hash has them.

    Read past the models: a million rows are walked in seconds.
    """
    table = Event._meta.db_table
    # As text on SQLite: made into datetimes and back, the two times would cost more than the hash.
    times, moment = (
        ("at || '', market_at || ''", _from_text)
        if connection.vendor == "sqlite"
        else ("at, market_at", _from_datetime)
    )
    names = ", ".join(("seq", times, *HASHED_FIELDS, "previous_hash", "hash"))
    while True:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {names} FROM {table} WHERE seq > %s ORDER BY seq LIMIT {CHUNK}", [last])
            rows = cursor.fetchall()
        for row in rows:
            yield row[0], moment(row[1]), moment(row[2]), *row[3:]
        if len(rows) < CHUNK:
            return
        last = rows[-1][0]


def _from_datetime(value: datetime | None) -> str | None:
    return None if value is None else instant(value)


def _from_text(value: str | None) -> str | None:
    """SQLite keeps `2019-06-03 20:00:00[.ffffff]`, UTC."""
    if value is None:
        return None
    day, _, time = value.partition(" ")
    whole, _, fraction = time.partition(".")
    return f"{day}T{whole}.{fraction:0<6}+00:00"


def _fault(row: Row, seq: int, previous: str) -> str:
    if row[0] != seq:
        return f"row {seq} is missing"
    if row[-2] != previous:
        return "the link to the row before is broken"
    try:
        digest = row_hash(previous, *row[:-2])
    except (TypeError, UnicodeEncodeError):
        return "the row holds what no event does"
    return "" if digest == row[-1] else "the content does not match the hash"
