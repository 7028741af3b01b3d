"""What the market itself takes back or cuts up: executions corrected, busted, or split into many."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from broker.paper_gateway.faults.base import ANY_CLIENT, Fault, FaultError
from broker.paper_gateway.types import EngineEvent, Executed, Execution


@dataclass(kw_only=True)
class LaterChange(Fault):
    """An execution that is changed `seconds` after it was told: `exec_id`, or each one that comes."""

    ranges = {"seconds": (0, 86_400)}
    exec_id: str = ""
    seconds: float = 0.1
    times: int = 1

    def begin(self) -> None:
        if self.exec_id:
            executions = (execution for execution, _ in self.scene.exchange.executions())
            found = next((execution for execution in executions if execution.exec_id == self.exec_id), None)
            if found is None or not found.shares:
                raise FaultError(f"there is no execution {self.exec_id!r} today")
            self.acted += 1
            self.change(found)

    def event(self, event: EngineEvent) -> bool:
        if isinstance(event, Executed) and not self.exec_id and self._is_new(event.execution):
            self.scene.later(self.seconds, partial(self.change, event.execution))
        return True

    def change(self, execution: Execution) -> None:
        """What becomes of the execution."""
        raise NotImplementedError

    def _is_new(self, execution: Execution) -> bool:
        """Whether it is a first report, and one to act on."""
        is_first = execution.exec_id.rpartition(".")[2] == "01"
        return is_first and self.client in (ANY_CLIENT, execution.client_id) and self.strikes()


@dataclass(kw_only=True)
class CorrectExecution(LaterChange):
    """A correction: the same execution again under the next number, its price moved by `by`."""

    name = "correct_execution"
    ranges = {"by": (-1_000_000, 1_000_000)}
    by: float = 0.01

    def change(self, execution: Execution) -> None:
        price = execution.price + Decimal(str(self.by))
        self.scene.exchange.correct_execution(execution.exec_id, price=price)
        self.scene.flush()


@dataclass(kw_only=True)
class BustExecution(LaterChange):
    """An execution taken back as if it had never been."""

    name = "bust_execution"

    def change(self, execution: Execution) -> None:
        self.scene.exchange.bust_execution(execution.exec_id)
        self.scene.flush()


@dataclass(kw_only=True)
class SplitFills(Fault):
    """Every fill comes as `parts` executions of nearly the same size."""

    name = "split_fills"
    ranges = {"parts": (2, 1_000)}
    parts: int = 3

    def begin(self) -> None:
        self.scene.exchange.split_fills(self.parts)

    def end(self) -> None:
        self.scene.exchange.split_fills(1)
