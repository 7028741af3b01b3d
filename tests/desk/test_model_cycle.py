"""A cycle decided by a model: what it is asked, what is kept, what the decision page shows."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from autotrader.core.users.models import User
from research.models import ModelCall
from tests.desk.conftest import Desk, build_strategy
from tests.research.openai_server import LoopbackModelServer, fails
from trading.services.demo import TWO_INDICATORS

pytestmark = pytest.mark.once


def test_four_questions_with_two_charts_and_the_schema_arrive(desk: Desk, model: LoopbackModelServer) -> None:
    cycle = desk.run(build_strategy("s", ["CALM"]))

    assert [len(question.images) for question in model.questions] == [1, 1, 0, 0]
    assert all(image.startswith(b"\x89PNG") for question in model.questions for image in question.images)
    assert {question.response_format["type"] for question in model.questions} == {"json_schema"}
    decision = desk.decision(cycle)
    assert decision.decided_by == "test-model"
    assert decision.model_calls == list(ModelCall.objects.order_by("id").values_list("id", flat=True))
    assert len(decision.model_calls) == 4
    assert set(ModelCall.objects.values_list("state", flat=True)) == {"DONE"}


def test_the_decision_page_shows_charts_prompts_and_answers(desk: Desk, model: LoopbackModelServer) -> None:
    decision = desk.decision(desk.run(build_strategy("s", ["CALM"])))
    client = Client()
    client.force_login(User.objects.create_superuser("anna", "", "a-long-password-here"))

    page = client.get(reverse("admin:trading_decision_change", args=[decision.pk])).content.decode()

    assert "The trend is up on rising volume." in page
    assert "Both timeframes rise and the stop lies behind the last swing." in page
    for call in ModelCall.objects.all():
        assert call.prompt_name in page
    for analysis in decision.execution.analyses.exclude(timeframe=0):
        chart = client.get(reverse("admin:trading_decision_chart", args=[analysis.pk]))
        assert chart.content.startswith(b"\x89PNG")


def test_a_failed_first_answer_asks_nothing_more(desk: Desk, model: LoopbackModelServer) -> None:
    model.otherwise = lambda question: fails(500)

    cycle = desk.run(build_strategy("s", ["CALM"]))

    assert len(model.questions) == 1
    assert desk.decision(cycle).reasons == ["model_error"]


def test_a_step_may_wait_without_holding_a_thread(desk: Desk) -> None:
    steps = [dict(step) for step in TWO_INDICATORS]
    steps[5] = {"name": "decide", "delay_s": 1}

    cycle = desk.run(build_strategy("s", ["RISE", "CALM"], steps))

    for execution in cycle.executions.all():
        assert execution.delayed_step == 5
        assert execution.epoch == 2
        before, after = execution.steps.get(name="consolidate"), execution.steps.get(name="decide")
        assert (after.started_at - before.finished_at).total_seconds() >= 1
