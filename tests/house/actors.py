"""Everybody who may knock: people of each role, keys of each scope, and those who should not come in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from autotrader.core.clock import system_now
from autotrader.core.rest.throttling import CALLS, FAILURES
from autotrader.core.users.keys import MOST_PER_MINUTE, Terms, key_create
from autotrader.core.users.models import ApiKey, Scope, User

ROLES = ("viewer", "operator", "approver", "risk manager", "administrator")
SCOPES = tuple(Scope.values)
# The columns of the matrix, in their order.
COLUMNS = {
    "anonymous": "anon",
    "person without a role": "none",
    "viewer": "view",
    "operator": "oper",
    "approver": "appr",
    "risk manager": "risk",
    "administrator": "admin",
    "disabled administrator": "off",
    "key of an administrator, read": "k-read",
    "key of an administrator, propose": "k-prop",
    "key of an administrator, trade": "k-trad",
    "key of an administrator, halt": "k-halt",
    "key of an administrator, admin": "k-adm",
    "key of a viewer, every scope": "k-view",
    "key of an administrator, every scope, for another strategy": "k-othr",
    "expired key of an administrator, every scope": "k-gone",
}


@dataclass
class Actor:
    """Somebody with a browser or a key."""

    title: str
    user: User | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))
    count: int = 0

    def login(self) -> None:
        """Open the session, where the actor has one."""
        if self.user is not None:
            self.client.force_login(self.user)

    def shown(self) -> Mapping[str, str]:
        """What a request of this actor carries."""
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.client.cookies.items())
        return {**self.headers, **({"Cookie": cookies} if cookies else {})}

    def ask(self, method: str, address: str, body: Mapping[str, Any], *, is_json: bool) -> Any:
        """One request; each with an Idempotency-Key of its own, and never refused for being one too many."""
        CALLS.clear()
        FAILURES.clear()
        self.count += 1
        headers = {**self.headers, "Idempotency-Key": f"matrix-{id(self)}-{self.count}"}
        if method == "POST" and not is_json:
            return self.client.post(address, dict(body), headers=headers)
        content = json.dumps(body) if is_json and method not in ("GET", "HEAD") else ""
        return self.client.generic(method, address, content, "application/json", headers=headers)


def actors(other_strategy: int) -> list[Actor]:
    """One of each column; `other_strategy` is the only one that the limited key may touch."""
    people = {name: _person(name) for name in ROLES}
    disabled = _person("administrator", "disabled")
    made = [
        Actor("anonymous"),
        Actor("person without a role", User.objects.create_user("nobody", password=None)),
        *(Actor(name, people[name]) for name in ROLES),
        Actor("disabled administrator", disabled),
        *(_key(f"key of an administrator, {scope}", people["administrator"], scope) for scope in SCOPES),
        _key("key of a viewer, every scope", people["viewer"], *SCOPES),
        _key(
            "key of an administrator, every scope, for another strategy",
            people["administrator"],
            *SCOPES,
            strategies=(other_strategy,),
        ),
        _key("expired key of an administrator, every scope", people["administrator"], *SCOPES),
    ]
    assert [actor.title for actor in made] == list(COLUMNS)
    for actor in made:
        actor.login()
    User.objects.filter(pk=disabled.pk).update(is_active=False)
    ApiKey.objects.filter(name=made[-1].title[:80]).update(expires_at=system_now() - timedelta(seconds=1))
    return made


def _person(role: str, name: str = "") -> User:
    user = User.objects.create_user(name or role.replace(" ", "-"), password=None, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def _key(title: str, owner: User, *scopes: str, strategies: tuple[int, ...] = ()) -> Actor:
    terms = Terms(
        title[:80], scopes, system_now() + timedelta(days=1), (), strategies, requests_per_minute=MOST_PER_MINUTE
    )
    _, text = key_create(terms, user=owner, actor="test")
    return Actor(title, headers={"Authorization": f"Bearer {text}"})
