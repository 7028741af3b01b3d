"""API keys: made and ended through services, never stored, and told from memory for five seconds at most."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from autotrader.core.rest.throttling import FAILURES_PER_MINUTE, Buckets
from autotrader.core.users.key_ring import FRESH_S, RING, USE_NOTED_EVERY_S, KeyRing, find_key
from autotrader.core.users.keys import (
    KEY,
    KeyNotAllowed,
    Terms,
    key_change,
    key_create,
    key_revoke,
    prefix_of,
    scopes_for,
    scopes_of,
    shown_key,
    state_of,
    terms_of,
)
from autotrader.core.users.limits import KeyLimited, Limits, limits_from
from autotrader.core.users.models import ApiKey, User
from tests.core.keys import key_of, person
from tests.support import PATIENCE_S, in_threads

HERE = "192.0.2.7"
FORGED = f"at_abcdefgh_{'x' * 43}"


def forged(number: int) -> str:
    return f"at_{number:08d}_{'x' * 43}"


class Ring:
    """A process of its own, whose clock is told."""

    def __init__(self, size: int = 100) -> None:
        self.ring = KeyRing(failures=Buckets(100), size=size)
        self.tick = 1000.0
        self.began = system_now()

    def find(self, text: str, address: str = HERE) -> ApiKey | None:
        return self.look(text, address).key

    def look(self, text: str, address: str = HERE) -> Any:
        now = self.began + timedelta(seconds=self.tick - 1000)
        return self.ring.find(text, address, tick=self.tick, now=now)


def test_a_key_is_told_once_and_kept_as_a_digest(db: None) -> None:
    ann = person("ann")
    key, text = key_of(ann, "read", "trade")
    assert KEY.fullmatch(text)
    assert prefix_of(text) == key.prefix
    assert (key.user, key.scopes, key.version) == (ann, ["read", "trade"], 1)
    assert key.digest not in text
    assert text not in str(vars(key))
    other, other_text = key_of(ann)
    assert (other.prefix, other_text) != (key.prefix, text)


def test_no_dump_of_the_database_holds_a_key(db: None) -> None:
    key, text = key_of(person("ann"))
    assert find_key(text, HERE).key == key
    key_change(key, terms_of(key), actor="ann")
    key_revoke(key, actor="ann")
    dumped = io.StringIO()
    call_command("dumpdata", stdout=dumped)
    assert key.prefix in dumped.getvalue()
    assert text.rpartition(key.prefix)[2].strip("_") not in dumped.getvalue()


def test_making_changing_and_revoking_are_on_record(db: None) -> None:
    key, _ = key_of(person("ann"))
    terms = terms_of(key)
    key_change(key, Terms("robot 2", ("read", "halt"), terms.expires_at), actor="boss")
    key_revoke(key, actor="boss")
    told = [(row.type, row.subject_version, row.actor) for row in Event.objects.filter(subject=f"api_key:{key.prefix}")]
    assert told[::-1] == [
        ("API_KEY_CREATED", 1, "test"),
        ("API_KEY_CHANGED", 2, "boss"),
        ("API_KEY_REVOKED", 3, "boss"),
    ] or told == [("API_KEY_CREATED", 1, "test"), ("API_KEY_CHANGED", 2, "boss"), ("API_KEY_REVOKED", 3, "boss")]
    changed = json.loads(Event.objects.get(type="API_KEY_CHANGED").document)["changed"]
    assert changed == {"name": ["robot", "robot 2"], "scopes": [["read"], ["read", "halt"]]}
    assert not Event.objects.filter(document__contains=key.digest).exists()
    assert state_of(key, system_now()) == "REVOKED"


def test_a_key_that_has_ended_stays_ended(db: None) -> None:
    key, _ = key_of(person("ann"))
    stale = ApiKey.objects.get()
    key_revoke(key, actor="ann")
    assert key_revoke(key, actor="ben").revoked_by == "ann"
    with pytest.raises(Conflict):
        key_change(stale, terms_of(stale), actor="ben")
    assert Event.objects.filter(type="API_KEY_REVOKED").count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scopes": ()}, "scopes"),
        ({"scopes": ("root",)}, "scopes"),
        ({"expires_at": system_now() - timedelta(seconds=1)}, "expires_at"),
        ({"expires_at": system_now() + timedelta(days=400)}, "expires_at"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": 10**6}, "requests_per_minute"),
        ({"accounts": ("",)}, "accounts"),
        ({"strategies": (0,)}, "strategies"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_name(db: None, changes: dict[str, Any], field: str) -> None:
    values = {"name": "robot", "scopes": ("read",), "expires_at": system_now() + timedelta(days=1)}
    with pytest.raises(Invalid) as refused:
        key_create(Terms(**(values | changes)), user=person("ann"), actor="ann")
    assert refused.value.details["field"] == field
    assert not ApiKey.objects.exists()


def test_nobody_makes_a_key_by_which_they_may_do_more(db: None) -> None:
    terms = Terms("robot", ("read",), system_now() + timedelta(days=1))
    clerk = person("clerk", "users.add_apikey", "audit.view_event")
    boss = person("boss", is_superuser=True)
    strong, weak = person("strong", "trading.request_order"), person("weak", "audit.view_event")
    for owner in (boss, strong):
        with pytest.raises(KeyNotAllowed):
            key_create(terms, user=owner, actor="clerk", maker=clerk)
    for owner in (weak, clerk):
        key_create(terms, user=owner, actor="clerk", maker=clerk)
    key_create(terms, user=strong, actor="boss", maker=boss)
    with pytest.raises(Invalid):
        key_create(terms, user=person("gone", is_active=False), actor="boss", maker=boss)


@pytest.mark.parametrize(
    ("permission", "is_read", "scopes"),
    [
        ("trading.view_order", True, {"read"}),
        ("trading.view_order", False, {"read"}),
        ("", True, {"read"}),
        ("", False, {"admin"}),
        ("trading.request_order", False, {"propose", "trade"}),
        ("trading.halt_trading", False, {"halt"}),
        ("trading.release_trading", False, {"admin"}),
        ("trading.run_cycle", False, {"admin"}),
        ("trading.change_strategy", False, {"admin"}),
    ],
)
def test_a_permission_is_covered_by_its_scopes(permission: str, is_read: bool, scopes: set[str]) -> None:
    assert scopes_for(permission, is_read=is_read) == scopes


def test_scopes_that_cannot_be_read_open_nothing() -> None:
    for scopes in (None, "admin", {"admin": 1}, ["root"], 7):
        assert scopes_of(ApiKey(scopes=scopes)) == frozenset()
    assert scopes_of(object()) == frozenset()


@pytest.mark.parametrize(
    ("authorization", "other", "shown"),
    [
        ("", "", None),
        ("Basic abc", "", None),
        (f"Bearer {FORGED}", "", FORGED),
        (f"bearer   {FORGED} ", "", FORGED),
        ("", FORGED, FORGED),
        (f"Bearer {FORGED}", FORGED, FORGED),
        (f"Bearer {FORGED}", "at_other", ""),
        ("Bearer", "", ""),
    ],
)
def test_the_key_is_read_from_its_headers(authorization: str, other: str, shown: str | None) -> None:
    assert shown_key(authorization, other) == shown


def test_limits_allow_what_they_name_and_refuse_what_cannot_be_told() -> None:
    free, narrow = Limits(), Limits(frozenset({"DU1"}), frozenset({3}))
    assert (free.is_limited, narrow.is_limited) == (False, True)
    assert free.allows_account(None)
    assert free.allows_strategy(None)
    assert (narrow.allows_account("DU1"), narrow.allows_strategy(3)) == (True, True)
    for account, strategy in (("DU2", 3), ("DU1", 4), (None, 3), ("DU1", None), ("", 3)):
        with pytest.raises(KeyLimited):
            narrow.check(account=account, strategy=strategy)
    narrow.check(account="DU1", strategy=3)


@pytest.mark.parametrize("value", [None, "DU1", {"DU1": 1}, [1], [None], [""], ["DU1", 2]])
def test_a_limit_that_cannot_be_read_allows_nothing(value: Any) -> None:
    limits = limits_from(value, [])
    assert limits.is_limited
    assert not limits.allows_account("DU1")
    assert not limits_from([], ["3"]).allows_strategy(3)
    assert not limits_from([], [True]).allows_strategy(1)


def test_a_key_is_looked_up_once_in_five_seconds(db: None, django_assert_num_queries: Any) -> None:
    ann = person("ann", "audit.view_event")
    key, text = key_of(ann)
    ring = Ring()
    assert ring.find(text) == key
    with django_assert_num_queries(0):
        found = ring.find(text)
        assert found is not None
        assert found.user.has_perm("audit.view_event")
        assert not found.user.has_perm("trading.request_order")
    ring.tick += FRESH_S
    with django_assert_num_queries(3):  # the key with its owner, their permissions, their groups'
        assert ring.find(text) == key


def test_what_a_view_does_to_its_user_reaches_no_other_request(db: None) -> None:
    _, text = key_of(person("ann"))
    ring = Ring()
    first, second = ring.find(text), ring.find(text)
    assert first is not None
    assert second is not None
    first.user.username, first.scopes = "mallory", ["admin"]
    assert (second.user.username, second.scopes) == ("ann", ["read"])


def _revoke(key: ApiKey) -> None:
    key_revoke(key, actor="boss")


def _disable(key: ApiKey) -> None:
    User.objects.filter(pk=key.user_id).update(is_active=False)


@pytest.mark.parametrize("end", [_revoke, _disable])
def test_another_process_knows_within_five_seconds(db: None, end: Callable[[ApiKey], None]) -> None:
    key, text = key_of(person("ann"))
    other = Ring()
    assert other.find(text) == key
    end(key)
    other.tick += FRESH_S - 0.01
    assert other.find(text) == key
    other.tick += 0.01
    assert other.find(text) is None


def test_this_process_knows_of_a_revocation_at_once(transactional_db: None) -> None:
    key, text = key_of(person("ann"))
    assert find_key(text, HERE).key == key
    key_revoke(key, actor="boss")
    assert find_key(text, HERE).key is None


def test_a_lost_permission_is_known_within_five_seconds(db: None) -> None:
    ann = person("ann", "audit.view_event")
    _, text = key_of(ann)
    ring = Ring()
    assert ring.find(text).user.has_perm("audit.view_event")  # type: ignore[union-attr]
    ann.user_permissions.clear()
    ring.tick += FRESH_S
    assert not ring.find(text).user.has_perm("audit.view_event")  # type: ignore[union-attr]


def test_a_key_ends_on_time_even_while_it_is_remembered(db: None) -> None:
    _, text = key_of(person("ann"), expires_at=system_now() + timedelta(seconds=3))
    ring = Ring()
    assert ring.find(text) is not None
    ring.tick += 3
    assert ring.find(text) is None


def test_a_bad_key_is_remembered_too(db: None, django_assert_num_queries: Any) -> None:
    ring = Ring()
    with django_assert_num_queries(1):
        assert [ring.find(FORGED) for _ in range(9)] == [None] * 9
    with django_assert_num_queries(0):
        assert ring.find("at_short") is None
        assert ring.find("x" * 10_000) is None
        assert ring.find("\udcff\x00é") is None


def test_a_flood_of_bad_keys_pushes_no_good_one_out(db: None, django_assert_num_queries: Any) -> None:
    key, text = key_of(person("ann"))
    ring = Ring(size=4)
    assert ring.find(text) == key
    for number in range(20):
        assert ring.find(forged(number)) is None
    with django_assert_num_queries(0):
        assert ring.find(text) == key
    assert len(ring.ring._bad) == 4


def test_guessing_is_bounded_and_shuts_nobody_out(db: None, django_assert_max_num_queries: Any) -> None:
    key, text = key_of(person("ann"))
    new, new_text = key_of(person("ben"))
    ring = Ring()
    with django_assert_max_num_queries(FAILURES_PER_MINUTE + 1):
        looks = [ring.look(forged(number)) for number in range(1000)]
    assert [look.key for look in looks] == [None] * 1000
    assert sum(look.wait_s == 0 for look in looks) == FAILURES_PER_MINUTE
    assert 0 < looks[-1].wait_s <= 1
    assert (ring.find(text), ring.find(new_text)) == (key, new)
    assert ring.look(forged(1), "198.51.100.9").wait_s == 0
    ring.tick += 1
    late, late_text = key_of(person("eve"))
    assert ring.look(forged(2)).wait_s == 0  # one more guess a second
    assert ring.look(forged(3)).wait_s > 0
    assert ring.find(late_text) == late


def test_the_last_use_is_written_once_a_minute(db: None) -> None:
    key, text = key_of(person("ann"))
    ring = Ring()
    ring.find(text, "192.0.2.1")
    key.refresh_from_db()
    assert (key.last_used_at, key.last_used_from) == (ring.began, "192.0.2.1")
    ring.tick += USE_NOTED_EVERY_S - 1
    ring.find(text, "192.0.2.2")
    key.refresh_from_db()
    assert key.last_used_from == "192.0.2.1"
    ring.tick += 2
    ring.find(text, "192.0.2.3")
    key.refresh_from_db()
    assert key.last_used_from == "192.0.2.3"
    assert not Event.objects.exclude(type="API_KEY_CREATED").exists()


def test_a_busy_database_holds_no_request_up(transactional_db: None) -> None:
    key, text = key_of(person("ann"))
    busy, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            ApiKey.objects.select_for_update().filter(pk=key.pk).update(name="held")
            busy.set()
            assert done.wait(PATIENCE_S)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert busy.wait(PATIENCE_S)
        assert Ring().find(text) == key
        assert holder.is_alive(), "it was not waited for"
    finally:
        done.set()
        holder.join()
    key.refresh_from_db()
    assert key.last_used_at is None


def test_fifty_threads_share_one_key(transactional_db: None) -> None:
    key, text = key_of(person("ann"))
    found = in_threads([lambda: find_key(text, HERE).key] * 500, threads=50)
    assert set(found) == {key}
    key.refresh_from_db()
    assert key.last_used_at is not None
    RING.clear()


def test_a_bucket_holds_a_minute_and_refills_evenly() -> None:
    buckets = Buckets(10)
    assert [buckets.take("a", 3, 0.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", 3, 0.0) == pytest.approx(20)
    assert buckets.take("b", 3, 0.0) == 0
    assert buckets.take("a", 3, 19.9) == pytest.approx(0.1)
    assert buckets.take("a", 3, 20.0) == 0
    assert buckets.take("a", 3, 20.0) > 0
    assert [buckets.take("a", 3, 1000.0) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]


def test_buckets_are_bounded() -> None:
    buckets = Buckets(3)
    for number in range(10):
        buckets.take(str(number), 1, 0.0)
    assert list(buckets._full_at) == ["7", "8", "9"]
