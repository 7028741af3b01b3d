"""kill -9 of real processes, also as a model is asked; the other points are those of the matrix (test_matrix.py)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from research.models import ModelBudget, ModelCall
from research.services import committed
from tests.desk.conftest import build_strategy
from tests.research.openai_server import LoopbackModelServer
from tests.support import ROOT, child_environment, eventually
from trading.models import Cycle, Decision, Fill, Order, StepRun, Strategy, WorkflowExecution
from trading.services.cycles import cycle_queue

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
WORK = "from trading.workflow.lanes import work; work('{}')"


@dataclass
class Processes:
    """A gateway in this process; owner and worker as processes that may be killed."""

    state: Path
    gateway: EmbeddedGateway
    model: LoopbackModelServer
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *words: str, role: str, crash: str = "") -> subprocess.Popen[str]:
        environment = child_environment(
            AUTOTRADER_STATE_DIR=str(self.state),
            AUTOTRADER_BROKER_PORT=str(self.gateway.port),
            AUTOTRADER_PROCESS_ROLE=role,
            AUTOTRADER_CRASH=crash,
            AUTOTRADER_TIME_FACTOR="0.2",
            AUTOTRADER_AI_MODEL="test-model",
            OPENAI_API_BASE=self.model.base_url,
        )
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        self.running.append(process)
        return process

    def owner(self, crash: str = "") -> subprocess.Popen[str]:
        process = self.start("run_broker", role="broker", crash=crash)
        assert process.stdout is not None
        while "ready" not in (line := process.stdout.readline()):
            assert line, "the owner ended"
        return process

    def work(self, crash: str = "", lane: str = "work") -> int:
        """One worker's pass; its exit code, -9 where it was killed."""
        return self.start("shell", "-v0", "-c", WORK.format(lane), role="worker", crash=crash).wait(120)

    def frames(self) -> int:
        with ControlClient(self.gateway.host, self.gateway.control_port) as control:
            return int(control.status()["frames"].get("placeOrder", 0))

    def cycle(self) -> Cycle:
        strategy = Strategy.objects.filter(name="s").first() or build_strategy("s", ["SPY"])
        return cycle_queue(strategies=[strategy], trigger="manual", actor="test", wake=False)


@pytest.fixture
def processes(transactional_db: None, tmp_path: Path) -> Iterator[Processes]:
    with (
        ExitStack() as stack,
        LoopbackModelServer() as model,
        EmbeddedGateway(store_path=tmp_path / "paper.sqlite3") as gateway,
    ):
        made = Processes(tmp_path, gateway, model)
        stack.callback(lambda: [end(process) for process in made.running])
        yield made


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(60)


def expire_lease() -> None:
    """The dead worker's lease runs out."""
    WorkflowExecution.objects.filter(state="RUNNING").update(lease_until=system_now() - timedelta(seconds=1))


def states() -> dict[str, str]:
    return dict(Order.objects.values_list("role", "state"))


def test_a_worker_killed_before_the_order_goes_on_where_it_stopped(processes: Processes) -> None:
    processes.owner()
    cycle = processes.cycle()

    assert processes.work(crash="step_validate_risk_committed") == -signal.SIGKILL
    done = set(StepRun.objects.values_list("name", "epoch"))
    expire_lease()
    assert processes.work() == 0

    execution = cycle.executions.get()
    assert (execution.state, execution.outcome, execution.epoch) == ("DONE", "ordered", 2)
    assert done <= set(StepRun.objects.values_list("name", "epoch"))
    assert processes.frames() == 3
    assert Order.objects.filter(role="entry").count() == 1
    assert verify_chain().ok


def reasons(cycle: Cycle) -> list[str]:
    """Why the cycle's one decision holds."""
    reasons: list[str] = Decision.objects.get(execution__cycle=cycle).reasons
    return reasons


def test_a_model_is_not_asked_again_for_an_answer_that_a_crash_took(processes: Processes) -> None:
    """Killed before it is asked, before its answer is kept, and after: what was asked is spent, what is kept counts."""
    processes.owner()
    unasked = processes.cycle()
    assert processes.work(crash="model_open_committed") == -signal.SIGKILL
    assert processes.model.questions == []

    unheard = processes.cycle()
    expire_lease()
    assert processes.work(crash="model_close_committing") == -signal.SIGKILL
    assert len(processes.model.questions) == 1

    kept = processes.cycle()
    expire_lease()
    assert processes.work(crash="model_close_committed") == -signal.SIGKILL
    assert len(processes.model.questions) == 2
    expire_lease()
    assert processes.work() == 0

    assert reasons(unasked) == reasons(unheard) == ["model_interrupted"]
    assert kept.executions.get().outcome == "ordered"
    assert len(processes.model.questions) == 1 + 4
    broken_off = ModelCall.objects.filter(state="OPEN")
    assert broken_off.count() == 2
    spent = sum(call.cost if call.state == "DONE" else call.reserved for call in ModelCall.objects.all())
    days = ModelBudget.objects.filter(scope__startswith="day:").values_list("scope", flat=True)
    assert sum(committed(day) for day in days) == spent


def test_an_owner_killed_after_the_last_byte_adopts_what_the_broker_knows(processes: Processes) -> None:
    owner = processes.owner(crash="bracket_written")
    processes.cycle()

    assert processes.work() == 0
    assert owner.wait(60) == -signal.SIGKILL
    processes.owner()

    eventually(lambda: states() == {"entry": "FILLED", "stop": "ACCEPTED", "target": "ACCEPTED"}, 120)
    assert processes.frames() == 3
    assert Fill.objects.exists()
    assert verify_chain().ok
