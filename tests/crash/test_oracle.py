"""The judge is judged: a sound world passes every check, and each way of breaking it is named by its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from broker.models import Submission
from research.models import ModelCall
from tests.crash.harness.oracle import CHECKS, judge
from tests.crash.harness.world import Answer, World
from tests.crash.sound import START, approved, at_broker, discrepancy, framed, orders, shown, sound, truth_of
from tests.database import append_only_lifted
from tests.trading.builders import bracket, claimed, strategy
from trading.models import Approval, Discrepancy, Fill, Order, OrderChange, RiskVerdict, StepRun, WorkflowExecution

__all__ = ["orders", "sound"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


def rules(world: World) -> set[str]:
    """The names of the checks that find something."""
    return {violation.rule for violation in judge(world)}


def with_truth(world: World, **changes: Any) -> World:
    return replace(world, truth={**world.truth, **changes})


def test_a_sound_world_passes_every_check(sound: World) -> None:
    assert judge(sound) == []


def test_a_second_frame_of_an_intent_is_found(sound: World, orders: list[Order]) -> None:
    assert rules(replace(sound, frames=[*sound.frames, framed(orders[0])])) == {"I1"}


def test_a_second_order_under_one_reference_is_found(sound: World, orders: list[Order]) -> None:
    twin = at_broker(orders[2], order_id=999)
    assert "I1" in rules(with_truth(sound, orders={**sound.orders, "777": twin}))


def test_a_copy_that_works_is_found_until_a_person_is_told(sound: World, orders: list[Order]) -> None:
    world = with_truth(sound, orders={**sound.orders, "777": at_broker(orders[2])})
    assert "I1" in rules(world)
    discrepancy(orders[2], "doubled")
    assert "I1" not in rules(replace(world, before=None))


def test_a_frame_before_its_record_is_found(sound: World, orders: list[Order]) -> None:
    Submission.objects.filter(order_ref=orders[0].order_ref).update(created_at=system_now() + timedelta(seconds=1))
    assert "I2" in rules(sound)


def test_a_frame_before_the_intent_is_found(sound: World, orders: list[Order]) -> None:
    Order.objects.filter(pk=orders[0].pk).update(sending_at=system_now() + timedelta(seconds=1))
    assert "I2" in rules(sound)


def test_a_stranger_at_the_broker_without_a_row_is_found(sound: World, orders: list[Order]) -> None:
    stranger = at_broker(orders[0], order_ref="", client_id=0)
    assert rules(with_truth(sound, orders={**sound.orders, "777": stranger})) == {"I2"}


@pytest.mark.parametrize("change", [{"quantity": "11"}, {"action": "SELL"}, {"limit_price": "102"}])
def test_a_frame_that_says_something_else_than_its_record_is_found(
    sound: World, orders: list[Order], change: dict[str, str]
) -> None:
    assert rules(replace(sound, frames=[framed(orders[0], **change), *sound.frames[1:]])) == {"I3"}


def test_a_frame_that_left_after_its_deadline_is_found(sound: World) -> None:
    late = replace(sound.frames[0], at=system_now() + timedelta(seconds=17))
    assert rules(replace(sound, frames=[late, *sound.frames[1:]])) == {"I3"}


def test_an_order_that_a_control_refused_is_found(sound: World, orders: list[Order]) -> None:
    RiskVerdict.objects.update(allowed=False)
    assert rules(sound) == {"I3"}


def test_an_order_on_which_no_control_spoke_is_found(sound: World) -> None:
    RiskVerdict.objects.all().delete()
    assert rules(sound) == {"I3"}


def test_another_order_than_the_recorded_one_is_found(sound: World, orders: list[Order]) -> None:
    Submission.objects.filter(order_ref=orders[0].order_ref).update(intent_hash="another")
    assert "I3" in rules(sound)


@pytest.mark.parametrize(
    ("change", "votes"),
    [({}, 0), ({"needed": 2}, 1), ({"state": "PENDING"}, 1), ({"state": "EXPIRED"}, 1), ({"digest": "another"}, 1)],
    ids=["no vote", "one of two", "pending", "expired", "of another order"],
)
def test_an_order_that_was_sent_without_the_needed_persons_is_found(
    sound: World, orders: list[Order], change: dict[str, Any], votes: int
) -> None:
    approval = approved(orders[0])
    world = replace(sound, before=None)
    assert rules(world) == set()
    for name, value in change.items():
        Approval.objects.filter(pk=approval.pk).update(**{name: value})
    if not votes:
        approval.votes.all().delete()
    assert rules(world) == {"I3"}


def test_a_frame_that_says_something_else_than_was_approved_is_found(sound: World, orders: list[Order]) -> None:
    approval = approved(orders[0])
    Approval.objects.filter(pk=approval.pk).update(terms={"legs": [{**shown(orders[0])["legs"][0], "quantity": "9"}]})
    assert rules(replace(sound, before=None)) == {"I3"}


def test_an_approval_that_was_used_too_late_is_found(sound: World, orders: list[Order]) -> None:
    subject = f"approval:{approved(orders[0]).pk}"
    with audit.recording():
        audit.record(EventType.APPROVAL_USED, subject, version=3, market_at=system_now() + timedelta(seconds=1))
    assert rules(replace(sound, seen=None, before=None)) == {"I3"}


def test_an_execution_that_we_never_booked_is_found(sound: World) -> None:
    extra = {"0000e0d5.ffff.01.01": {"shares": "1", "price": "100"}}
    assert rules(with_truth(sound, executions={**sound.truth["executions"], **extra})) == {"I4"}


def test_a_correction_that_was_not_applied_is_found(sound: World) -> None:
    (exec_id,) = sound.truth["executions"]
    corrected = {exec_id[:-2] + "02": {"shares": "9", "price": "100"}}
    assert rules(with_truth(sound, executions=corrected)) == {"I4"}


def test_an_execution_that_was_booked_for_another_order_is_found(sound: World, orders: list[Order]) -> None:
    Fill.objects.filter(order=orders[0]).update(order=orders[1])
    assert "I4" in rules(sound)


def test_a_holding_that_differs_is_found(sound: World, orders: list[Order]) -> None:
    positions = {str(orders[0].instrument.con_id): {"quantity": "9"}}
    assert rules(with_truth(sound, positions=positions)) == {"I5"}


def test_two_cents_of_cash_are_found(sound: World) -> None:
    assert rules(replace(sound, cash_start=START + Decimal("0.02"))) == {"I5"}


def test_a_state_that_no_event_led_to_is_found(sound: World, orders: list[Order]) -> None:
    Order.objects.filter(pk=orders[0].pk).update(state="ACCEPTED")
    assert "I6" in rules(sound)


def test_a_way_that_the_graph_forbids_is_found(sound: World, orders: list[Order]) -> None:
    with audit.recording():
        subject = f"order:{orders[0].order_ref}"
        audit.record(EventType.ORDER_SENDING, subject, version=99, old_state="FILLED", new_state="SENDING")
    assert "I6" in rules(sound)


def test_an_order_at_the_broker_that_another_than_the_broker_moved_is_found(sound: World, orders: list[Order]) -> None:
    subject = f"order:{orders[1].order_ref}"
    Order.objects.filter(pk=orders[1].pk).update(state="REJECTED")
    with audit.acting(actor="strategy:s"), audit.recording():
        audit.record(EventType.ORDER_REJECTED, subject, version=99, old_state="ACCEPTED", new_state="REJECTED")
    assert "I6" in rules(sound)


def test_a_fill_above_the_quantity_is_found(sound: World, orders: list[Order]) -> None:
    Order.objects.filter(pk=orders[0].pk).update(quantity=9)
    assert "I6" in rules(sound)


def test_a_fill_that_left_no_event_is_found(sound: World) -> None:
    Fill.objects.update(exec_id="0000e0d5.another.01.01")
    assert "I7" in rules(sound)


def test_an_edited_event_is_found(sound: World) -> None:
    with connection.cursor() as cursor, append_only_lifted(cursor):
        Event.objects.filter(seq=3).update(cause="nothing happened")
    assert rules(sound) == {"I7"}


@pytest.mark.parametrize(
    "spoiled",
    [lambda seen: seen[:-1], lambda seen: [*seen, seen[-1]], lambda seen: [seen[1], seen[0], *seen[2:]]],
    ids=["lost", "twice", "swapped"],
)
def test_what_the_reader_saw_wrongly_is_found(sound: World, spoiled: Callable[[list[int]], list[int]]) -> None:
    assert sound.seen is not None
    assert rules(replace(sound, seen=spoiled(list(sound.seen)))) == {"I8"}


def test_an_entry_that_left_after_a_halt_is_found(sound: World, orders: list[Order]) -> None:
    with audit.recording():
        audit.record(EventType.HALT_CHANGED, "halt:1", version=1, old_state="ACTIVE", new_state="HALTED")
    assert "I9" not in rules(sound)
    late = replace(sound.frames[0], at=system_now() + timedelta(seconds=1))
    assert "I9" in rules(replace(sound, frames=[late, *sound.frames[1:]]))


def test_an_entry_that_left_after_the_halt_s_file_is_found_before_its_row_is_there(sound: World) -> None:
    halted = replace(sound, halted_at=system_now())
    assert "I9" not in rules(halted)
    late = replace(sound.frames[0], at=system_now() + timedelta(seconds=1))
    assert "I9" in rules(replace(halted, frames=[late, *sound.frames[1:]]))


def test_an_accepted_cancel_that_is_forgotten_is_found(sound: World, orders: list[Order]) -> None:
    stop = orders[1]
    cancel = OrderChange.objects.create(order=stop, kind="cancel", revision=0, state="SENDING", created_at=system_now())
    world = replace(sound, before=None)
    assert "cancel" not in rules(world)  # open
    OrderChange.objects.filter(pk=cancel.pk).update(state="REJECTED", ended_at=system_now())
    assert "cancel" in rules(world)
    discrepancy(stop, "cancel")
    assert "cancel" not in rules(world)  # a person was told
    Discrepancy.objects.update(state="RESOLVED")
    assert "cancel" in rules(world)
    Order.objects.filter(pk=stop.pk).update(state="CANCELLED")
    assert "cancel" not in rules(world)  # ended


def test_two_answers_to_one_key_are_found(sound: World) -> None:
    answers = [Answer("user:a", "k", "body", told) for told in ("one", "two")]
    assert rules(replace(sound, answers=answers)) == {"I10"}


def test_an_order_that_stays_uncertain_is_found_until_a_person_is_told(orders: list[Order]) -> None:
    uncertain = bracket(strategy("other", ["IBM"]), "IBM")[0]
    world = World(truth=truth_of(orders), frames=(), cash_start=START, seen=None)
    assert "I11" not in rules(world)
    late = replace(world, now=system_now() + timedelta(seconds=61))
    assert "I11" in rules(late)
    assert "I11" in rules(replace(world, now=system_now() + timedelta(seconds=4), factor=0.05))
    for order in Order.objects.filter(group=uncertain.group):
        discrepancy(order, "unknown_order")
    assert "I11" not in rules(late)


def test_what_a_worker_wrote_after_it_was_replaced_is_found(sound: World, orders: list[Order]) -> None:
    execution = WorkflowExecution.objects.get()
    with audit.recording():
        audit.record(
            EventType.EXECUTION_RESUMED, f"execution:{execution.pk}", version=90, new_state="RUNNING", cause="epoch 2"
        )
    with audit.recording():
        audit.record(EventType.STEP_DONE, f"step:{execution.pk}.7", version=1, new_state="DONE")
    now = system_now()
    StepRun.objects.create(
        execution=execution, index=7, name="late", state="DONE", epoch=1, worker="w", started_at=now, finished_at=now,
        ms=0,
    )  # fmt: skip
    assert "I12" in rules(sound)


def test_a_frame_that_was_recorded_after_the_work_was_taken_over_is_found(sound: World, orders: list[Order]) -> None:
    with audit.recording():
        subject = f"execution:{WorkflowExecution.objects.get().pk}"
        audit.record(EventType.EXECUTION_RESUMED, subject, version=90, new_state="RUNNING", cause="epoch 2")
    assert "I12" not in rules(sound)
    Submission.objects.filter(order_ref=sound.frames[0].ref).update(created_at=system_now())
    assert "I12" in rules(sound)


def test_an_end_by_a_worker_that_was_replaced_is_found(sound: World) -> None:
    subject = f"execution:{WorkflowExecution.objects.get().pk}"
    for kind, cause in ((EventType.EXECUTION_RESUMED, "epoch 2"), (EventType.EXECUTION_FAILED, "late")):
        with audit.recording():
            audit.record(kind, subject, version=90, cause=cause, document={"epoch": 1})
    assert "I12" in rules(sound)


def test_a_question_that_nobody_paid_for_is_found(sound: World) -> None:
    asked = replace(sound, provider_calls=1)
    assert rules(asked) == {"I13"}
    ModelCall.objects.create(purpose="p", prompt_name="n", prompt_version="1", prompt_hash="h", model="m",
                             request="", cache_key="c", created_at=system_now())  # fmt: skip
    assert rules(asked) == set()


def test_a_row_that_a_second_recovery_changed_is_found(sound: World, orders: list[Order]) -> None:
    Order.objects.filter(pk=orders[1].pk).update(broker_detail="seen again", version=99)
    assert rules(sound) == {"I14"}


def test_a_holding_without_its_stop_is_found_until_a_person_is_told(sound: World, orders: list[Order]) -> None:
    stop = orders[1]
    ended = {**sound.orders, str(stop.perm_id): at_broker(stop, status="Cancelled", remaining="0")}
    world = with_truth(sound, orders=ended)
    assert rules(world) == {"naked"}
    discrepancy(stop, "naked")
    assert "naked" not in rules(world)


def test_an_entry_whose_stop_never_came_is_found(sound: World, orders: list[Order]) -> None:
    left = {perm_id: row for perm_id, row in sound.orders.items() if perm_id != str(orders[1].perm_id)}
    assert "naked" in rules(with_truth(sound, orders=left))


def test_work_that_nobody_ended_is_found(sound: World) -> None:
    claimed(strategy("other", ["IBM"]), "IBM")
    assert "work" in rules(sound)


def test_every_check_has_been_seen_to_find_something() -> None:
    """One test above names each."""
    text = Path(__file__).read_text()
    assert [name for name in CHECKS if f'"{name}"' not in text] == []
