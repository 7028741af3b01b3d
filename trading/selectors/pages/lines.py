"""The events that a page shows as lines, and the symbols they speak of."""

from __future__ import annotations

from collections.abc import Collection

from django.db import models

from autotrader.core.audit.models import Event
from trading.models import Approval, Decision, Instrument, Order, Trade, WorkflowExecution

MOST_EXECUTIONS = 2000
MOST_INSTRUMENTS = 5000
ROOMS: tuple[tuple[str, type[models.Model]], ...] = (
    ("execution", WorkflowExecution),
    ("decision", Decision),
    ("trade", Trade),
    ("approval", Approval),
)


def events_recent(limit: int, about: str = "") -> list[Event]:
    """The newest events first: all, or those of one correlation id and of the executions under it."""
    events = Event.objects.order_by("-seq")
    if about:
        events = events.filter(correlation_id__in=[about, *_under(about)])
    return list(events[:limit])


def symbols_of(keys: Collection[str]) -> dict[str, str]:
    """The symbols of every `instrument:<id>`, and of the `order:<reference>`, `execution:<id>`, `decision:<id>`,
    `trade:<id>` and `approval:<id>` among the keys; six queries at most."""
    found: dict[str, str] = {}
    # All of them, so that a line of what happens next knows its symbol too.
    instruments = Instrument.objects.order_by("-pk").values_list("pk", "symbol")[:MOST_INSTRUMENTS]
    found.update({f"instrument:{pk}": symbol for pk, symbol in instruments})
    orders = Order.objects.filter(order_ref__in=_names(keys, "order")).values_list("order_ref", "instrument__symbol")
    found.update({f"order:{reference}": symbol for reference, symbol in orders})
    for room, model in ROOMS:
        rows = model._default_manager.filter(pk__in=_numbers(keys, room)).values_list("pk", "instrument__symbol")
        found.update({f"{room}:{pk}": symbol for pk, symbol in rows})
    return found


def _under(about: str) -> list[str]:
    """The correlation ids of a cycle's executions: looked up whole, since a prefix would use no index everywhere."""
    rows = WorkflowExecution.objects.filter(cycle__correlation_id=about).order_by("-pk").values_list("pk", flat=True)
    return [f"{about}.{pk}" for pk in rows[:MOST_EXECUTIONS]]


def _names(keys: Collection[str], room: str) -> list[str]:
    return [name for found, _, name in (key.partition(":") for key in keys) if found == room and name]


def _numbers(keys: Collection[str], room: str) -> list[int]:
    """Those that can be an id: what an event names need not be one of ours."""
    return [int(name) for name in _names(keys, room) if name.isascii() and name.isdecimal() and len(name) < 19]
