"""What one press of a button starts of strategies, once however often its form is sent: a cycle now, and a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.errors import Conflict
from trading.models import Cycle, Strategy
from trading.models.strategy import Mode
from trading.selectors.settings import StrategyUnknown
from trading.services.cycles import cycle_queue
from trading.services.strategy_settings import FIELDS, strategy_create

LONGEST_NAME = 80


def cycle_press(seen: Mapping[int, int], *, key: UUID, actor: str, dry_run: bool = False) -> Cycle:
    """Queue a cycle over the strategies of these ids, each at the version that the form showed.

    `key` is the form's own: sent again it answers with the cycle that it has queued. Raises StrategyUnknown, Conflict
    STALE_VERSION, Conflict IDEMPOTENCY_KEY_REUSED where the key has started something else, and what `cycle_queue`
    raises.
    """
    with audit.acting(actor=actor), audit.recording():
        rows = _locked(seen)
        made = Cycle.objects.filter(correlation_id=key.hex).first()
        if made is not None:
            return _same(made, seen, actor=actor, dry_run=dry_run)
        for row in rows:
            _refuse_stale(row, seen[row.pk])
        return cycle_queue(strategies=rows, trigger="manual", actor=actor, dry_run=dry_run, correlation_id=key.hex)


def strategy_copy(pk: int, *, version: int, key: UUID, actor: str, may_loosen: bool) -> Strategy:
    """A disabled copy under a name of its own; what this person may not loosen asks for approval there.

    `key` is the form's own: sent again it answers with the copy that it has made. Raises StrategyUnknown, Conflict
    STALE_VERSION, and what `strategy_create` raises.
    """
    correlation = f"{key.hex}.{pk}"
    with audit.acting(actor=actor, correlation_id=correlation), audit.recording():
        (row,) = _locked({pk: version})
        made = _made_under(correlation)
        if made is not None:
            return made
        _refuse_stale(row, version)
        values = _values(row) | {"name": _free_name(row.name), "enabled": False}
        if not may_loosen:
            values |= {"mode": Mode.APPROVE if row.mode == Mode.AUTO else row.mode, "allow_short": False}
        return strategy_create(values, actor=actor, may_loosen=may_loosen)


def _locked(seen: Mapping[int, int]) -> list[Strategy]:
    """The rows, held until the end of the transaction, so that two sendings of one form come one after the other."""
    rows = Strategy.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=seen).order_by("pk")
    found = list(rows.select_related("workflow_version__workflow").prefetch_related("instruments"))
    for unknown in sorted(set(seen) - {row.pk for row in found}):
        raise StrategyUnknown(f"There is no strategy {unknown}.", details={"field": "id"})
    return found


def _refuse_stale(row: Strategy, version: int) -> None:
    if row.version != version:
        raise Conflict(
            f"{row} is at version {row.version} by now; read it again.",
            code="STALE_VERSION",
            details={"field": "version", "version": row.version},
        )


def _same(made: Cycle, seen: Mapping[int, int], *, actor: str, dry_run: bool) -> Cycle:
    strategies = set(made.executions.order_by().values_list("strategy", flat=True))
    if strategies == set(seen) and (made.requested_by, made.dry_run) == (actor, dry_run):
        return made
    raise Conflict("This form has started another cycle; open the page anew.", code="IDEMPOTENCY_KEY_REUSED")


def _made_under(correlation: str) -> Strategy | None:
    events = Event.objects.filter(correlation_id=correlation, type=EventType.STRATEGY_CHANGED).order_by("seq")
    subject = events.values_list("subject", flat=True).first()
    return None if subject is None else Strategy.objects.get(pk=int(subject.partition(":")[2]))


def _values(row: Strategy) -> dict[str, Any]:
    """What `strategy_create` takes: references as ids."""
    values = {name: getattr(row, name) for name in FIELDS if name != "instruments"}
    ids = {"workflow_version": row.workflow_version_id, "risk_profile": row.risk_profile_id}
    return {**values, **ids, "instruments": [instrument.pk for instrument in row.instruments.all()]}


def _free_name(name: str) -> str:
    base = f"{name[: LONGEST_NAME - 10]} copy"
    taken = set(Strategy.objects.filter(name__startswith=base).values_list("name", flat=True))
    numbered = (f"{base} {number}" for number in range(2, len(taken) + 3))
    return next(free for free in (base, *numbered) if free not in taken)
