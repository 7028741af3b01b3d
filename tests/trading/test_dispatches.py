"""An approved order on its way: claimed once, fenced by its epoch, judged anew, and spent in the commit that sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError
from tests.support import in_threads
from tests.trading.asking import asked, person, say
from tests.trading.builders import NOW, D, bought, claimed, decided, intent, market, strategy
from trading.models import Approval, Dispatch, Order, OrderChange
from trading.models.strategy import Mode
from trading.selectors.approvals import claimable_dispatches, sent_of, with_details
from trading.services.approvals import Needed, approval_request, approvals_expire
from trading.services.approved_intents import intent_of_approval
from trading.services.dispatch_work import check_drift
from trading.services.dispatches import dispatch_claim, dispatch_end, dispatch_queue, dispatch_wait
from trading.services.executions import EpochLost
from trading.services.intents import Intent, terms_of
from trading.services.orders import changes_write, entry_write, exit_write

LATER = NOW + timedelta(minutes=7)


def approved(approval: Approval | None = None) -> tuple[Dispatch, Intent]:
    """A claimed dispatch, and the intent as it is seven minutes later at the same price."""
    approval = approval or asked()
    say(approval, person(f"p{approval.pk}"))
    dispatch = dispatch_claim("worker-1")
    assert dispatch is not None
    return dispatch, now(approval)


def now(approval: Approval, **changes: Any) -> Intent:
    return intent_of_approval(with_details().get(pk=approval.pk), market(**({"at": LATER} | changes)))


def refusal(write: Callable[[], object]) -> str:
    """The code, and that neither the approval nor its order went on."""
    with pytest.raises(AutoTraderError) as caught:
        write()
    assert set(Approval.objects.values_list("state", flat=True)) <= {"PENDING", "APPROVED", "EXPIRED"}
    assert not Order.objects.filter(state="SENDING").exists()
    return caught.value.reason


# The order that was approved


def test_what_is_sent_is_what_was_approved(db: None) -> None:
    dispatch, made = approved()
    assert terms_of(made) == made.approval.terms  # type: ignore[union-attr]
    rows = entry_write(dispatch, made)
    approval = Approval.objects.get()
    assert [row.state for row in rows] == ["SENDING"] * 3
    assert rows[0] == approval.order
    assert {(row.epoch, row.intent_hash) for row in rows} == {(dispatch.epoch, approval.digest)}
    assert rows[0].sending_at is not None
    assert rows[0].configuration["approval"] == {"id": approval.pk, "digest": approval.digest}
    assert rows[0].configuration["verdicts"]["approval"]["allowed"] is True
    assert approval.state == "USED"
    assert Order.objects.count() == 3
    assert verify_chain().ok


def test_an_approval_is_spent_once(db: None) -> None:
    dispatch, made = approved()
    entry_write(dispatch, made)
    again = now(made.approval)  # type: ignore[arg-type]
    with pytest.raises(AutoTraderError):
        entry_write(dispatch, again)
    assert Event.objects.filter(type="APPROVAL_USED").count() == 1
    assert [order.state for order in sent_of(again.approval, again.decision.pk, None)] == ["SENDING"] * 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": D(11)}, "APPROVAL_CHANGED"),
        ({"limit_price": D("101.01")}, "APPROVAL_CHANGED"),
        ({"stop_price": D("94.99")}, "APPROVAL_CHANGED"),
        ({"expires_at": NOW + timedelta(hours=6)}, "APPROVAL_CHANGED"),
    ],
)
def test_one_digit_more_is_another_order(db: None, change: Any, code: str) -> None:
    dispatch, made = approved()
    assert refusal(lambda: entry_write(dispatch, replace(made, **change))) == code


def test_rows_that_were_changed_after_the_word(db: None) -> None:
    dispatch, made = approved()
    Order.objects.filter(role="stop").update(stop_price=D(50))
    assert refusal(lambda: entry_write(dispatch, made)) == "APPROVAL_CHANGED"


def test_without_its_approval_the_order_does_not_leave(db: None) -> None:
    row = strategy(mode=Mode.APPROVE)
    execution = claimed(row)
    made = intent(decided(execution))
    assert refusal(lambda: entry_write(execution, made)) == "APPROVAL_NEEDED"


# Drift


@pytest.mark.parametrize(("price", "drifts"), [("101", False), ("99", False), ("101.01", True), ("98.99", True)])
def test_drift_beyond_the_collar_voids(db: None, price: str, drifts: bool) -> None:
    _, made = approved()
    made = replace(made, proposal=replace(made.proposal, price=D(price)))
    if drifts:
        assert refusal(lambda: check_drift(made.approval, made)) == "APPROVAL_DRIFTED"  # type: ignore[arg-type]
    else:
        check_drift(made.approval, made)  # type: ignore[arg-type]


@pytest.mark.parametrize("price", [None, D("NaN")])
def test_an_unknown_price_is_no_price(db: None, price: Any) -> None:
    _, made = approved()
    made = replace(made, proposal=replace(made.proposal, price=price))
    assert refusal(lambda: check_drift(made.approval, made)) == "NO_QUOTE"  # type: ignore[arg-type]


# Controls at sending


def test_every_control_speaks_again(db: None) -> None:
    dispatch, made = approved()
    profile = made.strategy.risk_profile  # type: ignore[union-attr]
    type(profile).objects.filter(pk=profile.pk).update(max_order_value=D(1000))
    assert refusal(lambda: entry_write(dispatch, made)) == "VALUE_TOO_LARGE"


def test_an_expired_one_is_not_sent_and_the_sweep_wins(db: None) -> None:
    dispatch, made = approved()
    late = replace(made, market_now=made.approval.expires_at)  # type: ignore[union-attr]
    assert refusal(lambda: entry_write(dispatch, late)) == "APPROVAL_EXPIRED"
    approvals_expire(made.account.pk, made.approval.expires_at)  # type: ignore[union-attr]
    assert refusal(lambda: entry_write(dispatch, made)) in ("APPROVAL_EXPIRED", "APPROVAL_NEEDED")


# Exits


def leaving() -> tuple[Dispatch, Intent, Order]:
    row = strategy()
    target = bought(row)[2]
    row.mode = Mode.APPROVE
    row.save()
    execution = claimed(row)
    made = intent(decided(execution, "sell", position="10"))
    approval = approval_request(execution, made, Needed("mode", 1), {"available": True}, asked_by="x")
    dispatch, again = approved(approval)
    return dispatch, again, target


def test_an_approved_exit_moves_its_target(db: None) -> None:
    dispatch, made, target = leaving()
    change = changes_write(dispatch, made, [target])[0]
    assert (change.limit_price, change.state) == (D(99), "SENDING")
    assert Approval.objects.get().state == "USED"
    assert sent_of(made.approval, made.decision.pk, None) == [target]  # type: ignore[union-attr]


def test_an_approved_exit_may_be_an_order_of_its_own(db: None) -> None:
    dispatch, made, _ = leaving()
    order = exit_write(dispatch, made)
    assert (order.role, order.state, order.intent_hash) == ("exit", "SENDING", made.approval.digest)  # type: ignore[union-attr]
    assert Approval.objects.get().state == "USED"
    assert not OrderChange.objects.exists()


# Work


def test_a_worker_that_lost_its_epoch_sends_nothing(db: None) -> None:
    dispatch, made = approved()
    Dispatch.objects.filter(pk=dispatch.pk).update(epoch=dispatch.epoch + 1)
    before = Event.objects.count()
    with pytest.raises(EpochLost):
        entry_write(dispatch, made)
    for end in (partial(dispatch_wait, dispatch, "x"), partial(dispatch_end, dispatch, outcome="x", reason="x")):
        with pytest.raises(EpochLost), audit.recording():
            end()
    assert Event.objects.count() == before
    assert Approval.objects.get().state == "APPROVED"


def test_a_dispatch_goes_to_another_worker_after_its_lease(db: None) -> None:
    first, _ = approved()
    assert dispatch_claim("worker-2") is None
    Dispatch.objects.filter(pk=first.pk).update(lease_until=system_now() - timedelta(seconds=1))
    second = dispatch_claim("worker-2")
    assert second is not None
    assert (second.pk, second.epoch, second.worker) == (first.pk, first.epoch + 1, "worker-2")
    assert Event.objects.filter(type="DISPATCH_RESUMED").count() == 1
    with pytest.raises(EpochLost):
        entry_write(first, now(Approval.objects.get()))
    assert entry_write(second, now(Approval.objects.get()))


def test_what_waits_is_not_claimed_before_its_time(db: None) -> None:
    dispatch, _ = approved()
    dispatch_wait(dispatch, "BROKER_NOT_READY: replaying")
    assert not claimable_dispatches("now").exists()
    Dispatch.objects.update(lease_until=system_now() - timedelta(seconds=1))
    assert dispatch_claim("worker-2") is not None


def test_what_has_ended_is_never_claimed(db: None) -> None:
    dispatch, _ = approved()
    with audit.recording():
        dispatch_end(dispatch, outcome="ordered", reason="sent")
    Dispatch.objects.update(lease_until=system_now() - timedelta(seconds=1))
    assert dispatch_claim("worker-2") is None


def test_one_dispatch_an_approval_by_the_table_itself(db: None) -> None:
    dispatch, made = approved()
    with pytest.raises(IntegrityError), transaction.atomic(), audit.recording():
        dispatch_queue(approval=made.approval, correlation_id=dispatch.correlation_id)
    with pytest.raises(IntegrityError), transaction.atomic(), audit.recording():
        dispatch_queue(correlation_id="of nothing")


@pytest.mark.timeout(300)
def test_many_workers_claim_one_dispatch_once(transactional_db: None) -> None:
    say(asked(), person())

    def attempt(number: int) -> bool:
        try:
            return dispatch_claim(f"worker-{number}") is not None
        finally:
            connection.close()

    assert sum(in_threads([partial(attempt, number) for number in range(8)], threads=8)) == 1
