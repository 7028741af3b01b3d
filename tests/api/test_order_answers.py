"""What a request about an order is answered once it has ended, by what became of it, while no owner is there to ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.errors import Invalid
from autotrader.core.users.models import User
from tests.api.asking import Asker, code_of, someone
from tests.trading.builders import bought
from trading.api.orders import ChangeBody, EndBody, OrderBody
from trading.models import Order, OrderChange, OrderRequest
from trading.models.request import RequestKind
from trading.services.request_bodies import CancelBody, ModifyBody, PlaceBody
from trading.services.request_rows import Asked, request_accept, request_receive, request_refuse

PLACE = {"symbol": "AAPL", "side": "BUY"}


@pytest.fixture
def ann(transactional_db: None, settings: Any, tmp_path: Path) -> Asker:
    """Somebody who may order, of a desk whose owner is away."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    return someone("ann", "trading.request_order")


def kept(kind: RequestKind, body: dict[str, str]) -> OrderRequest:
    """What ann has asked for before, under the key "one"."""
    return request_receive(Asked("user:ann", "one", "ann", kind, body))[0]


def test_what_has_ended_is_told_again_while_no_owner_is_there(ann: Asker) -> None:
    request = kept(RequestKind.PLACE, PLACE)
    assert code_of(ann.post("orders/place", PLACE, key="one")) == (503, "BROKER_UNAVAILABLE")
    with audit.recording():
        request_refuse(request, Invalid("quantity is missing.", details={"field": "quantity"}))
    again = ann.post("orders/place", PLACE, key="one")
    assert code_of(again) == (422, "INVALID")
    assert again.json()["error"]["details"] == {"field": "quantity", "request": request.pk}
    assert code_of(ann.post("orders/place", PLACE | {"side": "SELL"}, key="one")) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert code_of(ann.post("orders/place", PLACE, key="two")) == (503, "BROKER_UNAVAILABLE")
    assert OrderRequest.objects.get() == request


def test_a_person_s_requests_are_kept_by_id_and_found_by_name_where_they_were_kept_so(ann: Asker) -> None:
    former = kept(RequestKind.PLACE, PLACE)
    with audit.recording():
        request_refuse(former, Invalid("no"))
    assert ann.post("orders/place", PLACE, key="one").json()["error"]["details"]["request"] == former.pk
    ann.post("orders/A-E/cancel", {"reason": "enough"}, key="new")
    assert OrderRequest.objects.exclude(pk=former.pk).get().client == f"user:#{User.objects.get().pk}"


@pytest.mark.parametrize("kind", ["modify", "cancel"])
def test_a_change_is_told_by_what_became_of_it(ann: Asker, kind: str) -> None:
    target = bought()[2]
    body = {"limit_price": "111"} if kind == "modify" else {"reason": "enough"}
    request = kept(RequestKind(kind), body | {"order_ref": target.order_ref})
    with audit.recording():
        request_accept(request)
    change = changed(target, request, kind)
    for state, status, code in [
        ("SENDING", 202, ""),
        ("UNKNOWN", 202, ""),
        ("ACKED", 201, ""),
        ("REJECTED", 409, "CHANGE_REJECTED"),
    ]:
        OrderChange.objects.filter(pk=change.pk).update(state=state)
        answer = ann.post(f"orders/{target.order_ref}/{kind}", body, key="one")
        assert code_of(answer) == (status, code), state
    error = answer.json()["error"]
    assert error["message"] == f"The {kind} of {target.order_ref} was rejected: 201 too far."
    assert (error["correlation_id"], error["details"]["request"]) == (request.correlation_id, request.pk)


def changed(order: Order, request: OrderRequest, kind: str) -> OrderChange:
    """The request's change of the order, which the broker's words are about."""
    return OrderChange.objects.create(
        order=order,
        request=request,
        kind=kind,
        revision=1 if kind == "modify" else 0,
        reason="201 too far",
        state="SENDING",
        created_at=system_now(),
    )


def test_an_exit_that_moved_some_of_its_targets_is_no_refusal(ann: Asker) -> None:
    _, stop, target = bought()
    request = kept(RequestKind.PLACE, PLACE)
    with audit.recording():
        request_accept(request)
    changed(stop, request, "modify")
    first = changed(target, request, "modify")
    for states, status in [(("REJECTED", "SENDING"), 202), (("REJECTED", "ACKED"), 201), (("REJECTED",) * 2, 409)]:
        OrderChange.objects.update(state=states[0])
        OrderChange.objects.filter(pk=first.pk).update(state=states[1])
        assert ann.post("orders/place", PLACE, key="one").status_code == status, states


@pytest.mark.parametrize("path", ["place", "preview", "A-E/modify", "A-E/cancel"])
def test_a_field_that_is_not_known_is_refused_by_its_name_and_nothing_is_kept(ann: Asker, path: str) -> None:
    said = ann.post(f"orders/{path}", {"reason": 7, "qty": "10"})
    assert code_of(said) == (422, "UNKNOWN_FIELD")
    assert said.json()["error"]["details"] == {"field": "qty", "fields": {"qty": "unknown"}}
    assert not OrderRequest.objects.exists()


def test_what_is_known_of_a_body_is_what_its_service_reads() -> None:
    for described, read in ((OrderBody, PlaceBody), (ChangeBody, ModifyBody), (EndBody, CancelBody)):
        assert {*described().fields, "order_ref"} == {*read.__slots__, "order_ref"}


@pytest.mark.parametrize("path", ["modify", "cancel"])
def test_the_address_alone_names_the_order(ann: Asker, path: str) -> None:
    said = ann.post(f"orders/A-E/{path}", {"order_ref": "B-E", "limit_price": "1"})
    assert code_of(said) == (422, "UNKNOWN_FIELD")
    assert said.json()["error"]["details"]["field"] == "order_ref"
    assert not OrderRequest.objects.exists()
