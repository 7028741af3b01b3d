"""Wrong passwords are few, a stranger locks nobody out but himself, and rights end at the next request."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.errors import ConfigInvalid
from autotrader.core.users import addresses, logins
from autotrader.core.users.models import KnownAddress, LoginAttempt, User
from autotrader.settings import access
from tests.support import in_threads

PASSWORD = "correct horse battery staple"
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"
NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
PAGES = ("/login/", "/admin/login/")


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann", password=PASSWORD, is_staff=True)


def login(
    password: str, *, name: str = "ann", at: str = HOME, page: str = "/login/", client: Client | None = None
) -> Any:
    browser = client or Client()
    return browser.post(page, {"username": name, "password": password}, REMOTE_ADDR=at)


def is_in(answer: Any) -> bool:
    return bool(answer.status_code == 302 and answer.wsgi_request.user.is_authenticated)


def looked_at() -> int:
    """Passwords that were looked at and wrong."""
    return LoginAttempt.objects.count()


@pytest.mark.parametrize("page", PAGES)
def test_five_wrong_passwords_lock_the_name_at_that_address(ann: User, page: str) -> None:
    for _ in range(logins.PER_PLACE):
        assert login("wrong", page=page).status_code == 200
    locked = login(PASSWORD, page=page)
    assert locked.status_code == 429
    assert 0 < int(locked["Retry-After"]) <= 15 * 60
    until = LoginAttempt.objects.latest("at").at + logins.WINDOW
    assert f"try again at {until:%H:%M:%S} UTC" in locked.content.decode()
    assert looked_at() == logins.PER_PLACE
    assert is_in(login(PASSWORD, at=ELSEWHERE, page=page))


def test_the_lock_is_recorded_once_with_who_and_where(ann: User) -> None:
    for _ in range(20):
        login("wrong")
    row = Event.objects.get(type="LOGIN_LOCKED")
    assert row.subject == "user:ann"
    assert HOME in row.document
    assert "name at this place" in row.document


def test_a_name_that_nobody_has_is_locked_alike_and_not_written_down(db: None) -> None:
    answers = [login("wrong", name="my secret typed here").status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]
    stored = str(list(Event.objects.values())) + str(list(LoginAttempt.objects.values()))
    assert "my secret" not in stored


def test_a_success_forgets_the_failures_of_that_name_there(ann: User) -> None:
    for _ in range(3):
        for _ in range(logins.PER_PLACE - 1):
            login("wrong")
        assert is_in(login(PASSWORD))
    assert looked_at() == 0


def test_a_lock_ends_by_itself(ann: User) -> None:
    for _ in range(logins.PER_PLACE):
        login("wrong")
    LoginAttempt.objects.update(at=system_now() - logins.WINDOW)
    assert is_in(login(PASSWORD))


def test_one_address_may_fail_for_thirty_names(db: None) -> None:
    for number in range(logins.PER_ADDRESS):
        logins.claim(logins.Guess(f"name{number}", HOME), system_now())
    assert login("wrong", name="one more").status_code == 429
    assert login("wrong", name="one more", at=ELSEWHERE).status_code == 200


def test_of_a_thousand_guesses_from_as_many_addresses_ten_are_looked_at_and_the_owner_gets_in(ann: User) -> None:
    assert is_in(login(PASSWORD, at=HOME))
    for number in range(1000):
        guess = logins.Guess(logins.name_digest("ann"), f"10.0.{number // 250}.{number % 250}")
        try:
            logins.failed(logins.claim(guess, system_now()), "ann", system_now())
        except logins.LoginLocked:
            continue
    assert looked_at() == logins.PER_NAME
    assert login(PASSWORD, at=ELSEWHERE).status_code == 429
    assert is_in(login(PASSWORD, at=HOME))
    assert Event.objects.filter(type="LOGIN_LOCKED").count() == 1


def test_whoever_shares_the_owners_address_does_not_lock_the_owners_browser(ann: User) -> None:
    mine = Client()
    assert is_in(login(PASSWORD, client=mine))
    mine.post("/logout/")
    for _ in range(logins.PER_PLACE + 1):
        refused = login("wrong")
    assert refused.status_code == 429
    assert is_in(login(PASSWORD, client=mine))
    assert is_in(login(PASSWORD, client=mine, at=ELSEWHERE))


def test_a_known_browser_has_five_guesses_too_and_its_cookie_serves_no_other_name(ann: User) -> None:
    User.objects.create_user("bob", password=PASSWORD)
    mine = Client()
    assert is_in(login(PASSWORD, client=mine))
    cookie = next(name for name in mine.cookies if name.startswith("device_"))
    assert (mine.cookies[cookie]["httponly"], mine.cookies[cookie]["samesite"]) == (True, "Lax")
    codes = [login("wrong", client=mine).status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]
    forged = Client()
    forged.cookies[f"device_{logins.name_digest('bob')[:12]}"] = mine.cookies[cookie].value
    login("wrong", name="bob", client=forged)
    assert not LoginAttempt.objects.get(name=logins.name_digest("bob")).is_own


@pytest.mark.django_db(transaction=True)
def test_guesses_sent_at_once_do_not_pass_each_other() -> None:
    def guess(number: int) -> bool:
        try:
            logins.claim(logins.Guess("n" * 64, f"10.0.0.{number}"), system_now())
        except logins.LoginLocked:
            return False
        return True

    allowed = in_threads([lambda number=number: guess(number) for number in range(40)], threads=8)  # type: ignore[misc]
    assert sum(allowed) == logins.PER_NAME


def test_a_session_that_was_found_open_cannot_be_used_to_guess_the_password(ann: User) -> None:
    client = Client()
    client.force_login(ann)
    new = "a new and quite long password"
    form = {"old_password": "wrong", "new_password1": new, "new_password2": new}
    codes = [client.post("/admin/password_change/", form).status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]
    assert is_in(login(PASSWORD))
    LoginAttempt.objects.all().delete()
    assert client.post("/admin/password_change/", {**form, "old_password": PASSWORD}).status_code == 302
    assert is_in(login(new))


class Fast(PBKDF2PasswordHasher):
    """The hasher of the real site, quick enough to be asked often."""

    algorithm = "pbkdf2_fast"
    iterations = 20_000


def test_a_name_that_exists_takes_as_long_as_one_that_does_not(ann: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.Fast"]
    ann.set_password(PASSWORD)
    ann.save()

    def taken(name: str) -> tuple[float, int]:
        LoginAttempt.objects.all().delete()
        request = RequestFactory().post("/login/", REMOTE_ADDR=HOME)
        with CaptureQueriesContext(connection) as captured:
            began = time.thread_time()
            assert authenticate(request, username=name, password="wrong") is None
            return time.thread_time() - began, len(captured)

    pairs = [(taken("ann"), taken("bea")) for _ in range(15)]
    known, unknown = zip(*pairs, strict=True)
    assert {queries for _, queries in known} == {queries for _, queries in unknown}
    one, other = (statistics.median(seconds for seconds, _ in found) for found in (known, unknown))
    assert abs(one - other) < max(one, other) / 3, "nearly all of it is the hashing of the password"


def test_an_account_without_a_password_is_refused_like_any_other(db: None) -> None:
    User.objects.create_user("robot", password=None)
    assert login("", name="robot").status_code == 200
    assert login("!", name="robot").status_code == 200


# Addresses


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.7", "1.2.3.4", "203.0.113.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, 10.0.0.2", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 198.51.100.9", "198.51.100.9"),
        ("::ffff:10.0.0.1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "2001:db8::5%\x0bany text", "2001:db8::5"),
        ("", "198.51.100.9", ""),
        ("/run/web.sock", "198.51.100.9", ""),
    ],
)
def test_only_trusted_proxies_are_believed(settings: Any, peer: str, forwarded: str, expected: str) -> None:
    settings.AUTOTRADER_TRUSTED_PROXIES = ("10.0.0.0/8",)
    assert addresses.caller(peer, forwarded) == expected


def test_the_addresses_of_one_ipv6_line_are_one_place() -> None:
    assert addresses.place_of("2001:db8:1:2:3:4:5:6") == addresses.place_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert addresses.place_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert addresses.place_of("nowhere") == ""


def test_a_proxy_that_is_no_address_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTRADER_TRUSTED_PROXIES", "10.0.0.0/8, proxy")
    with pytest.raises(ConfigInvalid, match="proxy"):
        access.trusted_proxies()


def test_the_proxys_callers_are_told_apart(ann: User, settings: Any) -> None:
    settings.AUTOTRADER_TRUSTED_PROXIES = ("10.0.0.1",)
    client = Client(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=HOME)
    client.post("/login/", {"username": "ann", "password": PASSWORD})
    assert KnownAddress.objects.get().address == HOME


# When a lock ends


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ((0, 1, 2), NOW + timedelta(minutes=15)),
        ((14, 15, 16), NOW + timedelta(minutes=1)),
        ((15, 16, 17), None),
        ((0, 1), None),
        ((0, 8, 15), None),
        ((0, 8, 14), NOW + timedelta(minutes=15)),
    ],
)
def test_as_many_failures_in_a_quarter_of_an_hour_lock_for_another_one(
    ages: tuple[int, ...], expected: datetime | None
) -> None:
    times = [NOW - timedelta(minutes=age) for age in ages]
    assert logins.locked_until(times, 3, NOW) == expected


# Rights end at once


def test_a_disabled_person_is_out_at_the_next_request(ann: User) -> None:
    client = Client()
    login(PASSWORD, client=client)
    assert client.get("/api/halt").status_code == 200
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert client.get("/api/halt").status_code == 401
    assert client.get("/halt/").headers["Location"].startswith("/login/")


@pytest.mark.parametrize("change", ["joins", "leaves"])
def test_a_role_counts_from_the_next_request(ann: User, change: str) -> None:
    client = Client()
    client.force_login(ann)
    viewers = Group.objects.get(name="viewer")
    steps: list[Callable[..., Any]] = [ann.groups.add, ann.groups.remove]
    expected = [200, 403]
    if change == "leaves":
        ann.groups.add(viewers)
        assert client.get("/approvals/").status_code == 200
        steps, expected = steps[1:], expected[1:]
    for step, status in zip(steps, expected, strict=True):
        step(viewers)
        assert client.get("/approvals/").status_code == status


def test_a_new_password_ends_the_other_sessions(ann: User) -> None:
    client = Client()
    client.force_login(ann)
    ann.set_password("another quite long password")
    ann.save()
    assert client.get("/api/halt").status_code == 401
