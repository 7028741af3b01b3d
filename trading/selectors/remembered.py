"""Figures of history that are reckoned once for as long as nothing they are made of has changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from django.db.models import Subquery

from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import AuditHead, Event

T = TypeVar("T")
# Every change of a trade or a fill is one of these, in the same commit.
CHANGES = (
    EventType.TRADE_OPENED,
    EventType.TRADE_CHANGED,
    EventType.TRADE_CLOSED,
    EventType.FILL_BOOKED,
    EventType.FILL_CORRECTED,
    EventType.FILL_COMMISSION,
)


class Slot(Generic[T]):
    """One value and the lock under which it is made: who asks meanwhile waits for it and does not make it too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.mark: Hashable = None
        self.value: T | None = None


class Shelf(Generic[T]):
    """The slots of the keys that were asked for last, at most `room` of them; of this process alone."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._slots: OrderedDict[Hashable, Slot[T]] = OrderedDict()
        self._lock = threading.Lock()

    def slot(self, key: Hashable) -> Slot[T]:
        """The slot of this key."""
        with self._lock:
            found = self._slots.setdefault(key, Slot())
            self._slots.move_to_end(key)
            while len(self._slots) > self._room:
                self._slots.popitem(last=False)
            return found

    def remembered(self, key: Hashable, mark: Hashable, reckon: Callable[[], T]) -> T:
        """What `reckon` gives for this key; reckoned anew where `mark` is another than it was then."""
        slot = self.slot(key)
        with slot.lock:
            if slot.value is None or slot.mark != mark:
                slot.value, slot.mark = reckon(), mark
            return slot.value


def trades_mark() -> Hashable:
    """Names the state of all trades and fills, by the hashes of the newest events of each kind; one query."""
    newest = {
        f"newest_{kind.lower()}": Subquery(Event.objects.filter(type=kind).order_by("-seq").values("hash")[:1])
        for kind in CHANGES
    }
    return AuditHead.objects.annotate(**newest).values_list(*newest).first()
