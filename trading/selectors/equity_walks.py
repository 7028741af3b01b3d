"""The equity of an account between two days; snapshots are only ever added, so each is walked once a process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

from django.db.models import QuerySet

from trading.models import AccountSnapshot
from trading.selectors.equity_curve import EquityFigures, EquityWalk
from trading.selectors.remembered import Shelf

CHUNK = 2000
WALKS = 64  # kept a process
Row = tuple[int, datetime, Decimal, Decimal]  # pk, market time, net liquidation, flow
NAMES = ("pk", "market_at", "net_liquidation", "flow")


class _Kept:
    """A walk as far as it has come: `pk` is the last snapshot that it took, `at` when that was taken."""

    def __init__(self) -> None:
        self.walk = EquityWalk()
        self.pk = 0
        self.at: datetime | None = None


_walks: Shelf[_Kept] = Shelf(WALKS)


def equity_between(account_id: str, from_day: date | None, to_day: date | None) -> EquityFigures:
    """The figures of these days of the exchange (inclusive; None = open), by the last snapshot before them and theirs.

    What an earlier call has walked is not walked again.
    """
    slot = _walks.slot((account_id, from_day, to_day))
    known = AccountSnapshot.objects.filter(account=account_id, net_liquidation__isnull=False)
    with slot.lock:
        kept = slot.value
        if kept is None or not _is_there(known, kept):
            kept = _begun(known, from_day)
        slot.value = kept
        _go_on(kept, known, _later(known, from_day, to_day, kept.pk))
        return kept.walk.figures()


def _go_on(kept: _Kept, known: QuerySet[AccountSnapshot], rows: Iterator[Row]) -> None:
    """Take the rows; where reading them fails half-way, `at` is not known and the next call begins anew."""
    came = kept.pk
    for pk, market_at, net, flow in rows:
        kept.at, kept.pk = None, pk
        kept.walk.take(market_at, net, flow)
    if kept.pk != came:
        kept.at = known.values_list("at", flat=True).get(pk=kept.pk)


def _is_there(known: QuerySet[AccountSnapshot], kept: _Kept) -> bool:
    """Whether the snapshot that the walk took last is still that one: another database may have been put in place."""
    return kept.at is not None and known.filter(pk=kept.pk, at=kept.at).exists()


def _begun(known: QuerySet[AccountSnapshot], from_day: date | None) -> _Kept:
    """A walk that has taken the last snapshot before the days, if there is one."""
    kept = _Kept()
    if from_day is not None:
        before = known.filter(day__lt=from_day).order_by("-day", "-id").values_list(*NAMES).first()
        if before is not None:
            kept.walk.take(*before[1:])
    return kept


def _later(known: QuerySet[AccountSnapshot], from_day: date | None, to_day: date | None, after: int) -> Iterator[Row]:
    within = known.filter(pk__gt=after) if after else known
    if from_day is not None:
        within = within.filter(day__gte=from_day)
    if to_day is not None:
        within = within.filter(day__lte=to_day)
    yield from within.order_by("id").values_list(*NAMES).iterator(CHUNK)
