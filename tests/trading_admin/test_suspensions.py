"""A suspended strategy in the admin: shown as such, and resumed by who may, by POST, with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from autotrader.core import audit
from autotrader.core.audit.models import Event
from trading.models import Strategy
from trading.services.demo import demo_seed
from trading.services.suspensions import strategy_suspend

pytestmark = pytest.mark.django_db
VIEW, RESUME = "trading.view_strategy", "trading.resume_strategy"


@pytest.fixture
def strategy(db: None) -> Strategy:
    row = demo_seed()
    with audit.recording():
        strategy_suspend(row.pk, "TOO_MANY_ORDERS_TODAY: its 10 entries are sent", market_at=None)
    return row


def page(strategy: Strategy) -> str:
    return reverse("admin:trading_strategy_change", args=[strategy.pk])


def resume(strategy: Strategy) -> str:
    return reverse("admin:trading_strategy_resume", args=[strategy.pk])


def test_the_page_and_the_list_say_that_it_is_suspended_and_why(login: Any, strategy: Strategy) -> None:
    client = login(VIEW)
    shown = client.get(page(strategy)).content.decode()
    assert "TOO_MANY_ORDERS_TODAY: its 10 entries are sent" in shown
    assert "needs the permission trading.resume_strategy" in shown
    assert resume(strategy) not in shown
    assert "suspended" in client.get(reverse("admin:trading_strategy_changelist")).content.decode()


def test_who_may_resumes_it_with_a_reason(login: Any, strategy: Strategy) -> None:
    client = login(VIEW, RESUME)
    assert resume(strategy) in client.get(page(strategy)).content.decode()
    answer = client.post(resume(strategy), {"reason": "looked at it"}, follow=True)
    assert "may enter again" in answer.content.decode()
    assert "Suspended" not in answer.content.decode()
    assert Event.objects.get(type="STRATEGY_RESUMED").cause == "looked at it"


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_without_a_reason_it_stays_suspended(login: Any, strategy: Strategy, reason: str) -> None:
    answer = login(VIEW, RESUME).post(resume(strategy), {"reason": reason}, follow=True)
    assert "Say why" in answer.content.decode()
    assert Strategy.objects.get(pk=strategy.pk).suspended_at is not None


def test_nobody_else_may_and_nobody_by_get(login: Any, strategy: Strategy) -> None:
    assert login(VIEW).post(resume(strategy), {"reason": "please"}).status_code == 403
    assert login(VIEW, RESUME).get(resume(strategy)).status_code == 405
    assert Strategy.objects.get(pk=strategy.pk).suspended_at is not None


def test_a_second_resume_is_told_so(login: Any, strategy: Strategy) -> None:
    client = login(VIEW, RESUME)
    client.post(resume(strategy), {"reason": "looked at it"})
    answer = client.post(resume(strategy), {"reason": "looked at it"}, follow=True)
    assert "is not suspended" in answer.content.decode()
