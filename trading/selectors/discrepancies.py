"""Differences between the broker and us: those that are open, those that block, and what a page shows of one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.db.models import QuerySet

from autotrader.core.audit.models import Event
from autotrader.core.errors import AutoTraderError
from trading.models import Discrepancy, Instrument, Order, Reconciliation
from trading.models.discrepancy import DiscrepancyKind

SYSTEM = "reconcile"  # resolves by itself what agrees again
AGREED = "agreed_since"


def blocking(account_id: str) -> list[Discrepancy]:
    """The open differences that keep the account from opening a position, oldest first; one indexed query."""
    return list(Discrepancy.objects.filter(account=account_id, state="OPEN", blocking=True).order_by("id"))


def blocking_names(account_id: str) -> tuple[str, ...]:
    """What keeps the account from opening a position, as people read it, oldest first; one indexed query."""
    rows = _blocking().filter(account=account_id)
    return tuple(str(Discrepancy(kind=kind, subject=subject)) for kind, subject in rows)


@cache
def _blocking() -> QuerySet[Discrepancy, Any]:
    return Discrepancy.objects.filter(state="OPEN", blocking=True).order_by("id").values_list("kind", "subject")


def open_of_kind(kind: DiscrepancyKind, account_id: str | None = None) -> list[Discrepancy]:
    """The open differences of a kind, of one account or of all, oldest first."""
    found = Discrepancy.objects.filter(state="OPEN", kind=kind).select_related("order", "instrument")
    return list((found if account_id is None else found.filter(account=account_id)).order_by("id"))


def latest_of_kind(kind: DiscrepancyKind, account_id: str, instrument: Instrument) -> Discrepancy | None:
    """The newest difference of a kind about a contract, open or resolved."""
    found = Discrepancy.objects.filter(account=account_id, kind=kind, instrument=instrument)
    return found.order_by("-id").first()


def open_of_order(order: Order) -> list[Discrepancy]:
    """The open differences about an order, oldest first."""
    return list(Discrepancy.objects.filter(order=order, state="OPEN").order_by("id"))


def all_open(account_id: str = "") -> QuerySet[Discrepancy]:
    """Every open difference, of one account where one is named, oldest first."""
    found = Discrepancy.objects.filter(state="OPEN").order_by("id")
    return found.filter(account=account_id) if account_id else found


def latest(account_id: str, kind: DiscrepancyKind, subject: str) -> Discrepancy | None:
    """The newest difference of this kind about this subject, open or resolved."""
    return Discrepancy.objects.filter(account=account_id, kind=kind, subject=subject).order_by("-id").first()


def unsettled(account_id: str, kinds: Collection[DiscrepancyKind]) -> set[tuple[DiscrepancyKind, str]]:
    """Kind and subject of what is open, or was resolved by a person while the sides still differed."""
    rows = Discrepancy.objects.filter(account=account_id, kind__in=kinds).exclude(resolved_by=SYSTEM)
    found = rows.values_list("kind", "subject", "document")
    return {(DiscrepancyKind(kind), subject) for kind, subject, document in found if AGREED not in document}


def resolved_since(account_id: str, since: datetime) -> list[Discrepancy]:
    """What was resolved at or after `since` (system time), oldest first."""
    return list(Discrepancy.objects.filter(account=account_id, resolved_at__gte=since).order_by("id"))


def cash_compared(account_id: str) -> tuple[Decimal | None, str]:
    """The cash by our fills as of the last look, and why it was not compared where it was not."""
    row = Reconciliation.objects.filter(account=account_id).first()
    return (row.expected_cash, row.cash_note) if row else (None, "no look was compared yet")


@dataclass(frozen=True, slots=True)
class DiscrepancyStory:
    """A difference with what is on record of it, oldest first."""

    row: Discrepancy
    events: list[Event]


class DiscrepancyUnknown(AutoTraderError):
    """There is no such difference: correct its id."""

    code = "UNKNOWN_DISCREPANCY"
    status = 404


def discrepancies_with_details() -> QuerySet[Discrepancy]:
    """Differences with what a list shows of them."""
    return Discrepancy.objects.select_related("order", "instrument")


def discrepancy_named(pk: int) -> Discrepancy:
    """One of them. Raises DiscrepancyUnknown."""
    found = discrepancies_with_details().filter(pk=pk).first()
    if found is None:
        raise DiscrepancyUnknown(f"There is no discrepancy {pk}.", details={"field": "id"})
    return found


def discrepancy_story(pk: int) -> DiscrepancyStory | None:
    """Everything the page of a difference shows; None where there is none."""
    row = Discrepancy.objects.select_related("order", "instrument", "account").filter(pk=pk).first()
    if row is None:
        return None
    return DiscrepancyStory(row, list(Event.objects.filter(subject=f"discrepancy:{pk}").order_by("seq")))


@dataclass(frozen=True, slots=True)
class OpenCount:
    """How many differences are open, and how many of them keep an account from opening positions."""

    total: int
    blocking: int


def open_count() -> OpenCount:
    """For the index."""
    flags = list(Discrepancy.objects.filter(state="OPEN").values_list("blocking", flat=True))
    return OpenCount(len(flags), sum(flags))
