"""Text from models and brokers is shown as text, never run as a page."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from autotrader.core.artifacts.services import artifact_store
from autotrader.core.clock import system_now
from broker.models import BrokerMessage, Submission
from research.models import ModelCall
from tests.trading_admin.story import tell
from trading.models import Decision, Order

ATTACK = "<script>alert('x')</script><img src=x onerror=alert(1)>"
pytestmark = pytest.mark.django_db


def page_of(client: Client, name: str, pk: object) -> str:
    return client.get(reverse(f"admin:{name}_change", args=[pk])).content.decode()


def is_harmless(page: str) -> bool:
    return "<script>alert" not in page and "<img src=x" not in page and "&lt;script&gt;alert" in page


def model_call() -> ModelCall:
    request = json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": ATTACK}]}]})
    return ModelCall.objects.create(
        purpose="decision", prompt_name="decision", prompt_version="1", prompt_hash="0", model=ATTACK[:100],
        request=request, answer=ATTACK, error=ATTACK, tokens_in=1200, tokens_out=300, cost="0.0123", state="DONE",
        cache_key="0", created_at=system_now(), correlation_id="c", finish_reason="stop",
    )  # fmt: skip


def test_the_analysts_words(boss: Client) -> None:
    told = tell("buy", rationale=ATTACK, summary=ATTACK)
    assert is_harmless(page_of(boss, "trading_decision", told.decision.pk))
    assert is_harmless(page_of(boss, "trading_analysis", told.execution.analyses.first().pk))


def test_the_models_prompt_and_answer(boss: Client) -> None:
    told = tell("hold")
    call = model_call()
    Decision.objects.filter(pk=told.decision.pk).update(model_calls=[call.pk])
    page = page_of(boss, "trading_decision", told.decision.pk)
    assert is_harmless(page)
    assert "0.0123 USD" in page
    assert "1,200 / 300" in page
    assert is_harmless(page_of(boss, "research_modelcall", call.pk))


def test_a_request_of_unknown_shape_is_shown_as_it_is(boss: Client) -> None:
    told = tell("hold")
    call = model_call()
    ModelCall.objects.filter(pk=call.pk).update(request=f"not JSON {ATTACK}", answer="")
    Decision.objects.filter(pk=told.decision.pk).update(model_calls=[call.pk, 999])
    assert is_harmless(page_of(boss, "trading_decision", told.decision.pk))


def test_the_brokers_words(boss: Client) -> None:
    told = tell("buy")
    order = told.orders[0]
    Order.objects.filter(pk=order.pk).update(broker_detail=ATTACK, reason=ATTACK, broker_status="<b>x</b>")
    Submission.objects.create(
        order_ref=order.order_ref, revision=0, account="DU1234567", state="SENT", terms=ATTACK, detail=ATTACK,
        created_at=system_now(),
    )  # fmt: skip
    message = BrokerMessage.objects.create(
        kind="error", order_ref=order.order_ref, payload=ATTACK, received_at=system_now(), state="ERROR", error=ATTACK
    )
    assert is_harmless(page_of(boss, "trading_order", order.pk))
    assert is_harmless(page_of(boss, "broker_brokermessage", message.pk))
    assert is_harmless(boss.get(reverse("admin:broker_brokermessage_changelist")).content.decode())
    decision = page_of(boss, "trading_decision", told.decision.pk)
    assert "<b>x</b>" not in decision
    assert is_harmless(decision)


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "application/json"])
def test_stored_files_other_than_pictures_are_only_downloaded(boss: Client, media_type: str) -> None:
    artifact = artifact_store(kind="answer", data=ATTACK.encode(), media_type=media_type)
    answer = boss.get(reverse("admin:artifacts_artifact_file", args=[artifact.pk]))
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer.content == ATTACK.encode()
