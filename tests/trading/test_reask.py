"""Asking a model again: the same questions word for word, both answers kept, paid for, and never an order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django_q.models import OrmQ

import trading.services.reask
import trading.workflow.reasking
from autotrader.core.artifacts.models import Artifact
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict
from broker.models import Submission
from research import services
from research.models import ModelBudget, ModelCall
from tests.research.openai_server import LoopbackModelServer, agreeable, fails, says
from tests.research.test_model import whole
from tests.trading.asked_decisions import asked_decision, configured_model, settings_of
from tests.trading.builders import bracket
from trading.models import Approval, Decision, Dispatch, Order, OrderChange, OrderRequest
from trading.selectors import second_looks
from trading.selectors.second_looks import asked_again
from trading.services.reask import REASK_TASK, reask_problem, reask_queue
from trading.tasks import reask

pytestmark = pytest.mark.django_db
FORBIDDEN = {
    "orders",
    "intents",
    "sending",
    "dispatches",
    "dispatch_work",
    "order_moves",
    "approved_intents",
    "changes",
}


@pytest.fixture
def model(settings: Any) -> Iterator[LoopbackModelServer]:
    with configured_model(settings) as server:
        yield server


def again(decision: Decision, key: str = "") -> str:
    """Wish for it and do what a worker does."""
    correlation = reask_queue(decision, actor="ann", key=key or uuid4().hex)
    reask(correlation)
    return correlation


def by_purpose(decision: Decision) -> dict[str, Any]:
    return {str(answer["purpose"]): answer for answer in asked_again(decision.pk)[0].answers}


def spent_by_day() -> Decimal:
    """What the budgets of all days have spent: midnight may come between two questions."""
    scopes = ModelBudget.objects.filter(scope__startswith="day:").values_list("scope", flat=True)
    return sum((services.committed(scope) for scope in scopes), Decimal(0))


@pytest.mark.once
def test_the_same_questions_and_pictures_arrive_and_both_answers_are_kept(model: LoopbackModelServer) -> None:
    decision = asked_decision(model)
    first = list(model.questions)
    model.otherwise = agreeable(target=1.10, confidence=0.4)
    correlation = again(decision)
    second = model.questions[len(first) :]
    assert [question.messages for question in second] == [question.messages for question in first]
    assert [question.images for question in second] == [question.images for question in first]
    assert [question.body["model"] for question in second] == ["test-model"] * 4
    row = asked_again(decision.pk)[0]
    assert (row.correlation_id, row.actor) == (correlation, "ann")
    assert row.ended_at is not None
    told = by_purpose(decision)
    assert list(told) == ["chart 1", "chart 2", "consolidation", "decision"]
    assert told["decision"]["changed"] == ["target_price", "confidence"]
    assert (told["decision"]["then"]["confidence"], told["decision"]["now"]["confidence"]) == (0.7, 0.4)
    assert told["chart 1"]["changed"] == []
    assert "other answers: decision (target_price, confidence)" in row.why
    kinds = Event.objects.filter(correlation_id=correlation).order_by("seq").values_list("type", "actor")
    assert [kind for kind, _ in kinds] == ["DECISION_ASKED_AGAIN", "DECISION_ASKING_AGAIN", "DECISION_ANSWERED_AGAIN"]


def test_it_is_paid_from_the_budget_of_the_day_and_shown(model: LoopbackModelServer) -> None:
    decision = asked_decision(model)
    before = spent_by_day()
    again(decision)
    calls = ModelCall.objects.filter(purpose__startswith="again ")
    paid = sum((call.cost for call in calls), Decimal(0))
    assert (calls.count(), paid > 0) == (4, True)
    assert spent_by_day() - before == paid
    assert asked_again(decision.pk)[0].cost == paid


@pytest.mark.once
@pytest.mark.parametrize("kind", ["buy", "sell", "hold", "nonsense", "error"])
def test_nothing_that_is_answered_leads_to_an_order(
    model: LoopbackModelServer, kind: str, django_capture_on_commit_callbacks: Any
) -> None:
    bracket()
    decision = asked_decision(model)
    answers: dict[str, Any] = {
        "sell": agreeable("sell", target=0.92, stop=1.04),
        "nonsense": lambda question: says("BUY it all, place the order now"),
        "error": lambda question: fails(500),
    }
    model.otherwise = answers.get(kind) or agreeable(kind)
    tables = (Order, OrderChange, OrderRequest, Approval, Dispatch, Submission, Decision)
    before = [list(table._default_manager.order_by("pk").values()) for table in tables]
    with django_capture_on_commit_callbacks(execute=True):
        again(decision)
    assert [list(table._default_manager.order_by("pk").values()) for table in tables] == before
    assert [row.task["func"] for row in OrmQ.objects.all()] == [REASK_TASK]
    assert len(by_purpose(decision)) == 4


def test_its_code_knows_of_no_order() -> None:
    for module in (trading.services.reask, trading.workflow.reasking):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not [name for name in names if name.split(".")[0] == "broker"]
        assert not {name.rpartition(".")[2] for name in names} & FORBIDDEN


@pytest.mark.once
def test_no_later_question_is_answered_with_it(model: LoopbackModelServer) -> None:
    decision = asked_decision(model)
    model.otherwise = agreeable("sell", target=0.92, stop=1.04)
    again(decision)
    asked = len(model.questions)
    said, calls = whole(settings_of(model))
    assert (said.type, len(model.questions)) == ("buy", asked)
    assert all(call.cached for call in calls)


def test_one_form_asks_once_and_a_task_delivered_twice_too(
    model: LoopbackModelServer, django_capture_on_commit_callbacks: Any
) -> None:
    decision, key = asked_decision(model), uuid4().hex
    with django_capture_on_commit_callbacks(execute=True):
        one, two = (reask_queue(decision, actor="ann", key=key) for _ in range(2))
    assert one == two
    assert [(row.task["func"], row.task["args"], row.key) for row in OrmQ.objects.all()] == [
        (REASK_TASK, (one,), "work")
    ]
    with pytest.raises(Conflict, match="being asked again already"):
        reask_queue(decision, actor="bob", key=uuid4().hex)
    asked = len(model.questions)
    reask(one)
    reask(one)
    assert len(model.questions) == asked + 4
    assert len(asked_again(decision.pk)) == 1
    assert reask_problem(decision) == ""


@pytest.mark.once
def test_a_model_that_fails_is_shown_as_that(model: LoopbackModelServer) -> None:
    decision = asked_decision(model)
    model.otherwise = lambda question: fails(503)
    again(decision)
    told = by_purpose(decision)
    assert {answer["now_failure"] for answer in told.values()} == {"model_error: the model endpoint answered 503"}
    assert not any(answer["compared"] for answer in told.values())
    assert told["decision"]["then"]["type"] == "buy"


@pytest.mark.once
def test_a_spent_budget_asks_nothing(model: LoopbackModelServer, settings: Any) -> None:
    decision = asked_decision(model)
    settings.AUTOTRADER_AI_BUDGET_USD_PER_DAY = Decimal("0.0001")
    asked = len(model.questions)
    again(decision)
    assert len(model.questions) == asked
    assert all(str(row["now_failure"]).startswith("budget_exhausted: ") for row in by_purpose(decision).values())


@pytest.mark.once
def test_what_is_not_kept_any_more_is_said(model: LoopbackModelServer, settings: Any) -> None:
    decision = asked_decision(model)
    Artifact.objects.filter(kind="chart").delete()
    again(decision)
    assert "is not kept any more" in by_purpose(decision)["chart 1"]["now_failure"]
    assert by_purpose(decision)["decision"]["now_failure"] == ""
    settings.OPENAI_API_BASE = "http://127.0.0.1:9/v1"
    again(decision)
    assert "http://127.0.0.1:9/v1 is configured now" in by_purpose(decision)["decision"]["now_failure"]


def test_a_process_that_died_is_not_asked_for_again(
    model: LoopbackModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = asked_decision(model)
    correlation = reask_queue(decision, actor="ann", key=uuid4().hex)
    assert trading.services.reask.reask_begin(decision, correlation)
    asked = len(model.questions)
    reask(correlation)
    assert asked_again(decision.pk)[0].ended_at is None
    monkeypatch.setattr(trading.workflow.reasking, "LONGEST", system_now() - system_now())
    reask(correlation)
    assert "the process ended" in asked_again(decision.pk)[0].why
    assert len(model.questions) == asked


@pytest.mark.once
def test_where_no_model_decided_or_none_is_configured(model: LoopbackModelServer, settings: Any) -> None:
    decision = asked_decision(model)
    by_rules = bracket()[0].decision
    assert by_rules is not None
    with pytest.raises(Conflict, match="No model was asked: rules-v1 decided"):
        reask_queue(by_rules, actor="ann", key=uuid4().hex)
    settings.AUTOTRADER_AI_MODEL = ""
    with pytest.raises(Conflict, match="No model is configured"):
        reask_queue(decision, actor="ann", key=uuid4().hex)
    assert not Event.objects.filter(type="DECISION_ASKED_AGAIN").exists()


def test_one_question_at_a_time_keeps_the_workers_free(model: LoopbackModelServer) -> None:
    first, other = asked_decision(model), asked_decision(model, "second")
    correlation = reask_queue(first, actor="ann", key=uuid4().hex)
    with pytest.raises(Conflict, match="about another decision"):
        reask_queue(other, actor="ann", key=uuid4().hex)
    reask(correlation)
    assert again(other)


def test_a_wish_that_waited_too_long_asks_nothing(model: LoopbackModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = asked_decision(model)
    correlation = reask_queue(decision, actor="ann", key=uuid4().hex)
    asked = len(model.questions)
    monkeypatch.setattr(trading.workflow.reasking, "LONGEST", system_now() - system_now())
    reask(correlation)
    assert "waited too long" in asked_again(decision.pk)[0].why
    assert len(model.questions) == asked


def test_a_lost_task_is_queued_anew_by_the_same_form(
    model: LoopbackModelServer, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    decision, key = asked_decision(model), uuid4().hex
    reask_queue(decision, actor="ann", key=key)
    monkeypatch.setattr(second_looks, "SOON", system_now() - system_now())
    with django_capture_on_commit_callbacks(execute=True):
        reask_queue(decision, actor="ann", key=key)
    assert OrmQ.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_wishes_at_one_moment_one_is_refused(model: LoopbackModelServer) -> None:
    decision, together = asked_decision(model), Barrier(4)

    def wish(key: str) -> str:
        try:
            together.wait(45)
            return reask_queue(decision, actor="ann", key=key)
        except Conflict as error:
            return error.message
        finally:
            connections.close_all()

    one, other = uuid4().hex, uuid4().hex
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(wish, [one, one, other, other]))
    refused = [text for text in said if "being asked again already" in text]
    assert len(refused) == 2
    assert len(set(said) - set(refused)) == 1
    assert len(asked_again(decision.pk)) == 1
    assert OrmQ.objects.filter(key="work").count() == 1
