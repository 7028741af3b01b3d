"""Orders are cancelled from their page by a form with a reason; a request's page says what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from autotrader.core.users.models import User
from tests.api.test_orders import Api, entry, legs_of
from tests.desk.conftest import Desk, bars_folder, open_desk
from tests.desk.conftest import desk as desk
from tests.trading.asking import asked
from tests.trading.builders import bracket, strategy
from tests.trading_admin.conftest import Login
from tests.trading_admin.story import Told
from trading.admin import order_actions
from trading.models import Order, OrderChange, OrderRequest, Reconciliation
from trading.models.strategy import Mode
from trading.services.requests import cancel_requests

__all__ = ["bars_folder", "desk", "open_desk"]


def staff(*codenames: str) -> Client:
    user = User.objects.create_user(f"s{User.objects.count()}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def form_key(page: Any) -> str:
    return str(page.context["form"].initial["key"])


def test_a_person_cancels_an_order_from_its_page(desk: Desk, transactional_db: None) -> None:
    api = Api("trading.request_order")
    assert api.post("place", entry(desk, "GAPS")).status_code == 201
    order = legs_of()["entry"]
    client = staff("view_order", "view_orderrequest", "request_order")
    path = f"/admin/trading/order/{order.pk}/cancel/"
    assert path in client.get(f"/admin/trading/order/{order.pk}/change/").content.decode()
    page = client.get(path)
    assert "force" not in page.context["form"].fields
    for _ in range(2):
        said = client.post(path, {"reason": "no longer wanted", "key": form_key(page)}, follow=True)
        assert "is CANCELLED" in said.content.decode()
    desk.market.broker.drain()
    assert OrderChange.objects.get().reason == "no longer wanted; the order is CANCELLED"
    assert path not in client.get(f"/admin/trading/order/{order.pk}/change/").content.decode()
    placed, cancelled = OrderRequest.objects.order_by("id")
    for row, words in [(placed, "GAPS"), (cancelled, "no longer wanted")]:
        shown = client.get(f"/admin/trading/orderrequest/{row.pk}/change/").content.decode()
        assert words in shown
        assert order.order_ref in shown
    assert "BUY 10 GAPS" in client.get("/admin/trading/orderrequest/").content.decode()


@pytest.mark.django_db
def test_the_button_is_for_those_who_may(bought: Told, login: Login) -> None:
    order = Order.objects.filter(state="ACCEPTED").first()
    assert order is not None
    path = f"/admin/trading/order/{order.pk}/cancel/"
    reader = login("trading.view_order")
    assert path not in reader.get(f"/admin/trading/order/{order.pk}/change/").content.decode()
    assert reader.get(path).status_code == 403
    assert reader.post(path, {"reason": "because"}).status_code == 403
    assert not OrderChange.objects.exists()


@pytest.mark.django_db
def test_a_cancel_without_a_reason_or_a_broker_does_nothing(bought: Told, login: Login) -> None:
    order = Order.objects.filter(role="stop").get()
    path = f"/admin/trading/order/{order.pk}/cancel/"
    client = login("trading.view_order", "trading.request_order")
    page = client.get(path)
    assert "force" in page.context["form"].fields
    assert client.post(path, {"reason": "", "key": form_key(page)}).status_code == 200
    assert not OrderRequest.objects.exists()
    assert not OrderChange.objects.exists()


def test_a_person_cancels_orders_from_the_list_and_compares_with_the_broker(desk: Desk, transactional_db: None) -> None:
    api = Api("trading.request_order")
    assert api.post("place", entry(desk, "GAPS")).status_code == 201
    order = legs_of()["entry"]
    client = staff("view_order", "request_order", "view_reconciliation", "resolve_discrepancy")
    chosen = {"action": "cancel_chosen", "_selected_action": [str(order.pk)]}
    page = client.post("/admin/trading/order/", chosen | {"index": "0"})
    assert "Cancel these orders?" in page.content.decode()
    yes = {"confirmed": "yes", "key": form_key(page), "reason": "no longer wanted"}
    told = []
    for _ in range(2):
        answer = client.post("/admin/trading/order/", chosen | yes, follow=True)
        told += [str(message) for message in answer.context["messages"]]
    assert told == [
        f"{order.order_ref} is CANCELLED.",
        f"Left out, since they have ended, are stops or not ours to cancel: {order.order_ref}.",
    ]
    assert OrderRequest.objects.filter(kind="cancel").count() == 1
    order.refresh_from_db()
    assert order.state == "CANCELLED"
    desk.market.broker.reconcile()
    desk.market.broker.drain()
    looks = {"action": "compare_now", "_selected_action": [str(Reconciliation.objects.get().pk)]}
    asked = client.post("/admin/trading/reconciliation/", looks | {"index": "0"})
    assert "Compare with the broker now?" in asked.content.decode()
    yes = {"confirmed": "yes", "key": form_key(asked)}
    said = client.post("/admin/trading/reconciliation/", looks | yes, follow=True).content.decode()
    assert "Compared" in said


def test_orders_of_the_list_are_asked_for_at_once_and_each_has_its_own_answer(
    transactional_db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path  # nobody owns a connection there
    waiting = [asked(strategy(f"s{count}", mode=Mode.APPROVE), quantity=str(count)).order for count in (2, 3)]
    sent = bracket(strategy("third"), quantity="4")[0]
    orders = [*(order for order in waiting if order), sent]
    calls: list[dict[str, Any]] = []

    def counted(**given: Any) -> Any:
        calls.append(given)
        return cancel_requests(**given)

    monkeypatch.setattr(order_actions, "cancel_requests", counted)
    client = staff("view_order", "request_order")
    chosen = {"action": "cancel_chosen", "_selected_action": [str(order.pk) for order in orders]}
    key = form_key(client.post("/admin/trading/order/", chosen | {"index": "0"}))
    yes = {"confirmed": "yes", "key": key, "reason": "not today"}
    answer = client.post("/admin/trading/order/", chosen | yes, follow=True)
    told = {str(message) for message in answer.context["messages"]}
    assert told > {f"{order.order_ref} is withdrawn: it was never sent." for order in orders[:2]}
    (left,) = (text for text in told if "withdrawn" not in text)
    assert left.startswith(f"{sent.order_ref}: ")
    assert "was being sent" in left
    (call,) = calls
    assert set(call["asked"]) == {f"admin-{key}-{order.pk}" for order in orders}


def test_an_order_that_waits_is_withdrawn_on_its_page_without_the_broker(
    transactional_db: None, settings: Any, tmp_path: Path
) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path
    order = asked().order
    assert order is not None
    client = staff("view_order", "request_order")
    path = f"/admin/trading/order/{order.pk}/cancel/"
    said = client.post(path, {"reason": "not today", "key": form_key(client.get(path))}, follow=True)
    assert f"{order.order_ref} is withdrawn: it was never sent." in said.content.decode()
