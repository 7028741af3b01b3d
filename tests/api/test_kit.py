"""What every endpoint shares: the envelope, who may come in, and bodies of exact numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from rest_framework.request import Request

from autotrader.core.errors import Conflict, Invalid
from autotrader.core.rest.errors import Malformed
from autotrader.core.rest.parsers import LARGEST_BODY, parse_object
from autotrader.core.rest.views import Endpoint, idempotency_key
from autotrader.core.users.models import User
from broker.errors import BrokerUnavailable


def test_an_unknown_address_is_answered_in_the_envelope(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("ann", password="x"))
    answer = client.get("/api/nothing/here")
    assert answer.status_code == 404
    said = answer.json()
    assert said["detail"] == said["error"]["message"] == "There is no endpoint /api/nothing/here."
    assert said["error"]["code"] == "NOT_FOUND"
    assert said["error"]["correlation_id"] == answer["X-Correlation-Id"]


class Raising(Endpoint):
    permissions = {"GET": ""}
    error: Exception = Exception()

    def get(self, request: Request) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Invalid("no", details={"field": "side"}), 422, "INVALID"),
        (Conflict("no", code="IDEMPOTENCY_KEY_REUSED"), 409, "IDEMPOTENCY_KEY_REUSED"),
        (BrokerUnavailable("away"), 503, "BROKER_UNAVAILABLE"),
        (ValueError("secret"), 500, "INTERNAL"),
    ],
)
def test_every_error_has_its_status_and_its_code(db: None, error: Exception, status: int, code: str) -> None:
    request = RequestFactory().get("/api/x")
    request.user = User.objects.create_user("ann", password="x")
    answer: Any = Raising.as_view(error=error)(request)
    assert (answer.status_code, answer.data["error"]["code"]) == (status, code)
    assert "secret" not in str(answer.data)
    assert ("Retry-After" in answer.headers) == (status == 503)


class Silent(Endpoint):
    def get(self, request: Request) -> None:
        raise AssertionError("this must not be reached")


def test_a_method_that_names_no_permission_is_open_to_nobody(db: None) -> None:
    request = RequestFactory().get("/api/x")
    request.user = User.objects.create_superuser("boss", password="x")
    assert Silent.as_view()(request).status_code == 403


def test_who_is_not_logged_in_is_told_so() -> None:
    request = RequestFactory().get("/api/x")
    request.user = AnonymousUser()
    answer: Any = Raising.as_view()(request)
    assert (answer.status_code, answer.data["error"]["code"]) == (401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"] == 'Bearer realm="AutoTrader"'


def test_numbers_stay_exact() -> None:
    assert parse_object(b'{"a": 0.1, "b": 100, "c": 1e30}') == {"a": Decimal("0.1"), "b": 100, "c": Decimal("1e30")}
    assert parse_object(b'{"a": ' + b"9" * 6000 + b"}")["a"].adjusted() == 5999
    assert parse_object(b"  ") == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"[]", b"1", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1, "a": 2}', b"{'a': 1}",
        b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_object(raw)


@pytest.mark.parametrize("key", ["", "a b", "x" * 81, "é"])
def test_a_key_must_be_given_and_sound(key: str) -> None:
    with pytest.raises(Malformed):
        idempotency_key(Request(RequestFactory().post("/api/x", headers={"Idempotency-Key": key})))


def test_a_sound_key_is_taken() -> None:
    assert idempotency_key(Request(RequestFactory().post("/api/x", headers={"Idempotency-Key": "k-1"}))) == "k-1"
    assert LARGEST_BODY >= 64 * 1024
