"""The database as it was before an order: what the broker has is adopted, nothing is sent again, and the loss shows."""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django import Settings

from autotrader.core.audit.anchors import anchor_take
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from broker.paper_gateway.control import ControlClient
from tests import database
from tests.crash.test_kill import Processes, end, expire_lease, processes, states
from tests.support import eventually
from trading.models import Discrepancy, Order, RiskProfile, WorkflowExecution
from trading.selectors.positions import booked

__all__ = ["processes"]
pytestmark = [pytest.mark.crash, pytest.mark.timeout(150)]
PROTECTED = {"entry": "FILLED", "stop": "ACCEPTED", "target": "ACCEPTED"}


def held(processes: Processes) -> dict[int, Decimal]:
    """The gateway's positions by contract."""
    with ControlClient(processes.gateway.host, processes.gateway.control_port) as control:
        rows = control.ledger()["positions"].items()
    return {int(con_id): Decimal(row["quantity"]) for con_id, row in rows}


def test_an_older_copy_with_work_on_its_way_to_the_order_does_not_send_it_again(
    processes: Processes, tmp_path: Path, settings: Settings
) -> None:
    settings.AUTOTRADER_ANCHOR_DIR = str(tmp_path / "anchors")
    owner = processes.owner()
    processes.cycle()
    # Long after the order, as its window would have passed, and with room for it once more.
    RiskProfile.objects.update(duplicate_window_seconds=0, risk_per_trade=Decimal("0.001"))
    assert processes.work(crash="step_validate_risk_committed") == -signal.SIGKILL
    older = database.copied()
    expire_lease()
    assert processes.work() == 0
    eventually(lambda: states() == PROTECTED, 20)
    anchor_take(system_now())
    end(owner)

    database.put_back(older)
    assert not Order.objects.exists()
    processes.owner()
    account = eventually(lambda: Order.objects.filter(role="external").values_list("account", flat=True).first(), 20)
    eventually(lambda: booked(str(account)) == held(processes), 20)
    expire_lease()
    assert processes.work() == 0

    assert WorkflowExecution.objects.get().reason.startswith("NOT_RECONCILED")
    assert Discrepancy.objects.filter(kind="unrecorded", blocking=True, state="OPEN").count() == 2

    assert processes.frames() == 3
    assert "rows were taken away" in verify_chain().reason
