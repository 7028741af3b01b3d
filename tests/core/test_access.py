"""Who may come in outside the views: one look at a key or a session, and one look for all whether they still hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.test import Client

from autotrader.core.clock import system_now
from autotrader.core.rest.throttling import FAILURES_PER_MINUTE, TooMany
from autotrader.core.users.access import Access, access_of, still_valid
from autotrader.core.users.key_ring import FRESH_S
from autotrader.core.users.keys import Terms, key_change, key_revoke
from autotrader.core.users.models import ApiKey, User
from tests.core.keys import key_of, person

pytestmark = pytest.mark.django_db
VIEW = "audit.view_event"


def by_key(text: str, **cookies: str) -> Access | None:
    return access_of({"authorization": f"Bearer {text}"}, cookies, "192.0.2.7")


def cookies_of(client: Client) -> dict[str, str]:
    return {name: morsel.value for name, morsel in client.cookies.items()}


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_session_comes_in_with_its_permissions() -> None:
    ann = person("ann", VIEW)
    access = access_of({}, cookies_of(logged_in(ann)))
    assert access is not None
    assert (access.username, access.prefix, access.name) == ("ann", "", f"user:{ann.pk}")
    assert (access.may(VIEW), access.may("trading.view_order"), access.limits.is_limited) == (True, False, False)
    assert system_now() < access.look_again_at <= system_now() + timedelta(seconds=FRESH_S)


def test_a_key_comes_in_with_its_scopes_and_limits() -> None:
    key, text = key_of(person("ann", VIEW, "trading.request_order"), accounts=("DU1",))
    access = by_key(text)
    assert access is not None
    assert (access.prefix, access.name, access.limits.accounts) == (key.prefix, f"key:{key.pk}", {"DU1"})
    assert access.may(VIEW)
    assert not access.may("trading.request_order")
    assert not access.may("trading.view_order")


def test_permissions_come_from_groups_too_and_a_superuser_has_all() -> None:
    ann = person("ann")
    group = Group.objects.create(name="watchers")
    group.permissions.add(Permission.objects.get(codename="view_event", content_type__app_label="audit"))
    ann.groups.add(group)
    for user, sees in ((ann, True), (person("ben"), False), (person("boss", is_superuser=True), True)):
        _, text = key_of(user)
        access = by_key(text)
        assert access is not None
        assert access.may(VIEW) is sees


def test_nobody_comes_in_without_a_good_login() -> None:
    ann = person("ann", VIEW)
    session = cookies_of(logged_in(ann))
    revoked, text = key_of(ann)
    key_revoke(revoked, actor="ann")
    assert access_of({}, {}) is None
    assert access_of({}, {settings.SESSION_COOKIE_NAME: "nothing"}) is None
    assert by_key(text) is None
    assert by_key(f"at_abcdefgh_{'x' * 43}") is None
    assert by_key("nothing", **session) is None, "a bad key is not saved by a good session"
    assert access_of({"x-api-key": "nothing"}, session) is None


def test_too_many_bad_keys_of_an_address_are_told_to_wait() -> None:
    assert by_key("nothing") is None
    with pytest.raises(TooMany) as refused:
        for _ in range(FAILURES_PER_MINUTE * 2):
            by_key("nothing")
    assert refused.value.retry_after >= 1


def _revoke(access: Access) -> None:
    key_revoke(ApiKey.objects.get(), actor="boss")


def _narrow(access: Access) -> None:
    key = ApiKey.objects.get()
    key_change(key, Terms(key.name, ("read",), key.expires_at, accounts=("DU2",)), actor="boss")


def _expire(access: Access) -> None:
    ApiKey.objects.update(expires_at=system_now())


def _disable(access: Access) -> None:
    User.objects.filter(pk=access.credential.user_id).update(is_active=False)


def _take_away(access: Access) -> None:
    User.objects.get(pk=access.credential.user_id).user_permissions.clear()


@pytest.mark.parametrize("change", [_revoke, _narrow, _expire, _disable, _take_away])
def test_a_key_holds_until_anything_about_it_changes(change: Callable[[Access], None]) -> None:
    _, text = key_of(person("ann", VIEW))
    access = by_key(text)
    assert access is not None
    assert still_valid([access]) == {access}
    change(access)
    assert still_valid([access]) == set()


def test_a_session_holds_until_it_is_left_or_its_person_changes() -> None:
    people = {name: person(name, VIEW) for name in ("leaves", "password", "disabled", "stays")}
    clients = {name: logged_in(user) for name, user in people.items()}
    accesses = {name: access_of({}, cookies_of(client)) for name, client in clients.items()}
    seen = [access for access in accesses.values() if access is not None]
    assert len(still_valid(seen)) == len(people)
    clients["leaves"].logout()
    people["password"].set_password("another one")
    people["password"].save()
    User.objects.filter(username="disabled").update(is_active=False)
    assert still_valid(seen) == {accesses["stays"]}


def test_many_are_asked_about_in_as_few_queries_as_one(django_assert_num_queries: Any) -> None:
    accesses = [access_of({}, cookies_of(logged_in(person(f"p{number}", VIEW)))) for number in range(10)]
    accesses += [by_key(key_of(person(f"k{number}", VIEW))[1]) for number in range(10)]
    seen = [access for access in accesses if access is not None]
    with django_assert_num_queries(5):
        assert len(still_valid(seen)) == 20
    assert still_valid([]) == set()
