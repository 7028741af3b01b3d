"""A person's word on one exact order: heard once, in time, from who may give it, and worth one order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.users.models import User
from tests.support import in_threads
from tests.trading.asking import COST, asked, person, say
from tests.trading.builders import CLOSE, NOW, D, bought, claimed, decided, intent, strategy
from trading.models import Approval, ApprovalVote, Decision, Dispatch, Order, RiskProfile
from trading.models.strategy import Mode
from trading.services.approval_states import ApprovalRefused
from trading.services.approvals import Needed, approval_needed, approval_request, approvals_expire, was_asked_by
from trading.services.intents import digest_of
from trading.services.strategies import risk_profile_save

TEN = timedelta(minutes=10)
SECOND = timedelta(seconds=1)


def code(word: Callable[[], object]) -> str:
    """The code with which the word is refused; and that no order goes on because of it."""
    with pytest.raises(ApprovalRefused) as caught:
        word()
    assert not Dispatch.objects.exists()
    return caught.value.reason


def states(approval: Approval) -> set[str]:
    return set(Order.objects.filter(group=approval.order.group).values_list("state", flat=True))  # type: ignore[union-attr]


def needs(row: Any) -> Needed | None:
    return approval_needed(intent(decided(claimed(row))))


# Who is asked


def test_by_mode_or_by_value_and_otherwise_nobody(db: None) -> None:
    assert needs(strategy("auto")) is None
    assert needs(strategy("asks", mode=Mode.APPROVE)) == Needed("mode", 1)
    assert needs(strategy("small", limits={"approval_above_value": D("1010.01")})) is None
    assert needs(strategy("large", limits={"approval_above_value": D("1010")})) == Needed("value", 1)
    assert needs(strategy("two", mode=Mode.APPROVE, limits={"second_approver_above_value": D("1010")})) == Needed(
        "value", 2
    )


def test_the_desk_asks_whatever_the_strategy_says(db: None) -> None:
    RiskProfile.objects.filter(is_desk=True).delete()
    risk_profile_save(RiskProfile(name="desk", is_desk=True, approval_above_value=D("1000")), actor="test")
    assert needs(strategy()) == Needed("value", 1)


# The question


def test_the_question_holds_the_exact_order(db: None) -> None:
    approval = asked()
    assert states(approval) == {"PENDING_APPROVAL"}
    assert approval.digest == digest_of(approval.terms) == approval.order.intent_hash  # type: ignore[union-attr]
    assert [leg["role"] for leg in approval.terms["legs"]] == ["entry", "stop", "target"]
    assert [leg["limit_price"] or leg["stop_price"] for leg in approval.terms["legs"]] == ["101", "95", "110"]
    assert (approval.value, approval.price, approval.expires_at) == (D(1010), D(100), NOW + TEN)
    assert (approval.rationale, approval.what_if) == ("because", COST)
    assert verify_chain().ok


def test_the_question_ends_with_the_session(db: None) -> None:
    row = strategy(mode=Mode.APPROVE)
    execution = claimed(row)
    soon = NOW + timedelta(minutes=3)
    made = intent(decided(execution), expires_at=soon)
    assert approval_request(execution, made, Needed("mode", 1), COST, asked_by="x").expires_at == soon < CLOSE


def test_an_exit_waits_without_a_row(db: None) -> None:
    row = strategy()
    bought(row)
    row.mode = Mode.APPROVE
    row.save()
    execution = claimed(row)
    made = intent(decided(execution, "sell", position="10"))
    approval = approval_request(execution, made, Needed("mode", 1), COST, asked_by="x")
    assert approval.order is None
    assert [leg["role"] for leg in approval.terms["legs"]] == ["exit"]
    say(approval, person())
    assert Dispatch.objects.get().approval == approval


# The word


def test_a_yes_queues_one_dispatch(db: None) -> None:
    approval = asked()
    assert say(approval, person()).state == "APPROVED"
    assert states(approval) == {"APPROVED"}
    assert Dispatch.objects.get().state == "QUEUED"
    kinds = list(Event.objects.filter(subject=f"approval:{approval.pk}").order_by("seq").values_list("type", flat=True))
    assert kinds == ["APPROVAL_REQUESTED", "APPROVAL_VOTED", "APPROVAL_GIVEN"]
    assert len(set(Event.objects.filter(subject=f"approval:{approval.pk}").values_list("correlation_id"))) == 1


def test_a_no_ends_the_order_with_its_reason(db: None) -> None:
    approval = asked()
    assert say(approval, person(), yes=False, reason="too late in the day").state == "REJECTED"
    assert states(approval) == {"REFUSED"}
    assert Decision.objects.get().state == "REFUSED"
    order = Order.objects.first()
    assert order is not None
    assert "too late in the day" in order.reason
    assert code(lambda: say(approval, person("bob"))) == "APPROVAL_REJECTED"


def test_a_no_needs_a_reason_and_no_market(db: None) -> None:
    approval = asked()
    assert code(lambda: say(approval, person(), yes=False)) == "APPROVAL_REASON_NEEDED"
    assert say(approval, person("bob"), yes=False, reason="no", at=None, account="").state == "REJECTED"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"digest": "0" * 64}, "APPROVAL_CHANGED"),
        ({"digest": ""}, "APPROVAL_CHANGED"),
        ({"account": "DU7654321"}, "APPROVAL_FOREIGN"),
        ({"account": ""}, "APPROVAL_FOREIGN"),
        ({"at": None}, "APPROVAL_TIME_UNKNOWN"),
        ({"at": NOW + TEN}, "APPROVAL_EXPIRED"),
    ],
)
def test_a_yes_that_is_not_taken(db: None, change: Any, expected: str) -> None:
    approval = asked()
    assert code(lambda: say(approval, person(), **change)) == expected
    assert not ApprovalVote.objects.exists()


def test_the_last_second_counts_and_the_exact_one_does_not(db: None) -> None:
    approval = asked()
    assert say(approval, person(), at=NOW + TEN - SECOND).state == "APPROVED"
    late = asked(strategy("late", symbols=("IBM", "AAPL"), mode=Mode.APPROVE, limits={"duplicate_window_seconds": 0}))
    with pytest.raises(ApprovalRefused) as caught:
        say(late, person("bob"), at=NOW + TEN)
    assert caught.value.reason == "APPROVAL_EXPIRED"
    late.refresh_from_db()
    assert (late.state, states(late)) == ("EXPIRED", {"REFUSED"})


def test_who_has_no_permission_or_no_account_any_more(db: None) -> None:
    approval, retired = asked(), person("bob")
    assert code(lambda: say(approval, person(may=False))) == "APPROVAL_FORBIDDEN"
    retired.is_active = False
    assert code(lambda: say(approval, retired)) == "APPROVAL_FORBIDDEN"


def test_an_order_that_was_changed_behind_the_digest(db: None) -> None:
    approval = asked()
    Order.objects.filter(pk=approval.order_id).update(quantity=D(11))
    assert code(lambda: say(approval, person())) == "APPROVAL_CHANGED"
    other = {**approval.terms, "account": "DU7654321"}
    Order.objects.filter(pk=approval.order_id).update(quantity=D(10))
    Approval.objects.filter(pk=approval.pk).update(terms=other)
    assert code(lambda: say(approval, person("bob"))) == "APPROVAL_CHANGED"


def test_without_the_brokers_numbers_a_yes_needs_a_reason(db: None) -> None:
    approval = asked(what_if={"available": False, "reason": "BROKER_UNAVAILABLE: no answer"})
    ann = person()
    assert code(lambda: say(approval, ann)) == "APPROVAL_REASON_NEEDED"
    assert say(approval, ann, reason="the margin is small").state == "APPROVED"


@pytest.mark.parametrize("by", ["ann", "user:ann", "ann by key 1a2b3c4d"])
def test_two_persons_who_are_not_the_one_that_asked(db: None, by: str) -> None:
    approval = asked(needed=Needed("value", 2), by=by)
    ann, bob, eve = person(), person("bob"), person("eve")
    assert code(lambda: say(approval, ann)) == "APPROVAL_OWN_REQUEST"
    assert say(approval, bob).state == "PENDING"
    assert code(lambda: say(approval, bob)) == "APPROVAL_ALREADY_VOTED"
    assert states(approval) == {"PENDING_APPROVAL"}
    assert say(approval, eve).state == "APPROVED"
    assert Dispatch.objects.count() == 1


def test_who_asked_may_withdraw_and_may_approve_alone_what_needs_one(db: None) -> None:
    ann = person()
    assert say(asked(needed=Needed("value", 2), by="ann"), ann, yes=False, reason="mistaken").state == "REJECTED"
    row = strategy("other", mode=Mode.APPROVE, limits={"duplicate_window_seconds": 0})
    assert say(asked(row, by="ann"), ann).state == "APPROVED"


def test_what_nobody_answers_ends_at_the_sweep(db: None) -> None:
    approval = asked()
    assert approvals_expire(approval.account_id, approval.expires_at - SECOND) == 0
    assert approvals_expire("DU7654321", approval.expires_at) == 0
    assert approvals_expire(approval.account_id, approval.expires_at) == 1
    assert approvals_expire(approval.account_id, approval.expires_at) == 0
    assert states(approval) == {"REFUSED"}
    assert code(lambda: say(approval, person(), at=approval.expires_at)) == "APPROVAL_EXPIRED"
    assert verify_chain().ok


def test_an_approved_order_that_no_worker_took_ends_too(db: None) -> None:
    approval = asked()
    say(approval, person())
    assert approvals_expire(approval.account_id, approval.expires_at) == 1
    assert states(approval) == {"REFUSED"}


@pytest.mark.timeout(300)
def test_fifty_parallel_words_are_one_dispatch(transactional_db: None) -> None:
    approval = asked()
    people = [person(f"p{number}") for number in range(50)]

    def attempt(user: Any) -> str:
        try:
            return say(approval, user).state
        except ApprovalRefused as error:
            return error.reason
        finally:
            connection.close()

    answers = in_threads([partial(attempt, user) for user in people], threads=10)
    assert sorted(set(answers)) == ["APPROVAL_GIVEN", "APPROVED"]
    assert answers.count("APPROVED") == 1
    assert Dispatch.objects.count() == ApprovalVote.objects.count() == 1
    assert verify_chain().ok


@pytest.mark.timeout(300)
def test_one_person_clicking_many_times_has_one_word(transactional_db: None) -> None:
    approval = asked(needed=Needed("value", 2))
    ann = person()

    def attempt(_: int) -> str:
        try:
            return say(approval, ann).state
        except ApprovalRefused as error:
            return error.reason
        finally:
            connection.close()

    answers = in_threads([partial(attempt, number) for number in range(8)], threads=8)
    assert sorted(set(answers)) == ["APPROVAL_ALREADY_VOTED", "PENDING"]
    assert ApprovalVote.objects.count() == 1
    assert not Dispatch.objects.exists()


@pytest.mark.parametrize(
    ("by", "name", "own"),
    [("ann", "an", False), ("ann by key 1", "ann", True), ("ann", "annabel", False), ("x" * 80, "x" * 150, True)],
)
def test_who_asked_is_told_from_the_actor(by: str, name: str, own: bool) -> None:
    assert was_asked_by(by, User(username=name)) is own
