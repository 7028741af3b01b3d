"""Asking and judging again on the page of a decision: by permission, by POST, and both answers beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from autotrader.core.audit.models import Event
from tests.research.openai_server import LoopbackModelServer, agreeable
from tests.trading.asked_decisions import asked_decision, configured_model
from tests.trading_admin.story import tell
from tests.web.test_orders import body, person
from trading.models import Decision
from trading.tasks import reask

pytestmark = [pytest.mark.django_db, pytest.mark.once]
VIEW, RUN, CALLS = "trading.view_decision", "trading.run_cycle", "research.view_modelcall"
EVIL = "<script>alert('x')</script>"


@pytest.fixture
def model(settings: Any) -> Iterator[LoopbackModelServer]:
    with configured_model(settings) as server:
        yield server


def page_of(decision: Decision) -> str:
    return reverse("decision", args=[decision.pk])


def press(client: Client, name: str, decision: Decision, key: str = "") -> Any:
    return client.post(reverse(name, args=[decision.pk]), {"key": key or str(uuid4())})


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.mark.parametrize("name", ["decision_ask_again", "decision_judge_again"])
def test_only_who_may_run_cycles_may_press(model: LoopbackModelServer, name: str) -> None:
    decision = asked_decision(model)
    address = reverse(name, args=[decision.pk])
    viewer = person(VIEW)
    assert address not in body(viewer.get(page_of(decision)))
    assert press(viewer, name, decision).status_code == 403
    assert press(person(RUN), name, decision).status_code == 403
    assert press(Client(), name, decision).status_code == 302
    operator = person(VIEW, RUN)
    assert address in body(operator.get(page_of(decision)))
    assert operator.get(address).status_code == 405
    assert operator.post(reverse(name, args=[999_999]), {"key": str(uuid4())}).status_code == 404
    assert "not whole" in said(press(operator, name, decision, "odd"))
    assert Client(enforce_csrf_checks=True).post(address, {"key": str(uuid4())}).status_code in (302, 403)
    assert not Event.objects.filter(type__in=["DECISION_ASKED_AGAIN", "DECISION_REPLAYED"]).exists()


def test_the_answers_stand_beside_each_other(
    model: LoopbackModelServer, django_capture_on_commit_callbacks: Any
) -> None:
    decision, key = asked_decision(model), str(uuid4())
    client = person(VIEW, RUN, CALLS)
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(2):
            answer = press(client, "decision_ask_again", decision, key)
    assert answer["Location"] == f"{page_of(decision)}#again"
    (task,) = OrmQ.objects.all()
    assert "no answer yet" in body(client.get(page_of(decision)))
    assert "being asked again already" in body(client.get(page_of(decision)))
    model.otherwise = agreeable("sell", target=0.92, stop=1.04, rationale=f"Tired. {EVIL}")
    reask(*task.task["args"])
    shown = body(client.get(reverse("decision_part", args=[decision.pk, "again"])))
    assert "<html" not in shown
    assert "<strong>BUY</strong>" in shown
    assert "<strong>SELL</strong>" in shown
    assert "&lt;script&gt;" in shown
    assert EVIL not in shown
    assert "target price" in shown.lower()
    assert "USD" in shown
    assert "<strong>SELL</strong>" not in body(person(VIEW).get(page_of(decision)))


def test_an_answer_that_never_came_is_not_waited_for(
    model: LoopbackModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision, client = asked_decision(model), person(VIEW, RUN)
    press(client, "decision_ask_again", decision)
    monkeypatch.setattr("trading.selectors.second_looks.LONGEST", timedelta())
    shown = body(client.get(page_of(decision)))
    assert "no answer came: no worker took it up" in shown
    assert "no answer yet" not in shown
    assert reverse("decision_ask_again", args=[decision.pk]) in shown


def test_what_was_judged_again_is_shown_with_what_was_not(model: LoopbackModelServer) -> None:
    decision, client = asked_decision(model), person(VIEW, RUN)
    Decision.objects.filter(pk=decision.pk).update(target_price="109.00")
    answer = press(client, "decision_judge_again", decision)
    assert "different: target" in said(answer)
    shown = body(client.get(page_of(decision)))
    assert "Judged again" in shown
    assert "109.62" in shown
    assert "Not judged:" in shown
    assert "limits of that day" in shown


def test_without_a_model_the_page_says_so(db: None) -> None:
    decision = tell("buy").decision
    client = person(VIEW, RUN)
    shown = body(client.get(page_of(decision)))
    assert "The model cannot be asked again. No model was asked: rules-v1 decided." in shown
    assert reverse("decision_ask_again", args=[decision.pk]) not in shown
    assert "No model was asked" in said(press(client, "decision_ask_again", decision))
