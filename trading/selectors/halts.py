"""The kill switch for people: what is in force, what still works by our records, and who did what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q

from autotrader.core.audit.models import Event
from broker.gates import HaltReading, halt_reading
from trading.models import Order
from trading.models.account import AccountKind
from trading.models.order import AT_BROKER, Role

SUBJECT = "halt:1"
AT_A_BROKER = (AccountKind.PAPER, AccountKind.LIVE)


@dataclass(frozen=True, slots=True)
class HaltStory:
    """`entries` and `closing` count orders at the broker by our records; `events` are the newest first."""

    reading: HaltReading
    entries: int
    closing: int
    events: Sequence[Event]


def halt_story(events: int = 10) -> HaltStory:
    """Two queries beside the reading's own."""
    working = Order.objects.filter(state__in=AT_BROKER, account__kind__in=AT_A_BROKER)
    counted = working.aggregate(
        entries=Count("pk", filter=Q(role=Role.ENTRY)), closing=Count("pk", filter=~Q(role=Role.ENTRY))
    )
    told = Event.objects.filter(subject=SUBJECT).order_by("-seq")[:events]
    return HaltStory(halt_reading(), counted["entries"], counted["closing"], list(told))
