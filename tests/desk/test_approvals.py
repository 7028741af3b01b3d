"""Approvals over a real gateway: one word, one bracket; and what happens between the word and the order."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from broker.gates import HaltState, halt_set
from tests.desk.conftest import Desk, build_strategy
from tests.research.openai_server import LoopbackModelServer, agreeable
from tests.support import eventually
from tests.trading.asking import person
from trading.models import Approval, Cycle, Dispatch, Order, OrderChange, RiskProfile, Strategy
from trading.models.strategy import Mode
from trading.services.approvals import Word, approval_vote
from trading.services.dispatch_work import dispatch_run, dispatch_work
from trading.services.dispatches import dispatch_claim
from trading.services.strategies import risk_profile_save
from trading.workflow.lanes import work


def asks(desk: Desk, name: str = "asks") -> tuple[Strategy, Cycle, Approval]:
    """A cycle that ends with a question."""
    strategy = build_strategy(name, ["RISE"], mode=Mode.APPROVE)
    return strategy, *ask(desk, strategy)


def ask(desk: Desk, strategy: Strategy) -> tuple[Cycle, Approval]:
    cycle = desk.run(strategy)
    assert cycle.executions.get().outcome == "pending_approval", cycle.executions.get().reason
    approval = Approval.objects.order_by("-id").first()
    assert approval is not None
    return cycle, approval


def approve(desk: Desk, approval: Approval, name: str = "ann") -> Dispatch:
    status = desk.market.broker.status()
    word = Word(person(name), approve=True, digest=approval.digest)
    approval_vote(approval.pk, word, account=status.account, market_now=status.market_now)
    return Dispatch.objects.get(approval=approval)


def end(desk: Desk, dispatch: Dispatch) -> tuple[str, str]:
    """Run it, and what it and its approval came to."""
    dispatch_run(dispatch, desk.market.broker)
    desk.market.broker.drain()
    return dispatch.outcome, Approval.objects.get(pk=dispatch.approval_id).state


def test_one_word_sends_exactly_one_bracket(desk: Desk) -> None:
    _, cycle, approval = asks(desk)
    before = desk.frames("placeOrder")
    assert {order.state for order in desk.orders(cycle).values()} == {"PENDING_APPROVAL"}
    assert approval.what_if["available"] is True
    assert Decimal(approval.what_if["init_margin_change"]) > 0
    assert f"/approvals/{approval.pk}/" in cycle.executions.get().reason

    dispatch = approve(desk, approval)
    work("now")
    dispatch.refresh_from_db()
    assert (dispatch.state, dispatch.outcome) == ("DONE", "ordered")
    assert desk.frames("placeOrder") == before + 3
    eventually(lambda: [order.state for order in desk.orders(cycle).values()] == ["ACCEPTED"] * 3)
    assert end(desk, dispatch) == ("ordered", "USED")
    assert desk.frames("placeOrder") == before + 3
    desk.next_day()
    assert eventually(lambda: desk.orders(cycle)["entry"].state == "FILLED")
    assert verify_chain().ok


def test_people_approve_in_the_admin_on_the_page_and_over_rest(desk: Desk) -> None:
    questions = [approval for _, _, approval in several(desk, "admin", "page", "rest")]
    user = person(staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_approval"))
    client = Client()
    client.force_login(user)
    before = desk.frames("placeOrder")
    admin, page = (
        {"said": "approve", "digest": question.digest, "reason": "", "confirmed": "1"} for question in questions[:2]
    )
    shown = client.get(f"/approvals/{questions[1].pk}/now/").content.decode()
    assert re.search(r"Time left</dt><dd>600 s", shown)
    assert "from the price it was asked at" in shown
    answers = [
        client.post(f"/admin/trading/approval/{questions[0].pk}/word/", admin, follow=True),
        client.post(f"/approvals/{questions[1].pk}/", page, follow=True),
    ]
    for answer in answers:
        assert "Your word is kept" in answer.content.decode()
    said = {"digest": questions[2].digest}
    url = f"/api/approvals/{questions[2].pk}/approve"

    def spoken(key: str) -> Any:
        return client.post(url, said, content_type="application/json", headers={"Idempotency-Key": key})

    assert spoken("0").json()["state"] == "APPROVED"
    assert spoken("1").json()["error"]["code"] == "APPROVAL_GIVEN"
    work("now")
    assert list(Approval.objects.values_list("state", flat=True)) == ["USED"] * 3
    assert spoken("2").json()["error"]["code"] == "APPROVAL_USED"
    assert desk.frames("placeOrder") == before + 9


def several(desk: Desk, *names: str) -> list[tuple[Strategy, Cycle, Approval]]:
    """Small equal questions, one a strategy."""
    small = {"max_order_value": Decimal(1000), "duplicate_window_seconds": 0}
    risk_profile_save(RiskProfile(name="test", **small), actor="test")
    return [asks(desk, name) for name in names]


def test_a_worker_finds_what_another_had_sent(desk: Desk) -> None:
    _, _, approval = asks(desk)
    dispatch = approve(desk, approval)
    first = dispatch_claim("worker-1", pk=dispatch.pk)
    assert first is not None
    Dispatch.objects.update(lease_until=system_now() - timedelta(seconds=1))
    second = dispatch_claim("worker-2", pk=dispatch.pk)
    assert second is not None
    before = desk.frames("placeOrder")
    dispatch_work(first, desk.market.broker)
    assert desk.frames("placeOrder") == before, "an old epoch sends nothing"
    assert not Order.objects.filter(state="SENDING").exists()
    dispatch_work(second, desk.market.broker)
    assert desk.frames("placeOrder") == before + 3
    Dispatch.objects.update(state="RUNNING", lease_until=system_now() - timedelta(seconds=1))
    third = dispatch_claim("worker-3", pk=dispatch.pk)
    assert third is not None
    dispatch_work(third, desk.market.broker)
    third.refresh_from_db()
    assert (third.outcome, desk.frames("placeOrder")) == ("ordered", before + 3)


def test_a_word_that_comes_to_nothing(desk: Desk) -> None:
    drifted, late, halted = several(desk, "drifted", "late", "halted")
    now, before = desk.market.broker.status().market_now, desk.frames("placeOrder")
    ways = [approve(desk, approval, f"p{approval.pk}") for _, _, approval in (drifted, late, halted)]
    Approval.objects.filter(pk=drifted[2].pk).update(price=drifted[2].price * Decimal("0.98"))
    Approval.objects.filter(pk=late[2].pk).update(expires_at=now)
    assert end(desk, ways[0]) == ("refused", "VOID")
    assert end(desk, ways[1]) == ("refused", "EXPIRED")
    halt_set(HaltState.HALTED, actor="test", reason="stop")
    assert end(desk, ways[2]) == ("refused", "VOID")
    halt_set(HaltState.ACTIVE, actor="test", reason="go on")
    assert [way.reason.partition(":")[0] for way in ways] == ["APPROVAL_DRIFTED", "APPROVAL_EXPIRED", "HALTED"]
    for _, cycle, _ in (drifted, late, halted):
        assert {order.state for order in desk.orders(cycle).values()} == {"REFUSED"}
        assert desk.decision(cycle).state == "REFUSED"
    assert desk.frames("placeOrder") == before


def test_a_strategy_in_mode_approve_leaves_by_a_word_too(desk: Desk, model: LoopbackModelServer) -> None:
    strategy, cycle, approval = asks(desk)
    assert end(desk, approve(desk, approval)) == ("ordered", "USED")
    desk.next_day()
    model.otherwise = agreeable("sell", target=0.92, stop=1.04)
    leaving, question = ask(desk, strategy)
    assert question.order is None
    assert not desk.orders(leaving)
    assert not OrderChange.objects.exists()
    assert desk.orders(cycle)["stop"].state == "ACCEPTED", "the protection stays while a person thinks"
    assert end(desk, approve(desk, question, "bob")) == ("ordered", "USED")
    assert OrderChange.objects.get().order == desk.orders(cycle)["target"]
    desk.next_day()
    assert not [row for row in desk.market.broker.positions() if row.quantity]


def test_an_order_above_the_value_asks_in_mode_auto(desk: Desk) -> None:
    strategy = build_strategy("auto", ["RISE"])
    RiskProfile.objects.update(approval_above_value=Decimal(1), second_approver_above_value=Decimal(1))
    _, approval = ask(desk, strategy)
    assert (approval.cause, approval.needed) == ("value", 2)
    word = Word(person(), approve=True, digest=approval.digest)
    status = desk.market.broker.status()
    approval_vote(approval.pk, word, account=status.account, market_now=status.market_now)
    assert not Dispatch.objects.exists()
    assert end(desk, approve(desk, approval, "bob")) == ("ordered", "USED")


def test_with_orders_disabled_nobody_is_asked(desk: Desk, settings: Any) -> None:
    settings.ORDERS_ENABLED = False
    strategy = build_strategy("asks", ["RISE"], mode=Mode.APPROVE)
    assert desk.run(strategy).executions.get().outcome == "simulated"
    assert not Approval.objects.exists()
