"""What was never sent is taken back without the broker, and never beside its sender: the approval's lock decides."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
from django.db import connection

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.errors import AutoTraderError
from broker import types
from broker.errors import BrokerUnavailable
from tests.support import in_threads
from tests.trading.asking import asked, person, say
from tests.trading.builders import NOW, bracket, deliver, report, sent, strategy
from tests.trading.test_changes import AtGate, Told, working_entry
from tests.trading.test_dispatches import approved, leaving
from trading.models import Approval, Order, OrderChange, OrderRequest
from trading.models.request import RequestKind
from trading.selectors.requests import outcome_of, request_story
from trading.services import requests
from trading.services.brokers import AskedOnce, Away, broker_or_away
from trading.services.orders import entry_write, exit_write
from trading.services.request_rows import Asked, request_accept, request_receive
from trading.services.requests import Caller, cancel_request, cancel_requests
from trading.services.sending import exit_send

ANN = Caller("user:ann", "ann")
AWAY: Any = Away(BrokerUnavailable("No broker process is running."))


@pytest.fixture(autouse=True)
def short_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody speaks for the broker here, so that every cancel waits for as long as its caller would."""
    monkeypatch.setattr(requests, "WORD_S", 0.3)


def states(approval: Approval) -> set[str]:
    group = approval.order.group  # type: ignore[union-attr]
    return set(Order.objects.filter(group=group).values_list("state", flat=True))


def end(order: Order, broker: Any = AWAY, key: str = "k1", caller: Caller = ANN) -> Any:
    return cancel_request(caller=caller, key=key, body={"order_ref": order.order_ref, "reason": "no"}, broker=broker)


def take_back(approval: Approval, broker: Any = AWAY, key: str = "k1", caller: Caller = ANN) -> Any:
    return cancel_request(caller=caller, key=key, body={"approval": approval.pk, "reason": "no"}, broker=broker)


# Without the broker


@pytest.mark.parametrize("is_approved", [False, True])
def test_what_waits_is_taken_back_with_the_broker_away(transactional_db: None, is_approved: bool) -> None:
    approval = asked()
    if is_approved:
        say(approval, person())
    told = end(approval.order)  # type: ignore[arg-type]
    approval.refresh_from_db()
    assert (told.state, told.status, told.order.status) == ("ACCEPTED", 0, "REFUSED")
    assert (approval.state, states(approval)) == ("VOID", {"REFUSED"})
    assert approval.reason == "WITHDRAWN: withdrawn by ann: no"
    assert Event.objects.get(type="APPROVAL_VOIDED").market_at is None
    assert not OrderChange.objects.exists()
    assert verify_chain().ok


def test_the_same_key_is_told_the_same_and_does_nothing_more(transactional_db: None) -> None:
    order = asked().order
    first, again = end(order), end(order)  # type: ignore[arg-type]
    assert first == again
    assert OrderRequest.objects.count() == 1


def test_the_market_s_time_is_kept_where_it_can_be_asked(transactional_db: None) -> None:
    end(asked().order, Told())  # type: ignore[arg-type]
    assert Event.objects.get(type="APPROVAL_VOIDED").market_at == NOW
    assert OrderRequest.objects.get().market_at == NOW


def test_without_an_owner_the_port_says_so_and_is_asked_once(transactional_db: None) -> None:
    with broker_or_away() as broker:
        status = AskedOnce(broker)
        said = []
        for _ in range(2):
            with pytest.raises(BrokerUnavailable) as caught:
                status()
            said.append(caught.value.message)
    assert said[0] == said[1]


@pytest.mark.parametrize(("state", "part"), [("SENDING", "may still leave until "), ("ACCEPTED", "may still fill")])
def test_what_may_have_left_is_not_said_to_be_taken_back(transactional_db: None, state: str, part: str) -> None:
    order = bracket()[0] if state == "SENDING" else working_entry()
    told = end(order)
    order.refresh_from_db()
    assert (told.status, told.code, order.state) == (503, "BROKER_UNAVAILABLE", state)
    assert part in told.message
    assert not OrderChange.objects.exists()
    # The same key is heard anew once somebody answers.
    if state == "ACCEPTED":
        assert end(order, Told()).changes[0].state == "SENDING"


def test_while_the_gateway_is_away_a_cancel_is_not_refused_but_asked_again(transactional_db: None) -> None:
    order = working_entry()
    told = end(order, AtGate(connected=False))
    assert (told.state, told.status, told.code) == ("RECEIVED", 503, "BROKER_UNAVAILABLE")
    assert "the gateway closed the connection" in told.message
    assert "may still fill; nothing was asked of the broker" in told.message
    assert not OrderChange.objects.exists()
    assert end(order, AtGate(connected=True)).changes[0].state == "SENDING"


# An exit has no order before it is sent


def test_an_approved_exit_is_taken_back_by_its_approval(transactional_db: None) -> None:
    dispatch, made, _ = leaving()
    approval = made.approval
    assert approval is not None
    told = take_back(approval)
    approval.refresh_from_db()
    assert (told.state, told.approval, told.orders, approval.state) == ("ACCEPTED", approval.pk, (), "VOID")
    with pytest.raises(AutoTraderError) as caught:
        exit_write(dispatch, made)
    assert caught.value.reason == "APPROVAL_NEEDED"
    assert not Order.objects.filter(role="exit").exists()
    story = request_story(OrderRequest.objects.get())
    assert (story.wish, story.approval) == (f"approval {approval.pk}", approval)


def test_an_exit_that_is_taken_back_ends_no_entry(transactional_db: None) -> None:
    """It was withdrawn while the worker asked for its price, and the entry still works."""
    dispatch, made, target = leaving()
    entry = Order.objects.get(group=target.group, role="entry")
    Order.objects.filter(pk=entry.pk).update(state="PARTIALLY_FILLED")
    assert made.approval is not None
    take_back(made.approval)
    broker = Told()
    with pytest.raises(AutoTraderError) as caught:
        exit_send(dispatch, cast("Any", broker), made)
    assert (caught.value.reason, broker.asked) == ("APPROVAL_VOID", [])
    assert not OrderChange.objects.exists()


def test_who_asked_for_an_exit_is_told_that_it_was_taken_back(transactional_db: None) -> None:
    _, made, _ = leaving()
    assert made.approval is not None
    request, _ = request_receive(Asked("user:bob", "k", "bob", RequestKind.PLACE, {"side": "SELL"}))
    with audit.recording():
        request_accept(request)
    Approval.objects.filter(pk=made.approval.pk).update(request=request)
    assert outcome_of(request).state == "ACCEPTED"
    take_back(made.approval)
    told = outcome_of(request)
    assert (told.state, told.status, told.code) == ("REFUSED", 409, "WITHDRAWN")
    assert told.message == "withdrawn by ann: no"


def test_an_event_of_what_is_taken_back_has_no_guessed_time(transactional_db: None) -> None:
    _, made = approved()
    take_back(made.approval)  # type: ignore[arg-type]
    ended = Event.objects.filter(type__in=("ORDER_REFUSED", "APPROVAL_VOIDED"))
    assert {event.type: event.market_at for event in ended} == {"ORDER_REFUSED": None, "APPROVAL_VOIDED": None}


@pytest.mark.parametrize("how", ["unknown", "used", "body"])
def test_what_cannot_be_taken_back_says_why(transactional_db: None, how: str) -> None:
    dispatch, made = approved()
    assert made.approval is not None
    body: dict[str, Any] = {"approval": made.approval.pk}
    if how == "unknown":
        body["approval"] = 10**9
    if how == "used":
        entry_write(dispatch, made)
    if how == "body":
        body["order_ref"] = "A1-E"
    told = cancel_request(caller=ANN, key="k", body=body, broker=AWAY)
    code = {"unknown": "APPROVAL_UNKNOWN", "used": "APPROVAL_USED", "body": "INVALID"}[how]
    assert (told.state, told.code) == ("REFUSED", code)


def test_a_key_that_only_proposes_takes_back_its_own_alone(transactional_db: None) -> None:
    approval = asked()
    robot = Caller("key:1", "rob", only_proposes=True)
    assert take_back(approval, caller=robot).code == "SCOPE_MISSING"
    narrow = Caller("key:2", "sue", limits=replace(ANN.limits, accounts=("DU9",)))
    assert take_back(approval, key="k2", caller=narrow).code == "KEY_LIMITED"
    approval.refresh_from_db()
    assert approval.state == "PENDING"


def test_a_key_that_only_proposes_is_told_how_its_own_ended(transactional_db: None) -> None:
    approval = asked()
    order = approval.order
    assert order is not None
    robot, other = Caller("key:1", "rob", only_proposes=True), Caller("key:2", "oda", only_proposes=True)
    own, _ = request_receive(Asked(robot.client, "place", robot.actor, RequestKind.PLACE, {}))
    Approval.objects.filter(pk=approval.pk).update(request=own)
    Order.objects.filter(pk=order.pk).update(request=own)
    assert take_back(approval, key="k1", caller=robot).state == "ACCEPTED"
    for caller, codes in [(robot, ("APPROVAL_VOID", "ORDER_ENDED")), (other, ("SCOPE_MISSING", "SCOPE_MISSING"))]:
        told = take_back(approval, key="k2", caller=caller), end(order, key="k3", caller=caller)
        assert tuple(one.code for one in told) == codes
        assert {one.status for one in told} == {409 if caller is robot else 403}
    sent = bracket(strategy("other"), quantity="3")[0]
    more, _ = request_receive(Asked(robot.client, "more", robot.actor, RequestKind.PLACE, {}))
    Order.objects.filter(pk=sent.pk).update(request=more)
    assert end(sent, key="k4", caller=robot).code == "SCOPE_MISSING", "what is at the broker needs the scope trade"


# Beside its sender


@pytest.mark.timeout(300)
@pytest.mark.parametrize("round", range(4))
@pytest.mark.parametrize("by", ["order", "approval"])
def test_either_the_sender_or_the_withdrawal_wins(transactional_db: None, by: str, round: int) -> None:
    dispatch, made = approved()
    approval = made.approval
    assert approval is not None
    assert approval.order is not None

    def send() -> str:
        try:
            return entry_write(dispatch, made)[0].state
        except AutoTraderError as error:
            return error.reason
        finally:
            connection.close()

    def withdraw(number: int) -> str:
        ask = partial(end, approval.order) if by == "order" else partial(take_back, approval)
        told = ask(key=f"k{number}")
        connection.close()
        return told.code or told.state

    jobs: list[Any] = [send, partial(withdraw, 1), partial(withdraw, 2)]
    answers = in_threads(jobs[round % 3 :] + jobs[: round % 3], threads=3)
    approval.refresh_from_db()
    if approval.state == "USED":
        assert states(approval) == {"SENDING"}
        assert answers.count("SENDING") == 1
        assert answers.count("ACCEPTED") == 0
    else:
        assert (approval.state, states(approval)) == ("VOID", {"REFUSED"})
        assert answers.count("ACCEPTED") == 1
        assert "SENDING" not in answers
    assert verify_chain().ok


def test_who_comes_after_the_sender_cancels_at_the_broker(transactional_db: None) -> None:
    dispatch, made = approved()
    rows = entry_write(dispatch, made)
    deliver(sent(rows[0]), report(rows[0], "Submitted"))
    broker = Told()
    told = end(rows[0], broker)
    assert (told.changes[0].state, broker.asked) == ("SENDING", [rows[0].order_ref])


# Many at once


class Counted(Told):
    """Counts what was asked of the port, and says how many wishes were kept when the first was told."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.kept_at_first = 0

    def status(self) -> Any:
        self.looks += 1
        return super().status()

    def cancel(self, request: types.OrderRef) -> types.LegOutcome:
        self.kept_at_first = self.kept_at_first or OrderChange.objects.count()
        return super().cancel(request)


def many(count: int) -> list[Order]:
    rows = [bracket(strategy(f"s{number}"), quantity=str(number + 1))[0] for number in range(count)]
    for row in rows:
        deliver(sent(row), report(row, "Submitted"))
    return rows


@pytest.mark.timeout(300)
def test_many_cancels_are_all_kept_then_told_and_waited_for_once(transactional_db: None) -> None:
    orders = many(5)
    waiting = asked().order
    assert waiting is not None
    broker: Any = Counted()
    wanted = {f"k{row.pk}": {"order_ref": row.order_ref, "reason": "no"} for row in [*orders, waiting]}
    ended = wanted | {"bad": {"order_ref": "A0-E"}}
    found = cancel_requests(caller=ANN, asked=ended, broker=broker)
    assert (broker.looks, broker.kept_at_first, sorted(broker.asked)) == (1, 5, sorted(r.order_ref for r in orders))
    lines = [found.told(f"k{row.pk}") for row in orders]
    assert {(line.state, line.changes[0].state, line.order.status) for line in lines} == {
        ("ACCEPTED", "SENDING", "ACCEPTED")
    }
    assert found.told(f"k{waiting.pk}").order.status == "REFUSED"  # type: ignore[union-attr]
    assert found.told("bad").code == "UNKNOWN_ORDER"


def test_a_broken_key_among_many_keeps_no_other_back(transactional_db: None) -> None:
    first, second = many(2)
    body = {"order_ref": first.order_ref, "reason": "no"}
    broker: Any = Told(BrokerUnavailable("away"))
    assert end(first, broker, key="a").changes[0].state == "SENDING"
    both = {"a": {**body, "reason": "other"}, "b": {"order_ref": second.order_ref}}
    found = cancel_requests(caller=ANN, asked=both, broker=broker)
    assert list(found.errors) == ["a"]
    assert found.told("b").state == "ACCEPTED"
    with pytest.raises(AutoTraderError) as caught:
        found.told("a")
    assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"
