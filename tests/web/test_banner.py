"""The banner: nothing where all is well, else what is wrong in words, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from autotrader.core.audit.anchors import anchor_take
from autotrader.core.clock import system_now
from autotrader.core.ops import beats
from autotrader.core.users.models import User
from broker.gates import HaltState
from tests.trading.builders import ACCOUNT, status, summary
from trading.services.halts import halt
from trading.web import banner, numbers
from trading.web.numbers import Told

pytestmark = [pytest.mark.django_db, pytest.mark.once]
EVIL = "<script>alert(1)</script>"
URL = "/live/banner/"
Tell = Callable[[Told], None]
WELL = Told(status(), replace(summary("1000"), account=ACCOUNT))


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, settings: Any) -> None:
    """Neither processes nor anchors of other tests are seen here."""
    settings.AUTOTRADER_STATE_DIR, settings.AUTOTRADER_ANCHOR_DIR = tmp_path, str(tmp_path / "anchors")


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Let the broker say this from now on."""

    def say(told: Told) -> None:
        monkeypatch.setattr(numbers, "_ask", lambda: told)
        monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))
        monkeypatch.setattr(banner.STALLED, "_until", float("-inf"))

    say(WELL)
    return say


@pytest.fixture
def well(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Every process lives, and the log has a fresh anchor."""
    monkeypatch.setattr(beats, "SILENT", 600.0)  # nobody touches their files again
    beats.folder().mkdir(parents=True, exist_ok=True)
    for name in ("web", "work", "now", "broker"):
        life = beats.Life(**asdict(beats._this(name)))
        beats._write(beats.folder() / f"{name}-{life.host}-{life.pid}.json", asdict(life))
    anchor_take(system_now(), send=lambda anchor: [])
    return tell


def person(*permissions: str) -> Client:
    user = User.objects.create_user(f"p{User.objects.count()}", password="x")
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def shown(client: Client) -> str:
    answer = client.get(URL, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return answer.content.decode().strip()


def test_all_is_well_says_nothing(well: Tell) -> None:
    assert shown(person("audit.view_event")) == ""


def test_a_broker_that_is_away_says_why_and_what_stays(well: Tell) -> None:
    well(Told(problem=f"no owner answers {EVIL}"))
    text = shown(person())
    assert "Live data unavailable: no owner answers &lt;script&gt;" in text
    assert "Working stops stay at the broker." in text
    assert "desk-bad" in text
    assert "<script" not in text


def test_a_broker_that_is_not_ready_or_needs_a_person(well: Tell) -> None:
    well(replace(WELL, status=status(ready=False, reason="replaying", phase="replaying")))
    assert "The broker is not ready, no order leaves: replaying. Working stops" in shown(person())
    well(Told(status(ready=False, connected=False, action="Confirm the login on your phone"), problem="2FA"))
    text = shown(person())
    assert "A person must act: Confirm the login on your phone" in text
    assert "2FA" in text


def test_a_halt_names_who_and_why(well: Tell) -> None:
    halt(actor="anna", reason=f"odd quotes {EVIL}")
    text = shown(person())
    assert "Trading is HALTED" in text
    assert "By anna: odd quotes &lt;script&gt;" in text
    assert 'href="/halt/"' in text


def test_only_closing_is_said_without_alarm(well: Tell) -> None:
    halt(actor="anna", reason="late in the day", state=HaltState.REDUCING)
    text = shown(person())
    assert "Trading is REDUCING: only orders that reduce a position leave. By anna: late in the day" in text
    assert "desk-bad" not in text


def test_what_stands_still_is_for_those_who_may_see_events(tell: Tell) -> None:
    assert "The process work is not running." in shown(person("audit.view_event"))
    assert shown(person()) == ""


def test_it_is_asked_once_a_second_however_many_look(
    well: Tell, django_assert_max_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner, "KEPT_S", 600.0)  # however long the second look takes to come
    client = person("audit.view_event")
    first = shown(client)
    with django_assert_max_num_queries(6):  # session, user, permissions, the Halt
        assert shown(client) == first


def test_who_is_not_logged_in_is_sent_to_the_login(client: Client) -> None:
    assert client.get(URL).status_code == 302
    assert client.get(URL, headers={"HX-Request": "true"}).headers["HX-Redirect"] == "/login/"
    assert person().post(URL).status_code == 405
