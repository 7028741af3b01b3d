"""Asking, judging and sending again from the admin's lists: after one question, by permission, once a form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django_q.models import OrmQ

from autotrader.core.audit.models import Event
from tests.research.openai_server import LoopbackModelServer
from tests.trading.asked_decisions import asked_decision, configured_model
from tests.trading.test_resubmits import failed

pytestmark = [pytest.mark.django_db, pytest.mark.once]
KEY = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
DECISIONS = ("trading.view_decision", "trading.run_cycle")
TASKS = ("django_q.view_failure", "trading.run_cycle")
DECISION_LIST, TASK_LIST = "admin:trading_decision_changelist", "admin:django_q_failure_changelist"


@pytest.fixture
def model(settings: Any) -> Iterator[LoopbackModelServer]:
    with configured_model(settings) as server:
        yield server


def select(action: str, row: Any, **more: str) -> dict[str, Any]:
    return {"action": action, "_selected_action": [row.pk], "index": 0, **more}


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_asking_again_wants_a_yes_and_is_queued_once(
    login: Any, model: LoopbackModelServer, django_capture_on_commit_callbacks: Any
) -> None:
    decision, client, address = asked_decision(model), login(*DECISIONS), reverse(DECISION_LIST)
    question = client.post(address, select("ask_again", decision)).content.decode()
    assert "no order can come of it" in question
    assert not Event.objects.filter(type="DECISION_ASKED_AGAIN").exists()
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(2):
            answer = client.post(address, select("ask_again", decision, confirmed="yes", key=KEY))
    assert "a worker asks the model again" in said(answer)
    assert OrmQ.objects.count() == 1
    page = client.get(reverse("admin:trading_decision_change", args=[decision.pk])).content.decode()
    assert "no answer yet" in page


def test_judging_again_from_the_list_and_on_the_page(login: Any, model: LoopbackModelServer) -> None:
    decision, client = asked_decision(model), login(*DECISIONS)
    yes = select("judge_again", decision, confirmed="yes", key=KEY)
    assert "all the same" in said(client.post(reverse(DECISION_LIST), yes))
    page = client.get(reverse("admin:trading_decision_change", args=[decision.pk])).content.decode()
    assert "Not judged:" in page


def test_who_may_only_look_has_no_such_action(login: Any, model: LoopbackModelServer) -> None:
    decision, client = asked_decision(model), login("trading.view_decision", "django_q.view_failure")
    shown = client.get(reverse(DECISION_LIST)).content.decode()
    assert 'value="ask_again"' not in shown
    client.post(reverse(DECISION_LIST), select("judge_again", decision, confirmed="yes", key=KEY))
    client.post(reverse(TASK_LIST), select("send_again", failed(), confirmed="yes", key=KEY))
    assert not Event.objects.filter(type__in=["DECISION_REPLAYED", "TASK_RESUBMITTED"]).exists()


def test_a_failed_task_is_sent_again_or_refused(login: Any, django_capture_on_commit_callbacks: Any) -> None:
    safe, other, client = failed(), failed("os.system", "true"), login(*TASKS)
    question = client.post(reverse(TASK_LIST), select("send_again", other)).content.decode()
    assert "not among the tasks" in question
    with django_capture_on_commit_callbacks(execute=True):
        refused = client.post(reverse(TASK_LIST), select("send_again", other, confirmed="yes", key=KEY))
        for _ in range(2):
            sent = client.post(reverse(TASK_LIST), select("send_again", safe, confirmed="yes", key=KEY))
    assert "not among the tasks" in said(refused)
    assert "is in the queue again" in said(sent)
    assert [row.task["func"] for row in OrmQ.objects.all()] == ["trading.tasks.work"]
