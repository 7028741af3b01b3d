"""What the admin's first page tells of the machine: the lanes' work, what failed today and how the log is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from trading.selectors.lanes import Waiting, waiting

FAILURES = (
    ("Cycles failed", EventType.CYCLE_FAILED),
    ("Executions failed", EventType.EXECUTION_FAILED),
    ("Steps failed", EventType.STEP_FAILED),
    ("Sendings failed", EventType.DISPATCH_FAILED),
    ("Orders refused", EventType.ORDER_REFUSED),
    ("Orders rejected", EventType.ORDER_REJECTED),
    ("Requests refused", EventType.ORDER_REQUEST_REFUSED),
    ("Broker messages failed", EventType.BROKER_MESSAGE_FAILED),
)


@dataclass(frozen=True, slots=True)
class Failed:
    """One kind of failure since midnight UTC; `type` is the event's that tells of it."""

    title: str
    type: str
    count: int


@dataclass(frozen=True, slots=True)
class Console:
    """The lanes, and today's failures; `since` is the beginning of the day, `until` its end, in UTC."""

    lanes: Sequence[Waiting]
    failed: Sequence[Failed]
    since: datetime
    until: datetime

    @property
    def failures(self) -> int:
        """All of today's together."""
        return sum(kind.count for kind in self.failed)


def console(now: datetime) -> Console:
    """As of `now`; by our records, replays included."""
    since = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Console(waiting(), _failed(since), since, since + timedelta(days=1))


def _failed(since: datetime) -> list[Failed]:
    """By the log's own index: the day's first event, then of each type what came after it."""
    first = Event.objects.filter(at__gte=since).order_by("at", "seq").values_list("seq", flat=True).first()
    counts: dict[str, int] = {}
    if first is not None:
        events = Event.objects.filter(type__in=[kind.value for _, kind in FAILURES], seq__gte=first)
        counts = dict(events.order_by().values_list("type").annotate(count=Count("seq")))
    return [Failed(title, kind.value, counts.get(kind.value, 0)) for title, kind in FAILURES]
