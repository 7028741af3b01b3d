"""Walk the chain and name the first row that does not fit."""

from __future__ import annotations

from dataclasses import dataclass

from autotrader.core.audit.chain import HASHED_FIELDS, event_hash
from autotrader.core.audit.models import GENESIS, AuditHead, Event


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result: how many rows were read and, if the chain is broken, where first and why."""

    rows: int
    bad_seq: int | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """True where every row and the head fit."""
        return self.bad_seq is None


def verify_chain() -> Verdict:
    """Recompute every hash in order of `seq`, then compare with the head."""
    previous, seq = GENESIS, 0
    for event in Event.objects.order_by("seq").iterator(chunk_size=2000):
        seq += 1
        reason = _fault(event, seq, previous)
        if reason:
            return Verdict(seq, event.seq, reason)
        previous = event.hash
    head = AuditHead.objects.filter(pk=1).first()
    if head is None:
        return Verdict(seq, seq, "the head row is missing")
    if (head.seq, head.hash) != (seq, previous):
        return Verdict(seq, min(head.seq, seq) + 1, f"the head says {head.seq} rows, the table ends at {seq}")
    return Verdict(seq)


def _fault(event: Event, seq: int, previous: str) -> str:
    if event.seq != seq:
        return f"row {seq} is missing"
    if event.previous_hash != previous:
        return "the link to the row before is broken"
    fields = {name: getattr(event, name) for name in HASHED_FIELDS}
    if event_hash(previous, seq, event.at, event.market_at, fields) != event.hash:
        return "the content does not match the hash"
    return ""
