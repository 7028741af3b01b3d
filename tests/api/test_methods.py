"""Every method on every address: whatever is not there is told in the envelope, with what is there instead."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from autotrader.core.rest.views import Endpoint
from autotrader.core.users.models import User
from tests.api.test_schema import endpoints

ODD = ("get", "post", "put", "patch", "delete", "trace", "options", "brew", "head")
ADDRESSES = sorted({path for path, _ in endpoints() if path.startswith("/api/")})
VIEWS = dict(endpoints())


def filled(path: str) -> str:
    """The address with parameters that name nothing."""
    return path.replace("{pk}", "987654321").replace("{order_ref}", "AT0000000-E")


def handlers(view: type[Endpoint]) -> set[str]:
    """The methods that the endpoint answers."""
    found = {name for name in view.http_method_names if hasattr(view, name)}
    return found | ({"head"} if "get" in found else set())


@pytest.fixture
def client(db: None) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


def test_a_method_that_is_not_there_is_told_with_those_that_are(client: Client) -> None:
    wrong: list[Any] = []
    for path in ADDRESSES:
        there = handlers(VIEWS[path])
        for method in set(ODD) - there:
            answer = client.generic(method.upper(), filled(path), "{}", "application/json")
            allowed = {word.strip().lower() for word in answer.headers.get("Allow", "").split(",")}
            body = answer.json() if method != "head" else {"error": {"code": "METHOD_NOT_ALLOWED"}}
            if (answer.status_code, body["error"]["code"]) != (405, "METHOD_NOT_ALLOWED") or not allowed & there:
                wrong.append((method, path, answer.status_code, sorted(allowed)))
    assert wrong == []


def test_who_is_not_logged_in_is_told_so_in_the_envelope(db: None) -> None:
    wrong = []
    for path in ADDRESSES:
        view = VIEWS[path]
        for method in handlers(view) - {"head"} - {name.lower() for name in getattr(view, "open_methods", ())}:
            answer = Client().generic(method.upper(), filled(path), "{}", "application/json")
            if answer.status_code != 401 or answer.json()["error"]["code"] != "NOT_AUTHENTICATED":
                wrong.append((method, path, answer.status_code))
    assert wrong == []
