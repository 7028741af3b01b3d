"""How much work waits in the lanes of the workers, and since when it has been free to be taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Case, Count, DateTimeField, F, Min, QuerySet, When
from django.db.models.functions import Now

from trading.selectors.approvals import claimable_dispatches
from trading.selectors.executions import claimable

LANES = ("work", "now")
# As the index of claimable rows has it, and in so many letters: with parameters no database could tell that it fits.
UNDER_WAY = "\"trading_workflowexecution\".\"state\" IN ('QUEUED', 'WAITING', 'RUNNING')"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows of a lane that nobody works on; `oldest_s` since the oldest of them could be taken."""

    lane: str
    waiting: int
    oldest_s: float


def waiting() -> Sequence[Waiting]:
    """Each lane that a cluster of ours works; a command's own lane is not among them."""
    return [_of(lane) for lane in LANES]


def _of(lane: str) -> Waiting:
    executions = _counted(claimable(lane).extra(where=[UNDER_WAY]), WAITING="due_at", RUNNING="lease_until")
    dispatches = _counted(claimable_dispatches(lane), RUNNING="lease_until")
    ages = [row["now"] - row["oldest"] for row in (executions, dispatches) if row["oldest"] is not None]
    oldest = max((age for age in ages), default=timedelta())
    return Waiting(lane, executions["rows"] + dispatches["rows"], max(oldest.total_seconds(), 0.0))


def _counted(rows: QuerySet[Any], **free_since: str) -> dict[str, Any]:
    """By the database's clock, as claims are."""
    whens = [When(state=state, then=F(field)) for state, field in free_since.items()]
    since = Case(*whens, default=F("created_at"), output_field=DateTimeField())
    return rows.order_by().aggregate(rows=Count("pk"), oldest=Min(since), now=Min(Now()))
