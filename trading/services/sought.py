"""The orders that the broker's words are about, each under its lock: one by one, or once for several words together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from django.db.models import QuerySet, prefetch_related_objects

from trading.models import Order, OrderChange
from trading.services.order_moves import causes

Together = dict[tuple[str, str], Order]
_together: ContextVar[Together | None] = ContextVar("together", default=None)


class BetterAlone(Exception):
    """What was to be booked with others is out of the ordinary: roll all of it back and book one after the other."""


def out_of_the_ordinary(what: str) -> None:
    """Called before anything that takes a lock of its own, or looks beyond the orders that were looked up together.

    Raises BetterAlone where several words are booked in one transaction, which a single one can do without a doubt.
    """
    if _together.get() is not None:
        raise BetterAlone(f"{what} is booked alone.")


@contextmanager
def sought_together(names: Collection[tuple[str, str]], *, changes: bool) -> Iterator[None]:
    """Look these orders (account, order_ref) up at once, locked in the order of their ids, for the length of the block.

    Nobody else can write them until the transaction ends, so a row stays as true as what is written through it.
    `changes` of the orders are read as well, after the locks are held.
    """
    orders = list(_rows().filter(order_ref__in=sorted({ref for _, ref in names})).order_by("id"))
    if changes:
        prefetch_related_objects(orders, "changes")
    found = {(order.account_id, order.order_ref): order for order in orders}
    token = _together.set({key: order for key, order in found.items() if key in names})
    try:
        yield
    finally:
        _together.reset(token)


def order_of_ref(account: str, order_ref: str) -> Order | None:
    """Our order of this reference."""
    together = _together.get()
    if together is not None:
        return together.get((account, order_ref))
    return _first(_rows().filter(account=account, order_ref=order_ref))


def order_of_perm_id(account: str, perm_id: int) -> Order | None:
    """The order that the broker knows by this id."""
    out_of_the_ordinary("an order that is found by the broker's id")
    return _first(_rows().filter(account=account, perm_id=perm_id))


def changes_of(order: Order) -> list[OrderChange]:
    """The changes and cancels of an order under its lock, oldest first; asked for once."""
    prefetch_related_objects([order], "changes")
    return sorted(order.changes.all(), key=lambda change: change.pk)


def _first(orders: QuerySet[Order]) -> Order | None:
    return next(iter(orders), None)  # both names are unique


@cache
def _rows() -> QuerySet[Order]:
    """With what an order's events are recorded under; without the large snapshot of the settings."""
    rows = Order.objects.select_for_update(of=("self",), no_key=True).order_by()
    return rows.defer("configuration").annotate(**causes())
