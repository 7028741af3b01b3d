"""Cancelling a cycle in the admin: by who may, by POST, and shown as cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests.trading.builders import bracket, strategy
from trading.models import Cycle
from trading.services.cycles import cycle_queue

pytestmark = pytest.mark.django_db
VIEW, RUN = "trading.view_cycle", "trading.run_cycle"


@pytest.fixture
def cycle(db: None) -> Cycle:
    return cycle_queue(strategies=[strategy()], trigger="manual", actor="ann", lane="test", wake=False)


def page(cycle: Cycle) -> str:
    return reverse("admin:trading_cycle_change", args=[cycle.pk])


def button(cycle: Cycle) -> str:
    return reverse("admin:trading_cycle_cancel", args=[cycle.pk])


def test_who_may_cancels_it_once(login: Any, cycle: Cycle) -> None:
    client = login(VIEW, RUN)
    assert button(cycle) in client.get(page(cycle)).content.decode()
    shown = client.post(button(cycle), {"reason": "wrong day"}, follow=True).content.decode()
    assert "nothing of it was sent" in shown
    assert ": wrong day" in shown
    assert button(cycle) not in shown
    cycle.refresh_from_db()
    assert cycle.state == "CANCELLED"
    assert "has ended" in client.post(button(cycle), follow=True).content.decode()


def test_the_orders_that_were_sent_are_named(login: Any) -> None:
    entry = bracket()[0]
    assert entry.decision is not None
    shown = login(VIEW, RUN).post(button(entry.decision.execution.cycle), follow=True).content.decode()
    assert f"left as they are: {entry.order_ref}" in shown


def test_who_may_not_has_no_button(login: Any, cycle: Cycle) -> None:
    client = login(VIEW)
    assert button(cycle) not in client.get(page(cycle)).content.decode()
    assert client.post(button(cycle)).status_code == 403
    assert login(VIEW, RUN).get(button(cycle)).status_code == 405
    cycle.refresh_from_db()
    assert cycle.state == "QUEUED"
