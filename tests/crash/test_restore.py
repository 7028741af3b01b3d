"""The database as it was before an order left: what the broker has is counted, none is sent again, the loss shows."""

from __future__ import annotations

import signal
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django import Settings

from autotrader.core.audit.anchors import anchor_take
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.users.models import User
from broker.paper_gateway.control import ControlClient
from tests import database
from tests.crash.test_kill import Processes, end, expire_lease, processes, states
from tests.desk.conftest import build_strategy
from tests.support import eventually
from tests.trading.asking import person
from trading.models import Approval, Discrepancy, Dispatch, Order, Reconciliation, RiskProfile, WorkflowExecution
from trading.models.strategy import Mode
from trading.selectors.positions import booked
from trading.services.approval_states import ApprovalRefused
from trading.services.approvals import Word, approval_vote, approvals_expire

__all__ = ["processes"]
pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
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
    eventually(lambda: states() == PROTECTED)
    anchor_take(system_now())
    end(owner)

    database.put_back(older)
    assert not Order.objects.exists()
    processes.owner()
    account = eventually(lambda: Order.objects.filter(role="external").values_list("account", flat=True).first())
    eventually(lambda: booked(str(account)) == held(processes))
    expire_lease()
    assert processes.work() == 0

    assert WorkflowExecution.objects.get().reason.startswith("NOT_RECONCILED")
    assert Discrepancy.objects.filter(kind="unrecorded", blocking=True, state="OPEN").count() == 3
    assert processes.frames() == 3
    assert "rows were taken away" in verify_chain().reason


def says_yes(approval: Approval) -> None:
    market_now = approval.market_at + timedelta(seconds=1)
    word = Word(User.objects.get(), approve=True, digest=approval.digest)
    approval_vote(approval.pk, word, account=approval.account_id, market_now=market_now)


def looked_twice() -> None:
    """Two more looks at the book were compared: enough for a stop that is missing to be placed again."""
    for _ in range(2):
        last = Reconciliation.objects.get().at
        eventually(lambda last=last: Reconciliation.objects.get().at > last, 120)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("state", ["PENDING_APPROVAL", "APPROVED", "REFUSED"])
def test_an_older_copy_in_which_the_order_waits_sends_neither_it_nor_another_stop(
    processes: Processes, state: str
) -> None:
    owner = processes.owner()
    person()
    build_strategy("s", ["SPY"], mode=Mode.APPROVE)
    processes.cycle()
    assert processes.work() == 0
    assert WorkflowExecution.objects.get().outcome == "pending_approval", WorkflowExecution.objects.get().reason
    approval = Approval.objects.get()
    older = database.copied()
    says_yes(approval)
    older = database.copied() if state == "APPROVED" else older
    assert processes.work(lane="now") == 0
    eventually(lambda: states() == PROTECTED)
    frames = processes.frames()  # with that of the preview
    end(owner)

    database.put_back(older)
    if state == "REFUSED":
        approvals_expire(approval.account_id, approval.expires_at)
    assert set(states().values()) == {state}
    processes.owner()
    eventually(lambda: booked(approval.account_id) == held(processes))
    looked_twice()
    if state == "APPROVED":
        assert processes.work(lane="now") == 0
        assert Dispatch.objects.get().reason.startswith("found again")
    if state == "PENDING_APPROVAL":
        with pytest.raises(ApprovalRefused):
            says_yes(Approval.objects.get())

    assert Order.objects.count() == 3
    assert processes.frames() == frames
    found = Discrepancy.objects.filter(state="OPEN", blocking=True).values_list("kind", "order__role")
    assert sorted(found) == [("unrecorded", "entry"), ("unrecorded", "stop"), ("unrecorded", "target")]
