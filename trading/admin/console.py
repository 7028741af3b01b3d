"""The machine on the admin's first page: processes, broker, lanes, failures, model spend, anchor and disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest

from autotrader.core.audit.anchors import anchor_age
from autotrader.core.ops import beats
from autotrader.core.ops.health import ANCHOR_AGE_S, DISK_FREE_BYTES, QUEUE_LAG_S, DiskState, disk_state, seconds
from broker import get_broker
from broker.errors import BrokerError
from trading.selectors.pages.console import Console, console

EVENTS = "audit.view_event"
BUDGETS = "research.view_modelbudget"
Spending = Callable[[datetime], Decimal]


@dataclass(frozen=True, slots=True)
class Spent:
    """Money committed to calls of models today (UTC), in USD: spent, or reserved for calls that run."""

    today: Decimal
    budget: Decimal

    @property
    def is_short(self) -> bool:
        """Whether less than a tenth of the budget is left."""
        return self.today > self.budget * Decimal("0.9")


@dataclass(frozen=True, slots=True)
class BrokerWord:
    """The owner's own word of this moment; `state` is ready, not ready or unavailable."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything of it; `spent` is None for those who may not see it, or where nobody can tell."""

    processes: Sequence[beats.Beat]
    broker: BrokerWord
    console: Console
    spent: Spent | None
    anchor_age_s: float | None
    disk: DiskState
    sees_events: bool
    late_s: float = QUEUE_LAG_S

    @property
    def is_anchor_late(self) -> bool:
        """Whether an anchor is missing or older than it should be."""
        return self.anchor_age_s is None or self.anchor_age_s > ANCHOR_AGE_S

    @property
    def is_disk_short(self) -> bool:
        """Whether orders may soon be refused for want of room."""
        return self.disk.free_bytes < DISK_FREE_BYTES

    @property
    def anchor_minutes(self) -> int | None:
        """The age of the last anchor."""
        return None if self.anchor_age_s is None else int(self.anchor_age_s // 60)


_spending: list[Spending] = []


def spending_from(told: Spending) -> None:
    """Name who can tell what models cost today; the site does, since the desk does not see that ledger."""
    _spending[:] = [told]


def machine(request: HttpRequest, now: datetime) -> Machine:
    """As of `now`, with the broker's owner asked for its word: at most a second longer without an answer."""
    return Machine(
        processes=beats.processes(beats.expected(_called_for())),
        broker=_broker(),
        console=console(now),
        spent=_spent(request, now),
        anchor_age_s=seconds(anchor_age(now)),
        disk=disk_state(Path(settings.AUTOTRADER_STATE_DIR)),
        sees_events=request.user.has_perm(EVENTS),
    )


def _called_for() -> list[str]:
    """The processes that the settings call for, where no supervisor says which it keeps."""
    return ["web", "work", "now", *([] if settings.AUTOTRADER_BROKER_URL else ["broker"])]


def _broker() -> BrokerWord:
    try:
        with get_broker(own=False) as broker:
            status = broker.status()
    except BrokerError as error:
        return BrokerWord("unavailable", error.message)
    return BrokerWord("ready" if status.ready else "not ready", status.reason)


def _spent(request: HttpRequest, now: datetime) -> Spent | None:
    if not _spending or not request.user.has_perm(BUDGETS):
        return None
    return Spent(_spending[0](now), settings.AUTOTRADER_AI_BUDGET_USD_PER_DAY)
