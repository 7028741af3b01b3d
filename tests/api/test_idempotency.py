"""An unsafe request is done once a key, however often, from however many sides and through whatever death it comes."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

import pytest
from django.db import OperationalError, transaction
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from autotrader.core.rest import idempotency
from autotrader.core.rest.idempotency import KEPT_FOR, LEASE, answers_sweep, digest_of
from autotrader.core.rest.models import KeptAnswer
from autotrader.core.rest.views import Endpoint
from autotrader.core.users.models import User
from broker.errors import BrokerUnavailable
from tests.support import in_threads
from trading.models import Instrument


class Killed(BaseException):
    """The process dies here: nothing after it runs."""


class Adding(Endpoint):
    """Adds an instrument a call; the body's `then` says how the call ends."""

    permissions = {"POST": "", "GET": ""}
    atomic = True
    ends: ClassVar[dict[str, BaseException]] = {
        "invalid": Invalid("no", details={"field": "then"}),
        "conflict": Conflict("no"),
        "forbidden": PermissionDenied("no"),
        "away": BrokerUnavailable("no"),
        "broken": ValueError("no"),
        "silent": OperationalError("no"),
        "killed": Killed(),
    }

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        with audit.recording():
            Instrument.objects.create(symbol=f"I{Instrument.objects.count()}")
            audit.record(EventType.STRATEGY_CHANGED, "strategy:1")
        if ending := self.ends.get(str(request.data.get("then"))):
            raise ending
        return Response({"count": Instrument.objects.count(), "id": self.correlation_id}, status=201)


class AddingApart(Adding):
    atomic = False


class AddingMaybe(Adding):
    idempotent = "optional"


def post(
    view: type[Endpoint],
    body: Any = None,
    *,
    key: str | None = "k1",
    user: str = "ann",
    path: str = "/x",
    seen: str = "",
) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    headers |= {"If-Match": seen} if seen else {}
    request = APIRequestFactory().post(path, json.dumps(body or {}), content_type="application/json", headers=headers)
    force_authenticate(request, User.objects.get_or_create(username=user)[0])
    with audit.acting():
        response = view.as_view()(request)
    return response.render() if hasattr(response, "render") else response


def said(response: Any) -> tuple[int, Any]:
    return response.status_code, json.loads(response.content)


KINDS = pytest.mark.parametrize("view", [Adding, AddingApart])


@KINDS
def test_the_same_request_is_told_the_same_answer(db: None, view: type[Endpoint]) -> None:
    first, second = post(view, {"a": 1, "b": "x"}), post(view, {"b": "x", "a": 1})
    assert said(first) == said(second)
    assert said(first) == (201, {"count": 1, "id": first["X-Correlation-Id"]})
    assert (Instrument.objects.count(), Event.objects.count()) == (1, 1)
    assert ("Idempotent-Replayed" in first.headers, second["Idempotent-Replayed"]) == (False, "true")
    assert second["X-Correlation-Id"] != first["X-Correlation-Id"]
    assert second["Content-Type"] == first["Content-Type"] == "application/json"


@KINDS
def test_another_request_of_the_same_key_is_refused(db: None, view: type[Endpoint]) -> None:
    post(view, {"a": 1})
    for changed in (
        post(view, {"a": 2}),
        post(view, {"a": "1"}),
        post(view, {"a": 1}, path="/y"),
        post(view, {"a": 1}, seen='"2"'),
    ):
        status, told = said(changed)
        assert (status, told["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert Instrument.objects.count() == 1
    assert said(post(view, {"a": 2}, user="bob"))[0] == 201
    assert said(post(view, {"a": 2}, key="k2"))[0] == 201


@KINDS
@pytest.mark.parametrize(("then", "status"), [("invalid", 422), ("conflict", 409)])
def test_a_refusal_is_an_answer_too(db: None, view: type[Endpoint], then: str, status: int) -> None:
    first, second = post(view, {"then": then}), post(view, {"then": then})
    assert said(first)[0] == status
    assert said(first) == said(second)
    assert said(second)[1]["error"]["correlation_id"] == first["X-Correlation-Id"]
    # What the service had committed by itself stays, and is not done again.
    assert Instrument.objects.count() == 1


@KINDS
@pytest.mark.parametrize(("then", "status", "stays"), [("forbidden", 403, 2), ("away", 503, 2), ("broken", 500, 0)])
def test_what_a_repeat_may_not_meet_again_is_heard_anew(
    db: None, view: type[Endpoint], then: str, status: int, stays: int
) -> None:
    for _ in range(2):
        response = post(view, {"then": then})
        assert said(response)[0] == status
        assert "Idempotent-Replayed" not in response.headers
    assert not KeptAnswer.objects.exists()
    assert Instrument.objects.count() == (stays if view is Adding else 2)


@KINDS
def test_who_lost_the_database_on_the_way_is_not_told_that_nothing_was_done(db: None, view: type[Endpoint]) -> None:
    status, told = said(post(view, {"then": "silent"}))
    assert (status, told["error"]["code"]) == (503, "STORAGE")
    assert "not known" in told["detail"]
    assert "nothing was done" not in told["detail"]


def test_people_with_long_names_that_begin_alike_have_keys_of_their_own(db: None) -> None:
    names = ["a" * 149 + end for end in "bc"]
    assert [said(post(Adding, user=name))[1]["count"] for name in names] == [1, 2]
    assert post(Adding, user=names[1])["Idempotent-Replayed"] == "true"
    User.objects.filter(username=names[1]).update(username="ann")
    assert post(Adding)["Idempotent-Replayed"] == "true"


def test_what_was_kept_under_a_name_is_not_done_again(db: None) -> None:
    first = post(Adding)
    KeptAnswer.objects.update(client="user:ann")
    again = post(Adding)
    assert (said(again), again["Idempotent-Replayed"]) == (said(first), "true")
    assert Instrument.objects.count() == 1


def test_a_key_must_be_given_unless_it_is_optional(db: None) -> None:
    assert said(post(Adding, key=None))[1]["error"]["code"] == "IDEMPOTENCY_KEY_MISSING"
    assert said(post(Adding, key="a b"))[1]["error"]["code"] == "IDEMPOTENCY_KEY_INVALID"
    assert [said(post(AddingMaybe, key=None))[0] for _ in range(2)] == [201, 201]
    assert not KeptAnswer.objects.exists()
    assert said(post(AddingMaybe)) == said(post(AddingMaybe))
    assert Instrument.objects.count() == 3


@pytest.mark.django_db(transaction=True)
@KINDS
def test_fifty_at_once_do_it_once(view: type[Endpoint]) -> None:
    User.objects.create(username="ann")
    told = [said(response) for response in in_threads([partial(post, view, {"a": 1})] * 50, threads=50)]
    done = [body for status, body in told if status == 201]
    assert all(body == done[0] for body in done)
    assert {body["error"]["code"] for status, body in told if status == 409} <= {"IN_PROGRESS"}
    assert {status for status, _ in told} <= {201, 409}
    assert (Instrument.objects.count(), KeptAnswer.objects.count()) == (1, 1)
    assert said(post(view, {"a": 1})) == (201, done[0])


@pytest.mark.django_db(transaction=True)
def test_a_death_on_the_way_leaves_nothing_where_the_work_is_all_in_the_database() -> None:
    with pytest.raises(Killed):
        post(Adding, {"then": "killed"})
    assert not KeptAnswer.objects.exists()
    assert not Instrument.objects.exists()


def test_who_comes_after_a_death_waits_for_the_lease_and_goes_on(db: None) -> None:
    with pytest.raises(Killed), transaction.atomic():
        post(AddingApart, {"then": "killed"})
    KeptAnswer.objects.create(
        client="user:ann", key="k1", method="POST", path="/x", body_hash=digest_of("POST", "/x", {}),
        correlation_id="dead", created_at=system_now(),
    )  # fmt: skip
    early = post(AddingApart)
    assert (said(early)[0], said(early)[1]["error"]["code"]) == (409, "IN_PROGRESS")
    assert early["Retry-After"] == "1"
    KeptAnswer.objects.update(created_at=system_now() - LEASE)
    assert said(post(AddingApart))[0] == 201
    assert post(AddingApart)["Idempotent-Replayed"] == "true"


class Telling(AddingApart):
    def post(self, request: Request) -> Response:
        return Response({"goes_on": self.goes_on})


def test_the_work_is_told_that_it_may_be_done_already(db: None) -> None:
    assert said(post(Telling))[1] == {"goes_on": False}
    KeptAnswer.objects.update(status=0, created_at=system_now() - LEASE)
    assert said(post(Telling))[1] == {"goes_on": True}
    assert said(post(Telling, key="k2"))[1] == {"goes_on": False}


@pytest.mark.django_db(transaction=True)
def test_the_row_stays_where_the_process_dies_at_work_outside_the_database() -> None:
    with pytest.raises(Killed):
        post(AddingApart, {"then": "killed"})
    assert KeptAnswer.objects.get().status == 0
    assert said(post(AddingApart, {"then": "killed"}))[1]["error"]["code"] == "IN_PROGRESS"


def test_who_lost_the_key_to_another_does_not_write_over_the_answer(db: None) -> None:
    late = KeptAnswer.objects.create(
        client="user:ann", key="k1", method="POST", path="/x", body_hash="h", correlation_id="slow",
        created_at=system_now(),
    )  # fmt: skip
    KeptAnswer.objects.update(correlation_id="new", status=201, body="first")
    idempotency._end(late, idempotency.Worked(None, 422, "late"))
    assert KeptAnswer.objects.get().body == "first"


def test_old_answers_are_swept_for_a_bounded_time(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "SWEPT_AT_ONCE", 2)
    now = system_now()
    for number in range(7):
        KeptAnswer.objects.create(
            client="c", key=str(number), correlation_id="x", created_at=now - KEPT_FOR + timedelta(hours=number - 6)
        )
    monkeypatch.setattr(idempotency, "SWEEP_S", 0.0)
    assert answers_sweep(now) == 2
    monkeypatch.undo()
    monkeypatch.setattr(idempotency, "SWEPT_AT_ONCE", 2)
    assert [answers_sweep(now), answers_sweep(now)] == [4, 0]
    assert KeptAnswer.objects.get().key == "6"


def test_the_digest_tells_numbers_from_texts_and_large_numbers_apart() -> None:
    bodies: list[dict[str, Any]] = [
        {"a": Decimal("1")},
        {"a": "1"},
        {"a": Decimal("1.0")},
        {"a": ["1"]},
        {"a": Decimal("9" * 40 + "1")},
    ]
    bodies.append({"a": Decimal("9" * 40 + "2")})
    assert len({digest_of("POST", "/x", body) for body in bodies}) == len(bodies)
    assert digest_of("POST", "/x", {"a": 1, "b": 2}) == digest_of("POST", "/x", {"b": 2, "a": 1})
