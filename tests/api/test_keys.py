"""Keys at the door of the API: what each scope opens, one refusal for all that are no good, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.clock import system_now
from autotrader.core.rest.limits import KeyLimited, limited_rows, limits_of, refuse_limited
from autotrader.core.rest.permissions import may, only_proposes
from autotrader.core.rest.views import Endpoint
from autotrader.core.users.key_ring import RING
from autotrader.core.users.keys import key_revoke
from autotrader.core.users.models import ApiKey, Scope, User
from tests.core.keys import bearer, key_of, person
from tests.support import in_threads
from trading.models import Order

pytestmark = pytest.mark.django_db
SCOPES = tuple(Scope.values)
VIEW, ORDER, HALT, OTHER = (
    "trading.view_order",
    "trading.request_order",
    "trading.halt_trading",
    "trading.run_cycle",
)
# permission of the endpoint, method → the scopes that open it.
OPENS = {
    (VIEW, "GET"): {"read"},
    (VIEW, "HEAD"): {"read"},
    ("", "GET"): {"read"},
    ("", "POST"): {"admin"},
    (ORDER, "POST"): {"propose", "trade"},
    (HALT, "POST"): {"halt"},
    (OTHER, "POST"): {"admin"},
}


class Probe(Endpoint):
    """Tells what it let through."""

    idempotent = ""

    def get(self, request: Request) -> Response:
        return Response({"proposes": only_proposes(request), "may": may(request, OTHER)})

    post = get


def ask(text: str | None, permission: str = VIEW, method: str = "GET", **view: Any) -> Any:
    """Ask a probe that names this permission, with a key or without any login."""
    headers = bearer(text) if text is not None else {}
    request = RequestFactory().generic(method, "/api/x", headers=headers)
    request.user = AnonymousUser()
    names = {"GET" if method == "HEAD" else method: permission}
    return Probe.as_view(permissions=names, **view)(request)


def said(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.data["error"]["code"]


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_opens_its_own_and_nothing_else(scope: str) -> None:
    _, text = key_of(person("ann", VIEW, ORDER, HALT, OTHER), scope)
    for (permission, method), scopes in OPENS.items():
        answer = ask(text, permission, method)
        if scope in scopes:
            assert answer.status_code == 200, (permission, method)
        else:
            assert said(answer) == (403, "SCOPE_MISSING"), (permission, method)


def test_a_key_never_exceeds_its_owner() -> None:
    _, text = key_of(person("ann", VIEW), *SCOPES)
    assert ask(text).status_code == 200
    for permission in (ORDER, HALT, OTHER):
        assert said(ask(text, permission, "POST")) == (403, "NOT_ALLOWED")


def test_what_only_a_person_may_do_is_closed_to_every_key() -> None:
    _, text = key_of(person("boss", is_superuser=True), *SCOPES)
    assert said(ask(text, "", "POST", people_only=frozenset({"POST"}))) == (403, "PERSON_NEEDED")
    assert ask(text, "", "GET", people_only=frozenset({"POST"})).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "proposes", "runs"),
    [(("propose",), True, False), (("trade",), False, False), (("propose", "trade", "admin"), False, True)],
)
def test_rights_within_an_endpoint_need_their_scope_too(scopes: tuple[str, ...], proposes: bool, runs: bool) -> None:
    _, text = key_of(person("ann", ORDER, OTHER), *scopes)
    assert ask(text, ORDER, "POST").data == {"proposes": proposes, "may": runs}


def _forged(key: ApiKey, text: str) -> str:
    return text[:-1] + ("A" if text[-1] != "A" else "B")


def _expired(key: ApiKey, text: str) -> str:
    ApiKey.objects.update(expires_at=system_now() - timedelta(seconds=1))
    return text


def _revoked(key: ApiKey, text: str) -> str:
    key_revoke(key, actor="boss")
    return text


def _disabled(key: ApiKey, text: str) -> str:
    User.objects.update(is_active=False)
    return text


BAD: list[Callable[[ApiKey, str], str]] = [
    _forged,
    _expired,
    _revoked,
    _disabled,
    lambda key, text: "nothing like a key",
    lambda key, text: text + "x",
    lambda key, text: "",
]


@pytest.mark.parametrize("spoil", BAD)
def test_every_bad_key_is_told_the_same(spoil: Callable[[ApiKey, str], str]) -> None:
    key, text = key_of(person("ann", VIEW))
    bad = ask(spoil(key, text))
    plain = ask("at_00000000_" + "0" * 43)
    assert said(bad) == (401, "NOT_AUTHENTICATED")
    assert bad.data["detail"] == plain.data["detail"]
    assert bad.data["error"]["details"] == {}
    assert bad["WWW-Authenticate"] == 'Bearer realm="AutoTrader"'


def test_without_any_login_the_way_in_is_named() -> None:
    answer = ask(None)
    assert said(answer) == (401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_bad_key_is_not_saved_by_a_good_session() -> None:
    ann = person("ann", "trading.view_approval")
    client = Client()
    client.force_login(ann)
    assert client.get("/api/approvals").status_code == 200
    assert client.get("/api/approvals", headers=bearer("at_00000000_" + "0" * 43)).status_code == 401
    assert client.get("/api/approvals", headers={"X-API-Key": "x"}).status_code == 401
    assert client.get("/api/approvals", headers={"X-API-Key": key_of(ann)[1]}).status_code == 200


def test_a_key_needs_no_csrf_token_and_a_session_does() -> None:
    boss = person("boss", HALT)
    client = Client(enforce_csrf_checks=True)
    body = {"content_type": "application/json", "headers": {"Idempotency-Key": "k1"}}
    client.force_login(boss)
    assert client.post("/api/halt", '{"reason": 1}', **body).status_code == 403  # type: ignore[arg-type]
    headers = {**bearer(key_of(boss, "halt")[1]), "Idempotency-Key": "k2"}
    answer = client.post("/api/halt", '{"reason": 1}', content_type="application/json", headers=headers)
    assert answer.status_code == 422


def test_a_key_has_its_own_pace() -> None:
    ann = person("ann", VIEW)
    _, slow = key_of(ann, requests_per_minute=3)
    _, other = key_of(ann)
    assert [ask(slow).status_code for _ in range(3)] == [200] * 3
    answer = ask(slow)
    assert said(answer) == (429, "THROTTLED")
    assert 1 <= int(answer["Retry-After"]) <= 20
    assert ask(other).status_code == 200


def test_refused_requests_count_too() -> None:
    _, text = key_of(person("ann"), requests_per_minute=3)
    assert [ask(text).status_code for _ in range(4)] == [403, 403, 403, 429]


def test_a_person_has_a_pace_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotrader.core.rest.authentication.SESSION_PER_MINUTE", 3)
    clients = [Client(), Client(), Client()]
    for client, name in zip(clients, ("ann", "ann", "ben"), strict=True):
        client.force_login(User.objects.filter(username=name).first() or person(name, "trading.view_approval"))
    statuses = [client.get("/api/approvals").status_code for client in (*clients[:2], *clients)]
    assert statuses == [200, 200, 200, 429, 200], "two sessions of one person share it"


def test_a_refusal_leaves_one_line_that_names_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    key, text = key_of(person("ann"))
    client = Client(REMOTE_ADDR="192.0.2.77")
    client.get("/api/approvals", headers=bearer(text))
    key_revoke(key, actor="boss")
    RING.clear()
    client.get("/api/approvals", headers=bearer(text))
    client.get("/api/approvals")
    lines = [vars(line) for line in caplog.records if line.name == "autotrader.core.rest.refusals"]
    told = [tuple(line[name] for name in ("status", "code", "user", "key", "route", "address")) for line in lines]
    assert told == [
        (403, "NOT_ALLOWED", "ann", key.prefix, "api/approvals", "192.0.2.77"),
        (401, "NOT_AUTHENTICATED", "", key.prefix, "api/approvals", "192.0.2.77"),
        (401, "NOT_AUTHENTICATED", "", "", "api/approvals", "192.0.2.77"),
    ]
    secret = text.split("_", 2)[2]
    assert not any(secret in str(line) for line in lines)


def test_guessing_is_slowed_down_and_a_good_key_at_the_same_address_passes() -> None:
    _, text = key_of(person("ann", VIEW))
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 2000:  # one a second more is allowed meanwhile
        statuses.append(ask(f"at_{len(statuses):08d}_{'0' * 43}").status_code)
    assert len(statuses) > 60
    assert set(statuses) == {401, 429}
    RING.clear()
    assert ask(text).status_code == 200


def test_fifty_threads_with_one_key(transactional_db: None) -> None:
    _, text = key_of(person("ann", VIEW), requests_per_minute=200)
    began = time.monotonic()
    statuses = in_threads([lambda: ask(text).status_code] * 300, threads=50)
    assert statuses.count(200) + statuses.count(429) == 300
    assert 200 <= statuses.count(200) <= 201 + (time.monotonic() - began) * 200 / 60


def asked_by(key: Any) -> Request:
    request = Request(RequestFactory().get("/api/x"))
    request._user, request._auth = AnonymousUser(), key  # type: ignore[attr-defined]
    return request


def test_a_person_is_not_limited_and_a_key_by_what_it_says() -> None:
    person_asks = asked_by(None)
    assert not limits_of(person_asks).is_limited
    refuse_limited(person_asks)
    limited = asked_by(ApiKey(accounts=["DU1"], strategies=[]))
    assert limits_of(limited).accounts == {"DU1"}
    with pytest.raises(KeyLimited):
        refuse_limited(limited)
    with pytest.raises(KeyLimited):
        limits_of(asked_by("a login of another kind"))


def test_lists_show_a_limited_key_its_own_rows() -> None:
    limits = limits_of(asked_by(ApiKey(accounts=["DU1"], strategies=[3])))
    shown = str(limited_rows(Order.objects.all(), limits, account="account_id", strategy="strategy_id").query)
    assert "DU1" in shown
    assert "(3)" in shown
    with pytest.raises(KeyLimited):
        limited_rows(Order.objects.all(), limits, account="account_id")
    unlimited = limits_of(asked_by(None))
    assert "WHERE" not in str(limited_rows(Order.objects.all(), unlimited).query)
