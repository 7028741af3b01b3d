"""Taking back what waits under an approval over REST and on its page, with no broker process running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.api.asking import code_of, program, someone
from tests.trading.asking import asked, person, say
from tests.trading.builders import strategy
from tests.trading.test_dispatches import approved, leaving
from tests.web.test_orders import body
from tests.web.test_orders import person as client_of
from trading.models import Approval, Order, OrderRequest
from trading.models.strategy import Mode
from trading.services.orders import entry_write

pytestmark = pytest.mark.django_db(transaction=True)
ASK, VIEW, APPROVE = "trading.request_order", "trading.view_approval", "trading.approve_order"


@pytest.fixture(autouse=True)
def state(settings: Any, tmp_path: Path) -> None:
    settings.AUTOTRADER_STATE_DIR = tmp_path


def state_of(approval: Approval) -> str:
    approval.refresh_from_db()
    return str(approval.state)


# Over REST


def test_an_exit_that_waits_is_taken_back_once_a_key() -> None:
    approval = leaving()[1].approval
    assert approval is not None
    ann = someone("ann", ASK)
    first = ann.post(f"approvals/{approval.pk}/withdraw", {"reason": "no"}, key="k")
    again = ann.post(f"approvals/{approval.pk}/withdraw", {"reason": "no"}, key="k")
    assert (first.status_code, first.json()) == (200, again.json())
    said = {"id": approval.pk, "state": "VOID", "reason": "WITHDRAWN: withdrawn by ann: no"}
    assert first.json() == said, "the terms and votes are for those who may view approvals"
    assert code_of(ann.post(f"approvals/{approval.pk}/withdraw", {"reason": "x"}, key="k")) == (
        409,
        "IDEMPOTENCY_KEY_REUSED",
    )
    assert code_of(ann.post(f"approvals/{approval.pk}/withdraw")) == (409, "APPROVAL_VOID")


def test_what_was_sent_is_not_taken_back() -> None:
    dispatch, made = approved()
    assert made.approval is not None
    entry_write(dispatch, made)
    ann = someone("ann", ASK)
    assert code_of(ann.post(f"approvals/{made.approval.pk}/withdraw")) == (409, "APPROVAL_USED")
    assert code_of(ann.post("approvals/999999/withdraw")) == (404, "APPROVAL_UNKNOWN")
    assert set(Order.objects.values_list("state", flat=True)) == {"SENDING"}


def test_only_who_may_ask_for_orders_and_only_its_own() -> None:
    mine, other = strategy("mine", mode=Mode.APPROVE), strategy("other", ("IBM",), mode=Mode.APPROVE)
    approval = asked(mine)
    path = f"approvals/{approval.pk}/withdraw"
    assert code_of(someone("bob", VIEW, APPROVE).post(path))[0] == 403
    robot = program("rob", ASK, scopes=("propose",))
    assert code_of(robot.post(path)) == (403, "SCOPE_MISSING")
    narrow = program("sue", ASK, scopes=("trade",), strategies=(other.pk,))
    assert code_of(narrow.post(path)) == (403, "KEY_LIMITED")
    assert state_of(approval) == "PENDING"
    assert program("tom", ASK, scopes=("trade",)).post(path).status_code == 200
    assert state_of(approval) == "VOID"


def test_an_order_that_waits_is_cancelled_over_rest_without_the_broker() -> None:
    order = asked().order
    assert order is not None
    told = someone("ann", ASK).post(f"orders/{order.order_ref}/cancel")
    assert (told.status_code, told.json()["status"]) == (201, "REFUSED")


# On its page


@pytest.mark.parametrize("is_approved", [False, True])
def test_the_page_withdraws_what_waits_and_asks_why(is_approved: bool) -> None:
    approval = asked()
    if is_approved:
        say(approval, person())
    client = client_of(ASK, VIEW)
    address = reverse("approval_withdraw", args=[approval.pk])
    assert f'href="{address}"' in body(client.get(reverse("approval", args=[approval.pk])))
    form = client.get(address)
    assert "Withdraw the order" in body(form)
    key = str(form.context["form"].initial["key"])
    assert "This field is required" in body(client.post(address, {"key": key}))
    assert state_of(approval) != "VOID"
    for _ in range(2):
        told = client.post(address, {"key": key, "reason": "changed my mind"}, follow=True)
        assert "its order was never sent" in body(told)
    assert state_of(approval) == "VOID"
    assert OrderRequest.objects.count() == 1
    assert "waits for nothing any more" in body(client.get(address))
    assert address not in body(client.get(reverse("approval", args=[approval.pk])))


def test_who_may_only_look_or_approve_withdraws_nothing() -> None:
    approval = asked()
    address = reverse("approval_withdraw", args=[approval.pk])
    assert Client().get(address).status_code == 302
    for rights in ((VIEW,), (VIEW, APPROVE), (ASK,)):
        client = client_of(*rights)
        assert client.post(address, {"reason": "no way"}).status_code == 403
        if VIEW in rights:
            assert address not in body(client.get(reverse("approval", args=[approval.pk])))
    assert client_of(ASK, VIEW).get(reverse("approval_withdraw", args=[999999])).status_code == 404
    assert state_of(approval) == "PENDING"


def test_the_order_s_page_withdraws_it_without_the_broker() -> None:
    order = asked().order
    assert order is not None
    client = client_of(ASK, "trading.view_order")
    address = reverse("order_cancel", args=[order.order_ref])
    key = str(client.get(address).context["form"].initial["key"])
    told = client.post(address, {"key": key, "reason": "not today"}, follow=True)
    assert f"{order.order_ref} is withdrawn: it was never sent." in body(told)
