"""Counts rows that are only ever added, or end for good, without reading them all each time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Model, Q, QuerySet, Sum

# Numbers are drawn before their rows are committed: only rows older than any transaction of ours are counted for good.
SETTLED_AFTER = timedelta(minutes=5)
Found = dict[tuple[Any, ...], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted: rows by `labels`, and the sums of `sums`. Rows that match `open` may still change."""

    model: type[Model]
    at: str  # the system's time at which a row was made
    labels: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    open: Q | None = None


class Tally:
    """Keeps what is settled and adds the rest. Not shared between databases."""

    def __init__(self, counted: Counted) -> None:
        self._what = counted
        self._lock = threading.Lock()
        self._forget()

    def read(self, now: datetime) -> Mapping[tuple[Any, ...], tuple[Any, ...]]:
        """By labels: the number of rows and the sums, as the rows say at this moment."""
        with self._lock:
            self._settle(now)
            found = dict(self._settled)
            for rows in (self._rows().filter(pk__gt=self._upto), self._rows().filter(pk__in=self._open)):
                _add(found, self._grouped(rows))
            return found

    def _forget(self) -> None:
        self._settled: Found = {}
        self._upto = 0
        self._open: set[int] = set()

    def _rows(self) -> QuerySet[Any]:
        return self._what.model._default_manager.order_by()

    def _settle(self, now: datetime) -> None:
        if self._upto and not self._rows().filter(pk=self._upto).exists():
            self._forget()  # another database than before, such as one that was restored
        old = {f"{self._what.at}__lt": now - SETTLED_AFTER}
        upto = self._rows().filter(pk__gt=self._upto, **old).order_by("-pk").values_list("pk", flat=True).first()
        if upto is not None:
            fresh = self._rows().filter(pk__gt=self._upto, pk__lte=upto)
            if self._what.open is not None:
                self._open |= set(fresh.filter(self._what.open).values_list("pk", flat=True))
                fresh = fresh.exclude(pk__in=self._open)
            _add(self._settled, self._grouped(fresh))
            self._upto = upto
        self._close()

    def _close(self) -> None:
        """What was open and has ended since is settled too."""
        if not self._open or self._what.open is None:
            return
        still = set(self._rows().filter(self._what.open, pk__in=self._open).values_list("pk", flat=True))
        _add(self._settled, self._grouped(self._rows().filter(pk__in=self._open - still)))
        self._open = still

    def _grouped(self, rows: QuerySet[Any]) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        sums = {f"sum_{name}": Sum(name) for name in self._what.sums}
        names = [f"label_{number}" for number in range(len(self._what.labels))]
        labelled = rows.values(**{name: F(label) for name, label in zip(names, self._what.labels, strict=True)})
        counted = labelled.annotate(rows=Count("pk"), **sums) if names else [rows.aggregate(rows=Count("pk"), **sums)]
        for row in counted:
            yield tuple(row[name] for name in names), (row["rows"], *(row[name] or 0 for name in sums))


def _add(found: Found, more: Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> None:
    for labels, numbers in more:
        before = found.get(labels, (0,) * len(numbers))
        found[labels] = tuple(old + new for old, new in zip(before, numbers, strict=True))
