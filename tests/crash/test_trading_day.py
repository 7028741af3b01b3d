"""A day of real bars, traded in three modes, halted in the middle and killed twice: our rows equal the ledger."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django import Settings

from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.users.models import User
from broker import gates, get_broker, remote
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.desk.conftest import build_strategy
from tests.research.openai_server import LoopbackModelServer, agreeable
from tests.support import REAL_BARS, ROOT, child_environment, eventually, needs_real_bars
from trading.models import Approval, Cycle, Fill, Order, Strategy, Trade, WorkflowExecution
from trading.services.approvals import Word, approval_vote
from trading.services.cycles import cycle_queue

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900), needs_real_bars]
CASH = Decimal(1_000_000)
WORK = "from trading.workflow.lanes import work; work('{lane}')"


def at(hour: int, minute: int = 0) -> datetime:
    """A time of the Monday on which AAPL lost 4 % within an hour (the bar of 17:00 UTC)."""
    return datetime(2019, 6, 3, hour, minute, tzinfo=UTC)


@dataclass
class Day:
    """The gateway in this process; owner and workers are processes that may be killed."""

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
            AUTOTRADER_AI_MODEL="test-model",
            OPENAI_API_BASE=self.model.base_url,
        )
        command = [sys.executable, "manage.py", *words]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def owner(self) -> subprocess.Popen[str]:
        process = self.start("run_broker", role="broker")
        assert process.stdout is not None
        while "ready" not in (line := process.stdout.readline()):
            assert line, "the owner ended"
        return process

    def work(self, lane: str = "work", crash: str = "") -> int:
        """One worker's pass over a lane; -9 where it was killed."""
        return self.start("shell", "-v0", "-c", WORK.format(lane=lane), role="worker", crash=crash).wait(240)

    def decide(self, kind: str, *strategies: Strategy) -> list[Cycle]:
        """A cycle of each, on a model that says the same to all."""
        self.model.otherwise = agreeable(kind, target=1.06, stop=0.97) if kind == "buy" else agreeable(kind, 0.94, 1.03)
        return [
            cycle_queue(strategies=[strategy], trigger="manual", actor="day", wake=False) for strategy in strategies
        ]

    def play(self, to: datetime) -> None:
        self.gateway.advance(to)

    def end(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGKILL)
            process.wait(60)

    def settle(self) -> None:
        """Until everything the gateway knows is in our rows, with what it cost."""
        known = set(self.gateway.truth()["executions"])
        booked = Fill.objects.filter(commission__isnull=False)
        eventually(lambda: known <= set(booked.values_list("exec_id", flat=True)))


@pytest.fixture
def day(transactional_db: None, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    monkeypatch.setattr(remote, "PING_LIMIT", 30.0)  # an owner that is only slow is there
    settings.AUTOTRADER_STATE_DIR = tmp_path
    settings.AUTOTRADER_MAY_OWN_BROKER = False
    gateway = EmbeddedGateway(store_path=tmp_path / "paper.sqlite3", data_folder=REAL_BARS, set_clock=at(14), cash=CASH)
    with ExitStack() as stack, LoopbackModelServer() as model, gateway:
        made = Day(tmp_path, gateway, model)
        stack.callback(made.end)
        settings.AUTOTRADER_BROKER_PORT = gateway.port
        yield made


def expire_leases() -> None:
    """The dead worker's lease runs out."""
    WorkflowExecution.objects.filter(state="RUNNING").update(lease_until=system_now() - timedelta(seconds=1))


def approve_all(user: User) -> None:
    with get_broker() as broker:
        status = broker.status()
    for approval in Approval.objects.filter(state="PENDING"):
        word = Word(user, approve=True, digest=approval.digest)
        approval_vote(approval.pk, word, account=status.account, market_now=status.market_now)


def states(strategy: Strategy) -> dict[str, str]:
    return dict(Order.objects.filter(strategy=strategy).values_list("role", "state"))


def outcomes(*cycles: Cycle) -> list[tuple[str, str]]:
    rows = WorkflowExecution.objects.filter(cycle__in=cycles).order_by("id")
    return [(row.outcome, row.reason.partition(":")[0]) for row in rows]


def test_a_day_of_three_modes_ends_equal_to_the_ledger_to_the_cent(day: Day, settings: Settings) -> None:
    auto, other = build_strategy("auto", ["AAPL"]), build_strategy("other", ["SPY"])
    approve = build_strategy("approve", ["SPY"], mode="approve")
    shadow = build_strategy("shadow", ["AAPL", "SPY"], mode="shadow")
    trader = User.objects.create_superuser("trader", "", "a-long-password-here")
    owner = day.owner()
    settings.AUTOTRADER_BROKER_SECRET = (day.state / "broker.secret").read_text().strip()

    # 10:00 in New York: all three buy, and the worker dies as its first order has left.
    day.decide("buy", auto, approve, shadow)
    assert day.work(crash="place_answered") == -signal.SIGKILL
    expire_leases()
    assert day.work() == 0
    approve_all(trader)
    assert day.work("now") == 0
    day.play(at(15))
    day.settle()
    # What an execution is booked by and what an order's state is told by are two messages.
    eventually(lambda: states(auto)["entry"] == states(approve)["entry"] == "FILLED")

    # 11:00: halted; nothing new leaves, and the owner dies while AAPL falls through its stop.
    with get_broker() as broker:
        held = {row.con_id: row.quantity for row in broker.positions()}
    gates.halt_set("HALTED", actor="trader", reason="a look at the news")
    halted = day.decide("buy", other)
    frames = day.gateway.status()["frames"]["placeOrder"]
    assert day.work() == 0
    assert outcomes(*halted) == [("refused", "HALTED")]
    owner.kill()
    day.play(at(18))
    assert day.gateway.status()["frames"]["placeOrder"] == frames
    day.owner()
    day.settle()
    eventually(lambda: states(auto) == {"entry": "FILLED", "stop": "FILLED", "target": "CANCELLED"})
    assert held

    # 14:00: released; what is left is sold, once by approval.
    gates.halt_set("ACTIVE", actor="trader", reason="seen")
    day.decide("sell", approve, shadow)
    assert day.work() == 0
    approve_all(trader)
    assert day.work("now") == 0
    day.play(at(20))
    day.settle()

    assert list(Approval.objects.values_list("state", flat=True)) == ["USED", "USED"]
    assert_equal(day)


def assert_equal(day: Day) -> None:
    """Orders, executions, positions and cash as the exchange has them, and a chain that tells how they came."""
    truth = day.gateway.truth()
    ours = Order.objects.filter(account=truth["account"])
    theirs = {order["order_ref"]: order for order in truth["orders"].values()}
    assert set(theirs) == set(ours.exclude(state__in=("REFUSED", "ABSENT")).values_list("order_ref", flat=True))
    assert {ref: Decimal(order["filled"]) for ref, order in theirs.items()} == {
        order.order_ref: order.filled_quantity for order in ours if order.order_ref in theirs
    }
    fills = Fill.objects.filter(account=truth["account"], superseded=False)
    assert {fill.exec_id for fill in fills} == set(truth["executions"])
    assert [Decimal(row["quantity"]) for row in truth["positions"].values() if Decimal(row["quantity"])] == []
    spent = sum((fill.quantity * fill.price * (1 if fill.side == "BUY" else -1) for fill in fills), Decimal(0))
    fees = sum((fill.commission or Decimal(0) for fill in fills), Decimal(0))
    assert Decimal(truth["cash"]["USD"]).quantize(Decimal("0.01")) == (CASH - spent - fees).quantize(Decimal("0.01"))
    closed = Trade.objects.filter(account=truth["account"])
    assert {trade.state for trade in closed} == {"CLOSED"}
    assert sum(trade.pnl or 0 for trade in closed) == -spent - fees
    assert Fill.objects.filter(account__kind="shadow").count() >= 2
    assert verify_chain().ok
