"""Reading the log as it grows: each event once and in order, however its writers overlapped.

A reader that asks for `id > last` loses rows where numbers are drawn before the commit: a later number may be
committed first, and the earlier one is skipped for good. Here a number is drawn under the lock of the one AuditHead
row, which its writer holds until it has committed or rolled back, and the head's own number moves in the same
transaction. So no number is drawn while a smaller one is undecided: what a reader sees has no gap, nor could one be
filled later.
"""

from __future__ import annotations

from collections.abc import Sequence

from autotrader.core.audit.models import Event
from autotrader.core.errors import AutoTraderError


class TailBroken(AutoTraderError):
    """A row between two others is not there: run `manage.py verify_audit`, and restore the database."""

    code = "AUDIT_GAP"
    status = 500


def read_after(seq: int, limit: int = 500) -> Sequence[Event]:
    """The committed events after `seq`, oldest first, at most `limit`; the next call goes on from the last one's.

    Raises TailBroken where one is missing, rather than to skip it.
    """
    rows = list(Event.objects.filter(seq__gt=seq).order_by("seq")[:limit])
    for expected, row in enumerate(rows, start=seq + 1):
        if row.seq != expected:
            raise TailBroken(f"Event {expected} is missing before {row.seq}.", details={"seq": expected})
    return rows
