"""A request is kept once a key: the same again is told the same, another is a conflict, none is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from tests.support import in_threads
from tests.trading.builders import D, bought, bracket
from trading.models import Order, OrderChange, OrderRequest
from trading.models.request import RequestKind
from trading.selectors.requests import outcome_of, request_story
from trading.services.dispatches import dispatch_claim, dispatch_end, dispatch_queue
from trading.services.request_rows import (
    Asked,
    request_accept,
    request_ended,
    request_receive,
    request_refuse,
    requests_give_up,
)

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "BUY", "quantity": "10"}


def asked(key: str = "k1", client: str = "user:ann", kind: RequestKind = RequestKind.PLACE, **changes: Any) -> Asked:
    return Asked(client, key, "ann", kind, BODY | changes)


def test_a_request_is_kept_before_anything_is_done(transactional_db: None) -> None:
    request, mine = request_receive(asked())
    assert (mine, request.state, request.body["quantity"], len(request.body_hash)) == (True, "RECEIVED", "10", 64)
    event = Event.objects.get(type="ORDER_REQUESTED")
    assert (event.actor, event.correlation_id) == ("ann", request.correlation_id)
    assert outcome_of(request).state == "RECEIVED"
    assert verify_chain().ok


def test_the_same_key_and_body_is_the_same_request(transactional_db: None) -> None:
    request, _ = request_receive(asked())
    again, mine = request_receive(asked())
    assert (again.pk, mine) == (request.pk, False)


@pytest.mark.parametrize("changes", [{"quantity": "11"}, {"kind": RequestKind.CANCEL}, {"reason": "x"}])
def test_another_body_under_the_key_is_a_conflict(transactional_db: None, changes: dict[str, Any]) -> None:
    request_receive(asked())
    with pytest.raises(Conflict) as caught:
        request_receive(asked(**changes))
    assert (caught.value.reason, caught.value.status) == ("IDEMPOTENCY_KEY_REUSED", 409)
    assert OrderRequest.objects.count() == 1


def test_keys_of_two_clients_are_two(transactional_db: None) -> None:
    request_receive(asked())
    assert request_receive(asked(client="user:bob"))[1] is True


def test_fifty_at_once_are_one_request(transactional_db: None) -> None:
    found = in_threads([lambda: request_receive(asked())] * 50, threads=10)
    assert (len({row.pk for row, _ in found}), sum(mine for _, mine in found)) == (1, 1)
    assert OrderRequest.objects.count() == Event.objects.filter(type="ORDER_REQUESTED").count() == 1


def test_a_body_that_cannot_be_kept_leaves_nothing(transactional_db: None) -> None:
    with pytest.raises(Invalid):
        request_receive(asked(reason="\x00"))
    assert not OrderRequest.objects.exists()


def test_a_refused_request_keeps_why(transactional_db: None) -> None:
    request, _ = request_receive(asked())
    with audit.recording():
        request_refuse(request, Invalid("side must be BUY.", code="BAD", details={"field": "side"}))
    told = outcome_of(request)
    assert (told.state, told.status, told.code, told.details) == ("REFUSED", 422, "BAD", {"field": "side"})
    with pytest.raises(Conflict), audit.recording():
        request_accept(request)


def test_whoever_asks_again_goes_on_with_a_request_whose_process_died(transactional_db: None) -> None:
    first, _ = request_receive(asked())
    OrderRequest.objects.filter(pk=first.pk).update(created_at=system_now() - timedelta(seconds=31))
    again, mine = request_receive(asked())
    assert (again.pk, mine) == (first.pk, True)
    with pytest.raises(Conflict), audit.recording():
        request_accept(first)
    with audit.recording():
        request_accept(again)
    assert outcome_of(again).state == "ACCEPTED"


def test_a_request_that_nobody_asks_about_again_is_given_up(transactional_db: None) -> None:
    request, _ = request_receive(asked())
    assert requests_give_up(request.created_at + timedelta(seconds=119)) == 0
    assert requests_give_up(request.created_at + timedelta(seconds=121)) == 1
    told = outcome_of(request)
    assert (told.status, told.code, "another Idempotency-Key" in told.message) == (409, "GIVEN_UP", True)
    assert requests_give_up(request.created_at + timedelta(seconds=121)) == 0


def test_only_what_has_ended_is_told_without_work(transactional_db: None) -> None:
    assert request_ended(asked()) is None
    request, _ = request_receive(asked())
    assert request_ended(asked()) is None
    with audit.recording():
        request_accept(request)
    assert request_ended(asked()) == request
    with pytest.raises(Conflict) as caught:
        request_ended(asked(quantity="11"))
    assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"


def failed_at_sending(request: OrderRequest, reason: str) -> None:
    """The request is accepted, and the work that sends it ends with this reason."""
    with audit.recording():
        request_accept(request)
        dispatch_queue(request=request, correlation_id=request.correlation_id)
    dispatch = dispatch_claim("worker-1")
    assert dispatch is not None
    with audit.recording():
        dispatch_end(dispatch, outcome="refused", reason=reason)


def test_what_was_refused_at_sending_is_told_as_refused(transactional_db: None) -> None:
    request, _ = request_receive(asked())
    failed_at_sending(request, "ENTRY_WORKING: its entry still works and was cancelled first")
    told = outcome_of(request)
    assert (told.state, told.status, told.code) == ("REFUSED", 409, "ENTRY_WORKING")
    assert request_story(request).said_at_sending.startswith("ENTRY_WORKING: ")


@pytest.mark.parametrize("moves_target", [False, True])
def test_what_may_have_left_is_never_told_as_refused(transactional_db: None, moves_target: bool) -> None:
    request, _ = request_receive(asked())
    failed_at_sending(request, "OWNER_FAILED: its log says how.")
    if moves_target:
        OrderChange.objects.create(
            order=bought()[2], request=request, revision=1, limit_price=D(99), state="SENDING", created_at=system_now()
        )
    else:
        Order.objects.filter(pk__in=[leg.pk for leg in bracket()]).update(request=request)
    told = outcome_of(request)
    assert (told.state, told.status, told.code) == ("ACCEPTED", 0, "")
    assert len(told.orders) == (1 if moves_target else 3)
    assert request_story(request).said_at_sending == ""


def test_a_request_carries_the_correlation_id_of_what_it_came_by(transactional_db: None) -> None:
    with audit.acting(correlation_id="http1"):
        first, _ = request_receive(asked("k1"))
        second, _ = request_receive(asked("k2"))
    assert first.correlation_id == "http1"
    assert second.correlation_id not in ("", "http1")


def test_a_key_that_was_narrowed_does_not_send_what_it_may_only_propose(transactional_db: None) -> None:
    request, _ = request_receive(asked())
    assert not request.must_be_approved
    long_ago = system_now() - timedelta(minutes=1)
    OrderRequest.objects.filter(pk=request.pk).update(created_at=long_ago)
    taken, mine = request_receive(replace(asked(), must_be_approved=True))
    assert (mine, taken.must_be_approved) == (True, True)
    OrderRequest.objects.filter(pk=request.pk).update(created_at=long_ago)
    assert request_receive(asked())[0].must_be_approved
