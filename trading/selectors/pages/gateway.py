"""What our rows tell of the connection to the broker: its history, the last look at its book, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autotrader.core.audit.models import AuditHead, Event
from trading.models import Discrepancy, Reconciliation
from trading.selectors.lanes import Waiting, waiting

CONNECTION = "broker:connection"
SHOWN_EVENTS = 30
SHOWN_DISCREPANCIES = 50


@dataclass(frozen=True, slots=True)
class Recorded:
    """The number of the log's last event, None where the log has no head, and what waits for the workers."""

    head: int | None
    lanes: Sequence[Waiting]


@dataclass(frozen=True, slots=True)
class Compared:
    """The last complete look at each account's book, and the open differences, those that block first.

    `more` counts open differences that are not among the rows.
    """

    looks: Sequence[Reconciliation]
    rows: Sequence[Discrepancy]
    more: int


def events_recorded() -> Recorded:
    """Five queries. Raises DatabaseError."""
    return Recorded(AuditHead.objects.filter(pk=1).values_list("seq", flat=True).first(), waiting())


def connection_events(limit: int = SHOWN_EVENTS) -> list[Event]:
    """What is on record of the connection, newest first; one query."""
    return list(Event.objects.filter(subject=CONNECTION).order_by("-seq")[:limit])


def compared() -> Compared:
    """Three queries."""
    found = Discrepancy.objects.filter(state="OPEN")
    rows = list(found.select_related("order", "instrument").order_by("-blocking", "id")[:SHOWN_DISCREPANCIES])
    looks = list(Reconciliation.objects.order_by("account_id"))
    return Compared(looks, rows, found.count() - len(rows))
