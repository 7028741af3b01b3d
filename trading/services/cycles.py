"""Starting and ending cycles."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

from django.db import transaction

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from autotrader.core.ops.pace import paced
from autotrader.core.users.limits import UNLIMITED, Limits
from trading.models import Cycle, Instrument, Strategy, WorkflowExecution
from trading.models.cycle import CYCLE_ENDED, CycleState, ExecutionState
from trading.selectors.executions import abandoned_cycles, unfinished
from trading.services.rows import swap
from trading.services.wake import wake_worker

ABANDONED_AFTER = timedelta(seconds=paced(120))


def _runnable(strategies: Sequence[Strategy], symbols: Sequence[str]) -> list[tuple[Strategy, int]]:
    """Each strategy with the key of each instrument it is to run on."""
    pairs: list[tuple[Strategy, Instrument]] = []
    for strategy in strategies:
        if strategy.workflow_version.published_at is None:
            raise Invalid(
                f"Strategy {strategy.name} uses {strategy.workflow_version}, which is not published; publish it first.",
                code="WORKFLOW_NOT_PUBLISHED",
            )
        instruments = list(strategy.instruments.all())
        if not instruments:
            raise Invalid(
                f"Strategy {strategy.name} has no instruments; add at least one.", code="STRATEGY_WITHOUT_INSTRUMENTS"
            )
        pairs += [(strategy, row) for row in instruments if not symbols or row.symbol in symbols]
    _check_met(strategies, symbols, pairs)
    return [(strategy, row.pk) for strategy, row in pairs]


def _check_met(
    strategies: Sequence[Strategy], symbols: Sequence[str], pairs: Sequence[tuple[Strategy, Instrument]]
) -> None:
    """A symbol or a strategy that nothing was found for is a mistake: whoever named it expects it to run."""
    traded, running = {row.symbol for _, row in pairs}, {strategy.pk for strategy, _ in pairs}
    unmet = ", ".join(symbol for symbol in dict.fromkeys(symbols) if symbol not in traded)
    idle = ", ".join(strategy.name for strategy in strategies if strategy.pk not in running)
    fields: dict[str, str] = {}
    if unmet or not pairs:
        fields["symbols"] = f"No chosen strategy trades {unmet or 'anything'}."
    if idle:
        fields["strategies"] = f"None of {', '.join(dict.fromkeys(symbols))} is traded by {idle}."
    if fields:
        details = {"field": next(iter(fields)), "fields": fields}
        raise Invalid(" ".join(fields.values()), code="UNKNOWN_SYMBOL", details=details)


def cycle_queue(
    *,
    strategies: Sequence[Strategy],
    trigger: str,
    actor: str,
    symbols: Sequence[str] = (),
    dry_run: bool = False,
    as_of: date | None = None,
    lane: str = "work",
    wake: bool = True,
    correlation_id: str = "",
) -> Cycle:
    """Write a cycle and its claimable executions, and wake a worker once they are committed.

    Raises Invalid, naming the strategy and the fix, where one cannot run, and naming each symbol that no strategy
    trades and each strategy that trades none of the symbols. `lane` other than "work" keeps the rows from the workers:
    a command that runs its own cycle uses a lane of its own. `correlation_id`: that of the request which asks for it,
    the only cycle of its; without one the cycle has a new one.
    """
    pairs = _runnable(strategies, symbols)
    now = system_now()
    correlation = correlation_id or uuid.uuid4().hex
    with audit.acting(actor=actor, correlation_id=correlation), audit.recording():
        cycle = Cycle.objects.create(
            trigger=trigger,
            dry_run=dry_run,
            as_of=as_of,
            requested_by=actor,
            correlation_id=correlation,
            created_at=now,
        )
        audit.record(
            EventType.CYCLE_QUEUED,
            f"cycle:{cycle.pk}",
            version=1,
            new_state=cycle.state,
            cause=trigger,
            document={"strategies": [row.name for row in strategies], "symbols": list(symbols), "dry_run": dry_run},
        )
        for strategy, instrument_id in pairs:
            _queue_execution(cycle, strategy, instrument_id, lane, now)
        if wake:
            transaction.on_commit(lambda: wake_worker(lane))
    return cycle


def cycle_ask(
    names: Sequence[str],
    *,
    symbols: Sequence[str],
    dry_run: bool,
    actor: str,
    correlation_id: str,
    limits: Limits = UNLIMITED,
) -> Cycle:
    """Queue a cycle over the strategies of these names, as a program asks for it; `correlation_id` is its request's.

    Which account it will trade is known only when a worker takes it up, so a key that is limited to accounts starts
    none. Raises KeyLimited, and Invalid UNKNOWN_STRATEGY beside what `cycle_queue` raises.
    """
    rows = Strategy.objects.filter(name__in=names).select_related("workflow_version__workflow")
    found = {row.name: row for row in rows.prefetch_related("instruments")}
    for name in names:
        limits.check(account=None, strategy=found[name].pk if name in found else None)
        if name not in found:
            problem = f"there is no strategy {name}"
            details = {"field": "strategies", "fields": {"strategies": problem}}
            raise Invalid(f"strategies: {problem}.", code="UNKNOWN_STRATEGY", details=details)
    return cycle_queue(
        strategies=list(found.values()),
        trigger="api",
        actor=actor,
        symbols=symbols,
        dry_run=dry_run,
        correlation_id=correlation_id,
    )


def _queue_execution(cycle: Cycle, strategy: Strategy, instrument_id: int, lane: str, now: datetime) -> None:
    execution = WorkflowExecution.objects.create(
        cycle=cycle,
        strategy=strategy,
        instrument_id=instrument_id,
        workflow_version=strategy.workflow_version,
        lane=lane,
        priority=strategy.priority,
        created_at=now,
    )
    with audit.acting(correlation_id=execution.correlation_id):
        audit.record(
            EventType.EXECUTION_QUEUED,
            f"execution:{execution.pk}",
            version=1,
            new_state=execution.state,
            document={
                "strategy": strategy.name,
                "instrument": instrument_id,
                "workflow": str(strategy.workflow_version),
            },
        )


def cycle_close(cycle: Cycle) -> bool:
    """End a cycle all of whose executions have ended; False where somebody else did or work is left."""
    if unfinished(cycle.pk).exists():
        return False
    failed = list(cycle.executions.filter(state=ExecutionState.FAILED).values_list("reason", flat=True))
    try:
        _end(cycle, CycleState.FAILED if failed else CycleState.DONE, failed[0] if failed else "")
    except Conflict:
        return False
    return True


def cycle_fail(cycle: Cycle, reason: str) -> None:
    """End a cycle that could not run at all, with its executions."""
    cycle.refresh_from_db()
    with audit.acting(correlation_id=cycle.correlation_id), audit.recording():
        for execution in unfinished(cycle.pk):
            swap(execution, state=ExecutionState.FAILED, reason=reason, finished_at=system_now())
            with audit.acting(correlation_id=execution.correlation_id):
                audit.record(
                    EventType.EXECUTION_FAILED,
                    f"execution:{execution.pk}",
                    version=execution.version,
                    new_state=execution.state,
                    cause=reason,
                )
        _end(cycle, CycleState.FAILED, reason)


def cycles_fail_abandoned(now: datetime) -> int:
    """End the cycles of commands that were killed; what they had sent is settled by the broker's evidence."""
    count = 0
    for cycle in abandoned_cycles(now - ABANDONED_AFTER):
        with suppress(Conflict):
            cycle_fail(cycle, "ABANDONED: the command that ran it has ended")
            count += 1
    return count


def _end(cycle: Cycle, state: CycleState, reason: str) -> None:
    cycle.refresh_from_db()
    if cycle.state in CYCLE_ENDED:
        raise Conflict(f"cycle {cycle.pk} has ended")
    with audit.acting(correlation_id=cycle.correlation_id), audit.recording():
        old = cycle.state
        swap(cycle, state=state, reason=reason, finished_at=system_now())
        audit.record(
            EventType.CYCLE_FAILED if state == CycleState.FAILED else EventType.CYCLE_DONE,
            f"cycle:{cycle.pk}",
            version=cycle.version,
            old_state=old,
            new_state=state,
            account=cycle.account_id or "",
            cause=reason,
            market_at=cycle.market_at,
        )
