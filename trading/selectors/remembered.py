"""Figures of history that are reckoned once for as long as nothing they are made of has changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from trading.models import AccountSnapshot

T = TypeVar("T")
KEPT = 64  # results a process
# Every change of a trade or a fill is one of these, in the same commit.
CHANGES = (
    EventType.TRADE_OPENED,
    EventType.TRADE_CHANGED,
    EventType.TRADE_CLOSED,
    EventType.FILL_BOOKED,
    EventType.FILL_CORRECTED,
    EventType.FILL_COMMISSION,
)
_kept: OrderedDict[Hashable, tuple[Hashable, object]] = OrderedDict()
_lock = threading.Lock()


def remembered(account_id: str, key: Hashable, reckon: Callable[[], T]) -> T:
    """What `reckon` gives for this key; reckoned anew once a snapshot of the account, or any trade or fill, is new."""
    mark, name = _mark(account_id), (account_id, key)
    with _lock:
        found = _kept.get(name)
    if found is not None and found[0] == mark:
        return cast("T", found[1])
    value = reckon()
    with _lock:
        _kept[name] = (mark, value)
        _kept.move_to_end(name)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return value


def _mark(account_id: str) -> Hashable:
    """Names the state of the rows: the newest of each kind, by what no other database shares."""
    newest = AccountSnapshot.objects.filter(account=account_id).order_by("-id").values_list("pk", "at").first()
    return newest, *(_newest(kind) for kind in CHANGES)


def _newest(kind: EventType) -> str | None:
    return Event.objects.filter(type=kind).order_by("-seq").values_list("hash", flat=True).first()
