"""Running one execution: read the version, go on at the first uncommitted step, commit each under the epoch check."""

from __future__ import annotations

import logging
from datetime import datetime
from importlib import import_module
from typing import Any

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from broker import types
from broker.port import Broker
from trading.models import StepRun, WorkflowExecution
from trading.models.cycle import ExecutionState
from trading.models.strategy import Mode
from trading.services.accounts import account_ensure, shadow_account
from trading.services.executions import (
    EpochLost,
    StepRecord,
    cycle_started,
    epoch_hold,
    execution_end,
    execution_wait,
    step_commit,
)
from trading.workflow.analysts import analyst_name
from trading.workflow.context import StepContext, StepResult
from trading.workflow.spec import StepSpec, validate

logger = logging.getLogger(__name__)


def execute(execution: WorkflowExecution, broker: Broker) -> None:
    """Run the claimed execution to its end, its next delay, or the loss of its epoch. Raises nothing of its steps."""
    actor = f"strategy:{execution.strategy.name}"
    with audit.acting(actor=actor, correlation_id=execution.correlation_id):
        try:
            _run(execution, broker)
        except EpochLost:
            logger.info("execution %s was taken over", execution.pk)
        except AutoTraderError as error:
            _fail(execution, f"{error.reason}: {error.message}")
        except Exception as error:
            logger.exception("execution %s failed", execution.pk)
            _fail(execution, f"{type(error).__name__}: {error}")


def _fail(execution: WorkflowExecution, reason: str) -> None:
    if execution.state == ExecutionState.FAILED:
        return
    try:
        with audit.recording(point="failure"):
            execution_end(execution, outcome="failed", reason=reason, failed=True)
    except EpochLost:
        logger.info("execution %s was taken over", execution.pk)


def _run(execution: WorkflowExecution, broker: Broker) -> None:
    specs = validate(execution.workflow_version.steps)
    status = broker.status()
    _bind(execution, status)
    while execution.next_step < len(specs):
        spec = specs[execution.next_step]
        if spec.delay_s and execution.delayed_step != execution.next_step:
            execution_wait(execution, execution.next_step, spec.delay_s)
            return
        if _step(execution, spec, broker, status, last=execution.next_step == len(specs) - 1):
            return


def _bind(execution: WorkflowExecution, status: types.BrokerStatus) -> None:
    """Name the ledger and start the cycle."""
    real = account_ensure(status.account)
    if execution.account_id is None:
        shadow = execution.strategy.mode == Mode.SHADOW
        account = shadow_account(execution.strategy, real.base_currency) if shadow else real
        with audit.recording(point="bind"):
            epoch_hold(execution, account_id=account.pk)
        execution.account = account
    cycle_started(execution, status.market_now, status.account)


def _outputs(execution: WorkflowExecution) -> dict[str, dict[str, Any]]:
    return {run.name: run.output for run in StepRun.objects.filter(execution=execution, state="DONE")}


def _step(
    execution: WorkflowExecution, spec: StepSpec, broker: Broker, status: types.BrokerStatus, *, last: bool
) -> bool:
    """Run and commit one step; True where the execution has ended with it."""
    started = system_now()
    context = StepContext(execution, spec, broker, status, _outputs(execution), analyst_name(execution.strategy))
    step = import_module(f"trading.workflow.steps.{spec.name}")
    try:
        result: StepResult = step.run(context)
    except EpochLost:
        raise
    except Exception as error:
        _commit_failure(execution, spec, started, status, error)
        raise
    with audit.recording(point=f"step_{spec.name}"):
        output = result.output | (result.write() if result.write else {})
        step_commit(execution, _record(execution, spec, started, status, result, output))
        if result.stop or last:
            execution_end(execution, outcome=result.stop or "decided", reason=result.reason)
    return bool(result.stop or last)


def _record(
    execution: WorkflowExecution,
    spec: StepSpec,
    started: datetime,
    status: types.BrokerStatus,
    result: StepResult,
    output: dict[str, Any],
) -> StepRecord:
    given = {"parameters": spec.raw.get("parameters", {}), **result.input}
    return StepRecord(execution.next_step, spec.name, given, output, started, market_at=status.market_now)


def _commit_failure(
    execution: WorkflowExecution, spec: StepSpec, started: datetime, status: types.BrokerStatus, error: Exception
) -> None:
    text = error.message if isinstance(error, AutoTraderError) else f"{type(error).__name__}: {error}"
    given = {"parameters": spec.raw.get("parameters", {})}
    record = StepRecord(execution.next_step, spec.name, given, {}, started, text[:2000], status.market_now)
    code = f"{error.reason}: " if isinstance(error, AutoTraderError) else ""
    # In one transaction: a failed step is never found without its failed execution, which would run it again.
    with audit.recording(point="failure"):
        step_commit(execution, record, failed=True)
        execution_end(execution, outcome="failed", reason=f"{code}{text}", failed=True)
