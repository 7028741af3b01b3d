"""Keys in the admin and on the command line: real choices, shown once, revoked for good, never a digest."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.users.key_ring import RING, find_key
from autotrader.core.users.keys import key_revoke
from autotrader.core.users.models import ApiKey, User
from tests.core.keys import key_of, person
from tests.trading import builders
from trading.models import Account, Strategy
from trading.models.account import AccountKind

pytestmark = pytest.mark.django_db
LIST, ADD = "admin:users_apikey_changelist", "admin:users_apikey_add"
WRITTEN = re.compile(r"at_[a-z0-9]{8}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def strategy(db: None) -> Strategy:
    Account.objects.create(id="DU1", kind=AccountKind.PAPER, base_currency="USD", created_at=system_now())
    return builders.strategy("Trend")


def page(key: ApiKey) -> str:
    return reverse("admin:users_apikey_change", args=[key.pk])


def form(user: User, **changes: Any) -> dict[str, Any]:
    ends = system_now() + timedelta(days=30)
    said = {
        "name": "robot",
        "user": user.pk,
        "scopes": ["read"],
        "expires_at_0": f"{ends:%Y-%m-%d}",
        "expires_at_1": "12:00:00",
        "requests_per_minute": 60,
    }
    return said | changes


def test_a_key_is_made_and_shown_exactly_once(boss: Client, strategy: Strategy) -> None:
    owner = person("ann")
    shown = boss.get(reverse(ADD)).content.decode()
    assert "DU1" in shown
    assert "Trend" in shown
    answer = boss.post(reverse(ADD), form(owner, scopes=["read", "trade"], accounts=["DU1"], strategies=[strategy.pk]))
    told = answer.content.decode()
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert "only time the key is shown" in told
    (text,) = set(WRITTEN.findall(told))
    key = ApiKey.objects.get()
    assert find_key(text, "").key == key
    assert (key.user, key.scopes, key.accounts, key.strategies) == (owner, ["read", "trade"], ["DU1"], [strategy.pk])
    assert (key.created_by, key.requests_per_minute) == ("boss", 60)
    for address in (page(key), reverse(LIST), reverse("admin:users_apikey_revoke", args=[key.pk])):
        read = boss.get(address).content.decode()
        assert key.prefix in read
        assert text not in read
        assert key.digest not in read
        assert text.split("_", 2)[2] not in read
    assert Event.objects.filter(type="API_KEY_CREATED", actor="boss").count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes"),
        ({"accounts": ["DU9"]}, "accounts"),
        ({"strategies": [4711]}, "strategies"),
        ({"expires_at_0": "2020-01-01"}, "expires_at"),
        ({"expires_at_0": ""}, "expires_at"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "a\tb"}, "name"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(boss: Client, changes: dict[str, Any], field: str) -> None:
    answer = boss.post(reverse(ADD), form(person("ann"), **changes))
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors
    assert not ApiKey.objects.exists()


def test_nobody_makes_a_key_that_may_more_than_they(login: Any) -> None:
    clerk = login("users.add_apikey", "users.view_apikey")
    strong = person("strong", "trading.request_order")
    answer = clerk.post(reverse(ADD), form(strong))
    assert "user" in answer.context["adminform"].form.errors
    assert clerk.post(reverse(ADD), form(person("weak"))).status_code == 200
    assert ApiKey.objects.get().user.username == "weak"


def test_a_key_is_changed_over_the_version_that_was_seen(boss: Client) -> None:
    key, _ = key_of(person("ann"))
    changed = form(key.user, name="robot 2", scopes=["halt"], seen_version=key.version)
    assert boss.post(page(key), changed).status_code == 302
    key.refresh_from_db()
    assert (key.name, key.scopes, key.version, key.user.username) == ("robot 2", ["halt"], 2, "ann")
    assert json.loads(Event.objects.get(type="API_KEY_CHANGED").document)["changed"]["scopes"] == [["read"], ["halt"]]
    stale = boss.post(page(key), changed)
    assert "saved meanwhile" in stale.content.decode()


def test_a_limit_outlives_what_it_names(boss: Client, strategy: Strategy) -> None:
    gone = strategy.pk
    key, _ = key_of(person("ann"), accounts=("DU7",), strategies=(gone,))
    Strategy.objects.all().delete()
    shown = boss.get(page(key)).content.decode()
    assert f"strategy {gone} (deleted)" in shown
    assert "DU7 (deleted)" in shown
    longer = form(key.user, name="robot 2", accounts=["DU7"], strategies=[gone], seen_version=1)
    assert boss.post(page(key), longer).status_code == 302
    for name in ("accounts", "strategies"):
        emptied = boss.post(page(key), {**longer, name: [], "seen_version": 2})
        assert "Choose at least one" in str(emptied.context["adminform"].form.errors[name])
    key.refresh_from_db()
    assert (key.name, key.accounts, key.strategies, key.version) == ("robot 2", ["DU7"], [gone], 2)


def test_who_is_switched_off_is_out_with_their_keys(boss: Client, django_capture_on_commit_callbacks: Any) -> None:
    ann = person("ann")
    key, text = key_of(ann)
    assert find_key(text, "").key == key
    said = {"username": "ann", "date_joined_0": "2024-01-02", "date_joined_1": "12:00:00"}
    with django_capture_on_commit_callbacks(execute=True):
        assert boss.post(reverse("admin:users_user_change", args=[ann.pk]), said).status_code == 302
    assert find_key(text, "").key is None


def test_a_key_is_revoked_by_post_after_a_question(boss: Client, login: Any) -> None:
    key, text = key_of(person("ann"))
    address = reverse("admin:users_apikey_revoke", args=[key.pk])
    assert login("users.view_apikey").post(address).status_code == 403
    assert "cannot be undone" in boss.get(address).content.decode()
    assert find_key(text, "").key == key
    assert boss.post(address).status_code == 302
    RING.clear()
    assert find_key(text, "").key is None
    key.refresh_from_db()
    assert key.revoked_by == "boss"
    shown = boss.get(page(key))
    assert "revoked" in shown.content.decode()
    assert "[&quot;" not in shown.content.decode()
    assert boss.post(page(key), form(key.user, seen_version=key.version)).status_code == 403


def test_chosen_keys_are_revoked_together_and_none_is_deleted(boss: Client) -> None:
    ann = person("ann")
    keys = [key_of(ann)[0] for _ in range(3)]
    chosen = {"action": "revoke_chosen", "_selected_action": [key.pk for key in keys[:2]]}
    assert boss.post(reverse(LIST), chosen).status_code == 302
    assert ApiKey.objects.filter(revoked_at=None).get() == keys[2]
    assert boss.post(reverse("admin:users_apikey_delete", args=[keys[2].pk]), {"post": "yes"}).status_code == 403


def test_the_list_tells_states_limits_and_last_use(
    boss: Client, strategy: Strategy, django_assert_max_num_queries: Any
) -> None:
    ann = person("ann")
    _, text = key_of(ann, accounts=("DU1",), strategies=(strategy.pk,), name="live")
    find_key(text, "192.0.2.9")
    key_revoke(key_of(ann, name="gone")[0], actor="boss")
    ApiKey.objects.filter(pk=key_of(ann, name="late")[0].pk).update(expires_at=system_now())
    key_of(person("off"), name="orphan")
    User.objects.filter(username="off").update(is_active=False)
    with django_assert_max_num_queries(14):
        shown = boss.get(reverse(LIST)).content.decode()
    for words in ("DU1, Trend", "everything", "192.0.2.9", "never", "active", "revoked", "expired", "owner disabled"):
        assert words in shown
    names = [row.name for row in boss.get(reverse(LIST), {"state": "live"}).context["cl"].result_list]
    assert names == ["live"]
    ended = {row.name for row in boss.get(reverse(LIST), {"state": "ended"}).context["cl"].result_list}
    assert ended == {"gone", "late", "orphan"}


def test_the_list_stands_in_the_side_bar_of_who_may_see_it(boss: Client, login: Any) -> None:
    link = f'href="{reverse(LIST)}"'
    assert link in boss.get(reverse("admin:index")).content.decode()
    assert link not in login("trading.view_order").get(reverse("admin:index")).content.decode()
    assert login("trading.view_order").get(reverse(LIST)).status_code == 403


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of create_api_key."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("create_api_key", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_the_command_prints_the_key_and_nothing_else(strategy: Strategy) -> None:
    ann = person("ann")
    code, out, err = command(
        "--user=ann", "--name=robot", "--scope=read", "--scope=trade", "--account=DU1", "--strategy=Trend", "--days=7"
    )
    assert (code, out.strip()) == (0, WRITTEN.findall(out)[0])
    assert "cannot be shown again" in err
    assert out.strip() not in err
    key = ApiKey.objects.get()
    assert find_key(out.strip(), "").key == key
    assert (key.user, key.scopes, key.accounts, key.strategies) == (ann, ["read", "trade"], ["DU1"], [strategy.pk])
    assert timedelta(days=6) < key.expires_at - system_now() <= timedelta(days=7)


def test_the_command_tells_programs_in_json() -> None:
    person("ann")
    code, out, _ = command("--user=ann", "--name=robot", "--scope=read", "--json")
    told = json.loads(out)
    assert (code, told["user"], told["scopes"], told["requests_per_minute"]) == (0, "ann", ["read"], 600)
    assert find_key(told["key"], "").key == ApiKey.objects.get()


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--user=bob"], "--user"),
        (["--name= "], "--name"),
        (["--account=DU9"], "--account"),
        (["--strategy=Nothing"], "--strategy"),
        (["--days=0"], "--days"),
        (["--days=999999999999"], "--days"),
        (["--requests-per-minute=0"], "--requests-per-minute"),
    ],
)
def test_the_command_names_the_flag_that_is_wrong(arguments: list[str], flag: str) -> None:
    person("ann")
    code, out, err = command("--user=ann", "--name=robot", "--scope=read", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"{flag}: ")
    assert not ApiKey.objects.exists()


def test_the_command_asks_for_a_scope_it_knows() -> None:
    person("ann")
    code, _, err = command("--user=ann", "--name=robot")
    assert code == 2
    assert err.startswith("--scope: ")
    with pytest.raises(CommandError, match="--scope"):
        command("--user=ann", "--name=robot", "--scope=root")
