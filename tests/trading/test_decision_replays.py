"""Judging a stored decision again: by the code of today, without model or broker, and what is not known is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from autotrader.core.audit.models import Event
from broker.models import Submission
from research.models import ModelCall
from tests.research.openai_server import LoopbackModelServer, agreeable, fails
from tests.trading.asked_decisions import asked_decision, configured_model
from tests.trading_admin.story import tell
from trading.models import Decision, Order
from trading.selectors.second_looks import last_replay
from trading.services.decision_replays import Part, Replay, decision_replay, replayed

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(settings: Any) -> Iterator[LoopbackModelServer]:
    with configured_model(settings) as server:
        yield server


def parts(found: Replay) -> dict[str, Part]:
    return {part.name: part for part in found.parts}


def test_what_a_model_said_comes_to_the_same(model: LoopbackModelServer) -> None:
    decision = asked_decision(model)
    asked = len(model.questions)
    found = replayed(decision)
    told = parts(found)
    assert [name for name, part in told.items() if not part.same] == []
    assert (told["decision"].today, told["target"].today, told["stop"].today) == ("buy", "109.62", "97.44")
    assert told["what it means"].today == "entry"
    assert {"R", "profit margin", "size", "control protective_bracket", "control order_size"} <= set(told)
    assert any("limits of that day" in reason for reason in found.not_judged)
    assert any("whether an entry worked" in reason for reason in found.not_judged)
    assert len(model.questions) == asked


def test_a_difference_is_named(model: LoopbackModelServer) -> None:
    decision = asked_decision(model)
    profile = decision.strategy.risk_profile
    profile.max_order_quantity = 1
    profile.save()
    Decision.objects.filter(pk=decision.pk).update(target_price="109.00")
    call = ModelCall.objects.get(purpose="chart 1")
    call.answer = call.answer.replace('"bullish"', '"upward"')
    found = parts(replayed(Decision.objects.get(pk=decision.pk)))
    assert (found["target"].then, found["target"].today) == ("109", "109.62")
    assert found["size"].today == "1"
    assert not found["size"].same
    call.save()
    found = parts(replayed(Decision.objects.get(pk=decision.pk)))
    assert (found["answer to chart 1"].then, found["answer to chart 1"].today) == ("accepted", "schema_invalid")
    assert (found["decision"].then, found["decision"].today) == ("buy", "hold")


def test_a_call_that_failed_is_not_read_anew(model: LoopbackModelServer) -> None:
    model.otherwise = lambda question: fails(500)
    decision = asked_decision(model)
    found = parts(replayed(decision))
    assert (found["answer to chart 1"].then, found["answer to chart 1"].today) == ("model_error", "model_error")
    assert found["reason"].same


def test_a_hold_of_the_model_stays_one(model: LoopbackModelServer) -> None:
    model.otherwise = agreeable("hold")
    found = parts(replayed(asked_decision(model)))
    assert (found["decision"].today, found["reason"].today) == ("hold", "model_hold")
    assert all(part.same for part in found.values())


def test_the_rules_see_their_stored_bars_again() -> None:
    found = replayed(tell("buy").decision)
    told = parts(found)
    assert told["direction of 1 day"].same
    assert told["direction of 1 week"].same
    assert "decision" in told


def test_it_is_kept_once_a_form_and_places_nothing(model: LoopbackModelServer) -> None:
    decision, key = asked_decision(model), uuid4().hex
    before = list(Decision.objects.values())
    for _ in range(2):
        decision_replay(decision, actor="ann", key=key)
    events = Event.objects.filter(type="DECISION_REPLAYED")
    assert [(row.actor, row.subject) for row in events] == [("ann", f"decision:{decision.pk}")]
    kept = last_replay(decision.pk)
    assert kept is not None
    assert (kept.actor, kept.different) == ("ann", [])
    assert kept.not_judged
    assert list(Decision.objects.values()) == before
    assert (Order.objects.count(), Submission.objects.count()) == (0, 0)
