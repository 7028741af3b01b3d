"""Cancels and changes of working orders: kept before they are told, told again until answered, proven by the broker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from broker import gates, types
from broker.errors import BrokerUnavailable, TradingDisabled
from tests.support import in_threads
from tests.trading.builders import NOW, D, bought, bracket, deliver, fill, report, said, sent
from trading.models import Discrepancy, Order, OrderChange
from trading.selectors.orders import unresolved
from trading.services.cancels import (
    NotAllowed,
    cancel_send,
    cancel_write,
    cancels_tell_again,
    check_protection,
    open_cancel,
    overdue,
)
from trading.workflow.cancelling import tell_again


class Told:
    """The one call of the port that is needed here, counted; `error` is what it answers."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    def cancel(self, request: types.OrderRef) -> types.LegOutcome:
        self.asked.append(request.order_ref)
        if self.error:
            raise self.error
        return types.LegOutcome(request.order_ref, 0, "SENT", repeated=False)

    def status(self) -> Any:
        return types.BrokerStatus(
            ready=True, connected=True, reason="", account="DU1234567", accounts=(), clock="system", market_now=NOW,
            since=NOW, owner="test",
        )  # fmt: skip


class AtGate(Told):
    """As the owner tells it: past the gates of a cancel, with or without a connection to the gateway."""

    def __init__(self, *, connected: bool) -> None:
        super().__init__()
        self.connected = connected

    def cancel(self, request: types.OrderRef) -> types.LegOutcome:
        gates.check_cancel(account=request.account, status=self.status())
        return super().cancel(request)

    def status(self) -> Any:
        reason = "" if self.connected else "the gateway closed the connection"
        return replace(super().status(), ready=self.connected, connected=self.connected, reason=reason)


def working_entry() -> Order:
    entry = bracket()[0]
    deliver(sent(entry), report(entry, "Submitted"))
    entry.refresh_from_db()
    return entry


def wished(order: Order) -> OrderChange:
    with audit.acting(actor="ann"):
        return cancel_write(order, market_at=NOW, actor="ann", reason="enough")


def state_of(change: OrderChange) -> str:
    change.refresh_from_db()
    return change.state


# The wish


def test_a_cancel_is_kept_before_it_is_told(transactional_db: None) -> None:
    entry = working_entry()
    change = wished(entry)
    entry.refresh_from_db()
    assert (change.kind, change.state, change.revision, change.actor) == ("cancel", "SENDING", 0, "ann")
    assert entry.cancel_requested_at is not None
    assert (entry.state, open_cancel(entry)) == ("ACCEPTED", change)
    assert Event.objects.filter(type__in=["ORDER_CANCEL_REQUESTED", "ORDER_CHANGE_SENDING"]).count() == 2
    assert verify_chain().ok


def test_asking_again_answers_the_open_cancel(transactional_db: None) -> None:
    entry = working_entry()
    assert wished(entry).pk == wished(entry).pk
    assert OrderChange.objects.count() == 1


def test_many_at_once_make_one_cancel(transactional_db: None) -> None:
    entry = working_entry()
    found = in_threads([lambda: wished(entry)] * 12, threads=6)
    assert len({change.pk for change in found}) == OrderChange.objects.count() == 1


@pytest.mark.parametrize(("status", "code"), [("Cancelled", "ORDER_ENDED"), ("Inactive", "ORDER_ENDED")])
def test_what_has_ended_is_not_cancelled(transactional_db: None, status: str, code: str) -> None:
    entry = bracket()[0]
    deliver(sent(entry), report(entry, status, completed=True))
    with pytest.raises(NotAllowed) as caught:
        wished(entry)
    assert (caught.value.reason, caught.value.status) == (code, 409)
    assert not OrderChange.objects.exists()


def test_an_order_that_is_not_ours_is_left_alone(transactional_db: None) -> None:
    entry = working_entry()
    Order.objects.filter(pk=entry.pk).update(role="external")
    with pytest.raises(NotAllowed, match="sent from"):
        wished(entry)


# The proof


def test_the_order_s_end_proves_the_cancel(transactional_db: None) -> None:
    entry = working_entry()
    change = wished(entry)
    deliver(report(entry, "PendingCancel"))
    assert state_of(change) == "SENDING"
    deliver(report(entry, "Cancelled"))
    assert state_of(change) == "ACKED"
    assert open_cancel(entry) is None


def test_a_fill_instead_rejects_the_cancel(transactional_db: None) -> None:
    entry = working_entry()
    change = wished(entry)
    deliver(fill(entry, "10"), report(entry, "Filled", "10"))
    assert state_of(change) == "REJECTED"


@pytest.mark.parametrize(
    ("code", "message", "state"),
    [
        (10147, "OrderId 5 that needs to be cancelled is not found.", "REJECTED"),
        (10148, "OrderId 5 that needs to be cancelled cannot be cancelled, state: Filled.", "REJECTED"),
        (10148, "OrderId 5 that needs to be cancelled cannot be cancelled, state: PendingCancel.", "SENDING"),
        (161, "Cancel attempted when order is not in a cancellable state", "REJECTED"),
        (399, "your order will not be placed before 09:30", "SENDING"),
    ],
)
def test_the_broker_s_word_on_a_cancel(transactional_db: None, code: int, message: str, state: str) -> None:
    entry = working_entry()
    change = wished(entry)
    deliver(said(entry, code, message))
    assert state_of(change) == state
    entry.refresh_from_db()
    assert entry.state == "ACCEPTED"


def test_a_refused_change_and_a_cancel_are_told_apart(transactional_db: None) -> None:
    _, _, target = bought()
    change = OrderChange.objects.create(
        order=target, revision=1, limit_price=D(105), state="SENDING", created_at=system_now()
    )
    cancel = wished(target)
    deliver(said(target, 10147, "OrderId 5 that needs to be cancelled is not found."))
    assert (state_of(cancel), state_of(change)) == ("REJECTED", "SENDING")


def test_reconcile_is_not_asked_about_a_cancel(transactional_db: None) -> None:
    entry = working_entry()
    wished(entry)
    assert [intent.revision for intent in unresolved(system_now())].count(0) == len(unresolved(system_now()))
    assert len({(i.order_ref, i.revision) for i in unresolved(system_now())}) == len(unresolved(system_now()))


def test_a_changed_quantity_is_proven_by_what_the_broker_shows(transactional_db: None) -> None:
    _, _, target = bought()
    change = OrderChange.objects.create(
        order=target, revision=1, limit_price=D(110), quantity=D(6), state="SENDING", created_at=system_now()
    )
    deliver(report(target, "Submitted"))
    assert state_of(change) == "SENDING"
    deliver(report(target, "Submitted", quantity=D(6), remaining="6"))
    target.refresh_from_db()
    assert (state_of(change), target.quantity) == ("ACKED", D(6))


# Telling it


def test_what_the_broker_does_not_answer_stays_open(transactional_db: None) -> None:
    change = wished(working_entry())
    assert "UNAVAILABLE" in cancel_send(change, Told(BrokerUnavailable("away")), NOW)  # type: ignore[arg-type]
    assert state_of(change) == "SENDING"


@pytest.mark.parametrize("code", ["ORDERS_DISABLED", "ACCOUNT_NOT_PAPER", "ACCOUNT_NOT_ALLOWED"])
def test_a_gate_that_is_shut_for_cancels_ends_the_wish(transactional_db: None, code: str) -> None:
    change = wished(working_entry())
    assert code in cancel_send(change, Told(TradingDisabled("no", code=code)), NOW)  # type: ignore[arg-type]
    assert state_of(change) == "REJECTED"


@pytest.mark.parametrize("code", ["BROKER_NOT_READY", "RESTART_WINDOW", "STORAGE", "TRADING_DISABLED"])
def test_what_opens_again_by_itself_ends_no_wish(transactional_db: None, code: str) -> None:
    change = wished(working_entry())
    assert code in cancel_send(change, Told(TradingDisabled("later", code=code)), NOW)  # type: ignore[arg-type]
    assert state_of(change) == "SENDING"


def test_an_unanswered_cancel_is_told_again_and_then_shown_to_a_person(transactional_db: None) -> None:
    entry = working_entry()
    change = wished(entry)
    broker: Any = Told()
    assert cancels_tell_again(broker, change.created_at + timedelta(seconds=9)) == 0
    assert cancels_tell_again(broker, change.created_at + timedelta(seconds=11)) == 1
    assert (state_of(change), Discrepancy.objects.count()) == ("SENDING", 0)

    for _ in range(2):
        cancels_tell_again(broker, change.created_at + timedelta(seconds=61))

    assert broker.asked == [entry.order_ref] * 3
    shown = Discrepancy.objects.get()
    assert (state_of(change), shown.kind, shown.state, shown.blocking) == ("UNKNOWN", "cancel", "OPEN", False)
    deliver(report(entry, "Cancelled"))
    shown.refresh_from_db()
    assert (state_of(change), shown.state) == ("ACKED", "RESOLVED")
    assert not overdue(system_now() + timedelta(days=1)).exists()


def test_a_cancel_outlives_a_gateway_that_is_away_and_is_told_once_it_is_back(transactional_db: None) -> None:
    entry = working_entry()
    change = wished(entry)
    broker: Any = AtGate(connected=False)
    for seconds in (11, 61, 71):
        cancels_tell_again(broker, change.created_at + timedelta(seconds=seconds))

    shown = Discrepancy.objects.get()
    assert (state_of(change), shown.kind, shown.state, broker.asked) == ("UNKNOWN", "cancel", "OPEN", [])
    broker.connected = True
    assert cancels_tell_again(broker, change.created_at + timedelta(seconds=81)) == 1
    assert broker.asked == [entry.order_ref]
    deliver(report(entry, "Cancelled"))
    shown.refresh_from_db()
    assert (state_of(change), shown.state) == ("ACKED", "RESOLVED")


def test_a_person_sees_what_is_unproven_though_the_owner_is_away(
    transactional_db: None, settings: Settings, tmp_path: Path
) -> None:
    settings.AUTOTRADER_STATE_DIR, settings.AUTOTRADER_MAY_OWN_BROKER = tmp_path, False
    change = wished(working_entry())
    for seconds, state, shown in [(11, "SENDING", 0), (61, "UNKNOWN", 1), (71, "UNKNOWN", 1)]:
        OrderChange.objects.filter(pk=change.pk).update(created_at=system_now() - timedelta(seconds=seconds))
        assert tell_again() == 0
        assert (state_of(change), Discrepancy.objects.filter(kind="cancel", state="OPEN").count()) == (state, shown)


# Protection


def test_a_stop_of_a_position_needs_force_and_permission(db: None) -> None:
    _, stop, target = bought()
    for options, code in [
        ({"force": False, "may_remove": True}, "PROTECTS_POSITION"),
        ({"force": True, "may_remove": False}, "MAY_NOT_UNPROTECT"),
    ]:
        with pytest.raises(NotAllowed) as caught:
            check_protection(stop, **options)
        assert caught.value.reason == code
    check_protection(stop, force=True, may_remove=True)
    check_protection(target, force=False, may_remove=False)


def test_the_stop_of_a_working_entry_is_never_taken(db: None) -> None:
    stop = bracket()[1]
    with pytest.raises(NotAllowed) as caught:
        check_protection(stop, force=True, may_remove=True)
    assert caught.value.reason == "ENTRY_WORKING"
