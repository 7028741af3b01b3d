"""The frame around every page: places, the feed's beginning, light and dark, and a style for every class."""

from __future__ import annotations

import gzip
import re
from functools import cache
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import AuditHead
from autotrader.core.users.models import User
from broker.gates import HaltState, halt_state
from tests.house import world as house
from tests.house.matrix import of
from tests.support import ROOT
from trading.web import kit

STYLES = ROOT / "autotrader" / "static" / "autotrader" / "app.css"
PAGES = (*(ROOT / "templates").glob("*.html"), *(ROOT / "templates" / "web").rglob("*.html"))
SHARED = ("admin/trading/_halt_now.html", "admin/trading/_halt_events.html", "admin/trading/decision/_verdicts.html")
APPROVAL = ROOT / "templates" / "admin" / "trading" / "approval"
OURS = re.compile(r"(?:desk|web)-[a-zA-Z0-9-]+")
# Names that hold text to find, not a look.
BARE = {"web-timeline-", "desk-events"}
WEIGHT = 300_000


def person(*permissions: str, staff: bool = False) -> Client:
    """A client of somebody with these permissions."""
    user = User.objects.create_user("ann", password="x", is_staff=staff)
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(codename=name.partition(".")[2]))
    client = Client()
    client.force_login(user)
    return client


def halt_page(client: Client) -> str:
    answer = client.get(reverse("halt"))
    assert answer.status_code == 200
    return str(answer.content.decode())


@cache
def styled() -> frozenset[str]:
    """The classes that the built style sheet knows."""
    return frozenset(re.findall(r"\.((?:desk|web)-[a-zA-Z0-9-]+)", STYLES.read_text()))


def classes(page: Path) -> set[str]:
    """Our class names in a template, without those that a tag completes."""
    found: set[str] = set()
    for attribute in re.findall(r'class="([^"]*)"', page.read_text()):
        words = re.sub(r"\S*\{\{.*?\}\}\S*", " ", re.sub(r"\{%.*?%\}", " ", attribute)).split()
        found.update(word for word in words if OURS.fullmatch(word))
    return found


def test_every_class_of_the_pages_has_a_style() -> None:
    shared = [*(ROOT / "templates" / name for name in SHARED), *APPROVAL.glob("_*.html")]
    missing = {f"{page.name}: {name}" for page in (*PAGES, *shared) for name in classes(page) - styled() - BARE}
    assert sorted(missing) == []


def test_no_page_has_a_script_of_its_own_or_of_another_host() -> None:
    for page in PAGES:
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\ssrc=)(?![^>]*application/json)[^>]*>", text), page
        assert not re.search(r"\son[a-z]+=", text), page
        assert not re.search(r"""(?:src=|<link[^>]*href=)["'](?:https?:)?//""", text), page


@pytest.mark.django_db
def test_the_places_are_those_one_may_see_and_the_current_one_is_marked() -> None:
    shown = str(person("trading.view_order").get(reverse("orders")).content.decode())
    assert set(re.findall(r'href="([^"]+)" aria-current="page"', shown)) == {reverse("orders")}
    assert "<h1>Orders</h1>" in shown
    listed = re.findall(r'class="web-place [^"]*" href="([^"]+)"', shown)
    assert reverse("halt") in listed
    assert reverse("approvals") not in listed
    assert reverse("admin:index") not in shown
    boss = Client()
    boss.force_login(User.objects.create_superuser("root", password="x"))
    everything = str(boss.get(reverse("orders")).content.decode())
    assert re.findall(r'class="web-place [^"]*" href="([^"]+)"', everything) == [
        reverse(one.name) for one in kit.PLACES
    ]


@pytest.mark.django_db
def test_a_page_tells_its_place_in_the_log_and_the_hash_of_that_event() -> None:
    reader, other = person("trading.view_order", kit.FEED), Client()
    other.force_login(User.objects.create_user("bob", password="x"))
    assert 'data-after="0" data-seal="" data-feed' in halt_page(reader)
    with audit.recording():
        audit.record(EventType.CYCLE_QUEUED, "cycle:1", version=1)
    head = AuditHead.objects.get()
    assert f'data-after="{head.seq}" data-seal="{head.hash}" data-feed' in halt_page(reader)
    assert head.hash not in halt_page(other)


@pytest.mark.django_db
def test_staff_gets_the_way_to_the_admin() -> None:
    assert f'href="{reverse("admin:index")}"' in halt_page(person(staff=True))


@pytest.mark.django_db
def test_htmx_evaluates_nothing_and_the_theme_comes_before_the_styles() -> None:
    shown = halt_page(person())
    assert '"allowEval": false' in shown
    assert shown.index("theme.js") < shown.index("app.css") < shown.index("htmx-2")
    assert "admin.css" not in shown


@pytest.mark.django_db
def test_somebody_who_is_not_logged_in_sees_the_form_and_no_places() -> None:
    shown = str(Client().get(reverse("login")).content.decode())
    assert 'name="password"' in shown
    assert "web-place" not in shown
    assert "data-feed" not in shown


@pytest.mark.django_db
def test_head_answers_as_get_and_sends_nothing() -> None:
    world, boss = house.build(), Client()
    boss.force_login(User.objects.create_superuser("root", password="x"))
    answers = {}
    for route in of("pages"):
        address = route.address(world.values(route))
        answers[address] = (boss.get(address).status_code, boss.head(address).status_code)
    assert {address: both for address, both in answers.items() if both[0] != both[1]} == {}
    assert {both[0] for both in answers.values()} <= {200, 301, 302, 404, 405}
    assert not boss.head(reverse("desk")).content


@pytest.mark.django_db
def test_head_presses_no_button() -> None:
    boss = Client()
    boss.force_login(User.objects.create_superuser("root", password="x"))
    boss.head(reverse("halt"), query_params={"action": "halt", "reason": "a probe"})
    assert halt_state() is HaltState.ACTIVE


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (["desk", "orders", "cycles", "approvals", "halt"], ["desk", "approvals", "orders", "cycles"]),
        (["trades", "halt"], ["trades"]),
        (["desk", "trades", "portfolio", "gateway", "decisions"], ["desk", "trades", "portfolio", "gateway"]),
    ],
)
def test_a_phone_has_the_most_used_places_at_hand(seen: list[str], expected: list[str]) -> None:
    assert [place.name for place in kit.at_hand([kit.Place(name, name) for name in seen])] == expected


def test_each_place_has_its_sign() -> None:
    drawn = re.findall(r'<symbol id="([a-z]+)"', Path(str(finders.find("autotrader/icons.svg"))).read_text())
    assert {place.name for place in kit.PLACES} <= set(drawn)


@pytest.mark.django_db
def test_a_page_that_is_not_there_keeps_the_frame(client: Client) -> None:
    client.force_login(User.objects.create_user("bob", password="x"))
    answer = client.get("/there-is-no-such-page/%3Cscript%3E/")
    assert answer.status_code == 404
    assert b"There is no such page" in answer.content
    assert reverse("halt").encode() in answer.content
    assert b"/<script>" not in answer.content


@pytest.mark.django_db
def test_what_a_page_loads_is_light() -> None:
    shown = halt_page(person())
    loaded = set(re.findall(r'(?:src|href)="/static/([^"?#]+)', shown))
    files = [Path(str(finders.find(name))) for name in loaded]
    assert len(files) >= 4
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) + len(gzip.compress(shown.encode())) < WEIGHT
