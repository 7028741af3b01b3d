"""What a step is given and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker import types
from broker.port import Broker
from trading.models import Account, Cycle, Instrument, Strategy, WorkflowExecution
from trading.services.executions import lease_extend
from trading.workflow.spec import StepSpec


@dataclass(frozen=True, slots=True)
class StepContext:
    """One execution at one step. `outputs` are the outputs of the steps before, by name."""

    execution: WorkflowExecution
    spec: StepSpec
    broker: Broker
    status: types.BrokerStatus
    outputs: dict[str, dict[str, Any]]
    analyst_name: str

    @property
    def market_now(self) -> datetime:
        """The market's time of this execution's run."""
        return self.status.market_now

    @property
    def strategy(self) -> Strategy:
        """The strategy that runs."""
        return self.execution.strategy

    @property
    def instrument(self) -> Instrument:
        """What it runs on."""
        return self.execution.instrument

    @property
    def cycle(self) -> Cycle:
        """The cycle it belongs to."""
        return self.execution.cycle

    @property
    def account(self) -> Account:
        """The ledger its orders and fills belong to."""
        assert self.execution.account is not None
        return self.execution.account

    def lease(self, seconds: float) -> None:
        """Commit a lease that covers a call of up to `seconds`."""
        lease_extend(self.execution, seconds)


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step's output; `write` runs in the transaction that commits the step and may add to the output.

    `stop` ends the execution with this outcome ("hold", "refused" …) and `reason`.
    """

    output: dict[str, Any]
    input: dict[str, Any] = field(default_factory=dict)
    write: Callable[[], dict[str, Any]] | None = None
    stop: str = ""
    reason: str = ""


def hold(reason: str, detail: str, output: dict[str, Any] | None = None) -> StepResult:
    """End with HOLD: `reason` is a stable code, `detail` a sentence."""
    return StepResult({**(output or {}), "reason": reason}, stop="hold", reason=f"{reason}: {detail}")
