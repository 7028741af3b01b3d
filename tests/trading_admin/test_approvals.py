"""Approving in the admin and on the page for people: shown, asked back, kept; by permission and bound to the digest."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from autotrader.core.artifacts.services import artifact_store
from autotrader.core.users.models import User
from broker import codec, remote
from tests.trading.asking import asked
from tests.trading.builders import status, strategy
from trading.admin import glances
from trading.models import Analysis, Approval, ApprovalVote
from trading.models.strategy import Mode
from trading.workflow.approving import glance, sweep

pytestmark = pytest.mark.django_db
MAY_DECIDE = ("trading.view_approval", "trading.approve_order")


@pytest.fixture
def people(db: None) -> Callable[..., Client]:
    """A client of somebody who is no staff, with these permissions."""

    def make(*permissions: str) -> Client:
        user = User.objects.create_user(f"user{User.objects.count()}", password="x")
        for name in permissions:
            user.user_permissions.add(Permission.objects.get(codename=name.partition(".")[2]))
        client = Client()
        client.force_login(user)
        return client

    return make


def pages(approval: Approval) -> dict[str, tuple[str, str]]:
    """Where each skin shows the question, and where its forms go."""
    own = reverse("approval", args=[approval.pk])
    return {
        "admin": (
            reverse("admin:trading_approval_change", args=[approval.pk]),
            reverse("admin:trading_approval_word", args=[approval.pk]),
        ),
        "page": (own, own),
    }


def form(approval: Approval, said: str = "approve", **more: str) -> dict[str, str]:
    return {"said": said, "digest": approval.digest, "reason": "", **more}


@pytest.mark.parametrize("skin", ["admin", "page"])
def test_a_person_sees_the_order_and_is_asked_back(login: Any, skin: str) -> None:
    approval = asked()
    client = login(*MAY_DECIDE)
    shown, sends = pages(approval)[skin]
    page = client.get(shown).content.decode()
    for text in (approval.digest, "Initial margin", "because", "Approve…", "Reject…", "Entry", "Stop", "Target"):
        assert text in page, text
    assert "Yes, approve it" in client.post(sends, form(approval)).content.decode()
    assert "Yes, reject it" in client.post(sends, form(approval, "reject")).content.decode()
    assert not ApprovalVote.objects.exists()


def test_the_overview_tells_what_waits_for_a_person_and_that_orders_are_simulated(
    admin_client: Client, settings: Any
) -> None:
    asked()
    settings.ORDERS_ENABLED = False
    shown = admin_client.get(reverse("admin:index")).content.decode()
    assert f'href="{reverse("admin:trading_approval_changelist")}?state__exact=PENDING"' in shown
    assert "orders end SIMULATED" in shown


@pytest.mark.parametrize("skin", ["admin", "page"])
def test_a_person_rejects_with_a_reason(login: Any, skin: str) -> None:
    approval = asked()
    client = login(*MAY_DECIDE)
    _, sends = pages(approval)[skin]
    answer = client.post(sends, form(approval, "reject", confirmed="1"), follow=True)
    assert "Say why" in answer.content.decode()
    answer = client.post(sends, form(approval, "reject", confirmed="1", reason="<b>no</b>"), follow=True)
    page = answer.content.decode()
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>no</b>" not in page
    approval.refresh_from_db()
    assert approval.state == "REJECTED"


@pytest.mark.parametrize("skin", ["admin", "page"])
def test_what_was_not_seen_is_not_decided(login: Any, skin: str) -> None:
    approval = asked()
    _, sends = pages(approval)[skin]
    changed = form(approval, "reject", reason="x", confirmed="1", digest="f" * 64)
    answer = login(*MAY_DECIDE).post(sends, changed, follow=True)
    assert "APPROVAL_CHANGED" in answer.content.decode()
    assert not ApprovalVote.objects.exists()


@pytest.mark.parametrize(
    "broken",
    [
        {"reason": "y" * 501},
        {"reason": "a\x00b"},
        {"digest": ""},
        {"digest": "f" * 65},
        {"digest": "é" * 64},
        {"said": "x"},
    ],
)
def test_what_no_form_of_ours_sends_is_refused_in_the_admin(login: Any, broken: dict[str, str]) -> None:
    approval = asked()
    shown, sends = pages(approval)["admin"]
    answer = login(*MAY_DECIDE).post(sends, form(approval, "reject", confirmed="1") | {"reason": "x"} | broken)
    assert (answer.status_code, answer["Location"]) == (302, shown)
    (told,) = get_messages(answer.wsgi_request)
    assert "at most 500 characters" in str(told) if "reason" in broken else "out of date" in str(told)
    assert not ApprovalVote.objects.exists()


@pytest.mark.parametrize("skin", ["admin", "page"])
def test_who_may_only_look_has_no_buttons_and_is_told_what_is_missing(login: Any, skin: str) -> None:
    approval = asked()
    shown, sends = pages(approval)[skin]
    client = login("trading.view_approval")
    assert "Approve…" not in client.get(shown).content.decode()
    answer = client.post(sends, form(approval, confirmed="1"))
    assert answer.status_code == 403
    assert "This needs the permission trading.approve_order." in answer.content.decode()
    assert not ApprovalVote.objects.exists()


@pytest.mark.parametrize("skin", ["admin", "page"])
def test_without_a_broker_nobody_approves_and_the_page_says_so(login: Any, skin: str) -> None:
    approval = asked()
    shown, sends = pages(approval)[skin]
    client = login(*MAY_DECIDE)
    assert glance(approval).problem in client.get(shown).content.decode()
    answer = client.post(sends, form(approval, confirmed="1"), follow=True)
    assert "BROKER_UNAVAILABLE" in answer.content.decode()
    assert not ApprovalVote.objects.exists()


class HangingOwner(BaseHTTPRequestHandler):
    """An owner that lives and says how it is, but whose market data never comes."""

    def do_GET(self) -> None:
        self.say(json.dumps({"now": time.time()}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.endswith("/status"):
            assert self.server.let_go.wait(60)  # type: ignore[attr-defined]
        self.say(codec.dumps(status()))

    def say(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def hanging_owner(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(remote, "PING_LIMIT", 30.0)  # it lives, however late its sign of life is heard
    server = ThreadingHTTPServer(("127.0.0.1", 0), HangingOwner)
    server.daemon_threads = True
    server.let_go = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.AUTOTRADER_BROKER_URL = f"http://127.0.0.1:{server.server_address[1]}"
    yield
    server.let_go.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def test_a_broker_that_hangs_holds_no_page_up(login: Any, hanging_owner: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glances, "WAIT_S", 1.0)
    approval = asked()
    shown, sends = pages(approval)["admin"]
    client = login(*MAY_DECIDE)
    client.get(reverse("admin:trading_approval_changelist"))  # what every first request loads
    for ask, words in (
        (lambda: client.get(shown), "Reject…"),
        (lambda: client.post(sends, form(approval, "reject")), "Yes, reject it"),
    ):
        began = time.monotonic()
        page = ask().content.decode()
        assert time.monotonic() - began < 30, "the owner itself hangs for a minute"
        for said in ("The broker has not answered for 1 s.", "unavailable", words):
            assert said in page, said


def test_a_get_changes_nothing(login: Any) -> None:
    approval = asked()
    assert login(*MAY_DECIDE).get(pages(approval)["admin"][1]).status_code == 405


# The page for people


def test_the_page_needs_a_person_with_a_right(people: Callable[..., Client]) -> None:
    approval = asked()
    for name, arguments in (("approvals", []), ("approval", [approval.pk]), ("approval_now", [approval.pk])):
        url = reverse(name, args=arguments)
        away = Client().get(url)
        assert (away.status_code, away.headers["Location"]) == (302, f"/login/?next={url}")
        assert people().get(url).status_code == 403
        assert people("trading.approve_order").get(url).status_code == 200
    assert people("trading.view_approval").get(reverse("approval", args=[99])).status_code == 404


def test_people_log_in_without_being_staff(db: None) -> None:
    approval = asked()
    user = User.objects.create_user("ann", password="correct horse battery")
    user.user_permissions.add(Permission.objects.get(codename="approve_order"))
    client = Client()
    url = reverse("approval", args=[approval.pk])
    answer = client.post(f"/login/?next={url}", {"username": "ann", "password": "correct horse battery", "next": url})
    assert answer.headers["Location"] == url
    assert client.get(url).status_code == 200
    client.post(reverse("logout"))
    assert client.get(url).status_code == 302


def test_the_page_keeps_itself_fresh_and_loads_anew_when_the_state_changes(people: Callable[..., Client]) -> None:
    approval = asked()
    client = people(*MAY_DECIDE)
    page = client.get(reverse("approval", args=[approval.pk])).content.decode()
    assert 'data-panel="approvals" data-every="2"' in page
    assert "//unpkg" not in page
    assert "cdn" not in page
    url = reverse("approval_now", args=[approval.pk])
    assert "HX-Refresh" not in client.get(url, {"version": approval.version}).headers
    client.post(reverse("approval", args=[approval.pk]), form(approval, "reject", reason="no", confirmed="1"))
    assert client.get(url, {"version": approval.version}).headers["HX-Refresh"] == "true"


def test_its_charts_are_loaded_when_somebody_opens_them(people: Callable[..., Client]) -> None:
    approval = asked()
    assert approval.decision is not None
    analysis = Analysis.objects.create(
        execution=approval.decision.execution,
        timeframe=1,
        direction="up",
        strength=1.0,
        decided_by="rules-v1",
        chart=artifact_store(kind="chart", data=b"a picture", media_type="image/png"),
    )
    chart = reverse("approval_chart", args=[approval.pk, analysis.pk])
    page = people(*MAY_DECIDE).get(reverse("approval", args=[approval.pk])).content.decode()
    folded = "".join(re.findall(r"<details>.*?</details>", page, re.DOTALL))
    assert re.findall(rf'<img src="{chart}"[^>]* loading="lazy">', folded)
    assert page.count(chart) == folded.count(chart)


def test_the_list_shows_what_waits_first(people: Callable[..., Client]) -> None:
    client = people("trading.view_approval")
    assert "No order waits" in client.get(reverse("approvals")).content.decode()
    first = asked(strategy("a", mode=Mode.APPROVE))
    page = client.get(reverse("approvals")).content.decode()
    assert f"/approvals/{first.pk}/" in page
    assert "BUY 10 AAPL" in page
    part = client.get(reverse("approvals"), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part


def test_the_admin_list_is_found_by_symbol(boss: Client) -> None:
    approval = asked()
    url = reverse("admin:trading_approval_changelist")
    assert str(approval.pk) in boss.get(url, {"q": "AAPL"}).content.decode()
    assert not boss.get(url, {"q": "NOPE"}).context["cl"].result_list


# REST


def test_programs_read_and_decide_with_the_digest(login: Any) -> None:
    approval = asked()
    client = login(*MAY_DECIDE)
    listed = client.get("/api/approvals?state=PENDING").json()["results"]
    assert [(row["id"], row["state"], row["digest"]) for row in listed] == [(approval.pk, "PENDING", approval.digest)]
    url = f"/api/approvals/{approval.pk}/reject"

    def post(key: str, said: Any, path: str = url) -> Any:
        return client.post(path, said, content_type="application/json", headers={"Idempotency-Key": key})

    assert client.post(url, {}, content_type="application/json").status_code == 400
    assert post("a", {}).json()["error"]["details"]["field"] == "digest"
    wrong = post("b", {"digest": "0" * 64, "reason": "no"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (409, "APPROVAL_CHANGED")
    away = post("c", {"digest": approval.digest}, f"/api/approvals/{approval.pk}/approve")
    assert (away.status_code, away.json()["error"]["code"]) == (503, "BROKER_UNAVAILABLE")
    said = {"digest": approval.digest, "reason": "no"}
    answer = post("d", said)
    assert (answer.status_code, answer.json().get("state")) == (200, "REJECTED"), answer.json()
    same = post("d", said)
    assert (same.status_code, same.json(), same["Idempotent-Replayed"]) == (200, answer.json(), "true")
    again = post("e", said)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "APPROVAL_REJECTED")
    assert client.get("/api/approvals/99").status_code == 404
    assert post("f", {"digest": "0" * 64, "reason": "x"}, "/api/approvals/99/reject").status_code == 404


def test_programs_without_the_right_are_refused(login: Any) -> None:
    approval = asked()
    client = login("trading.view_approval")
    answer = client.post(
        f"/api/approvals/{approval.pk}/approve", {"digest": approval.digest}, content_type="application/json"
    )
    assert answer.status_code == 403
    assert not ApprovalVote.objects.exists()


def test_without_a_broker_nothing_is_swept(db: None) -> None:
    approval = asked()
    assert sweep() == 0
    approval.refresh_from_db()
    assert approval.state == "PENDING"


def chosen(approval: Approval, action: str, **more: str) -> dict[str, Any]:
    key = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    return {"action": action, "_selected_action": [str(approval.pk)], "confirmed": "yes", "key": key, **more}


def test_orders_are_rejected_from_the_list_as_they_were_shown(login: Any) -> None:
    approval, path = asked(), reverse("admin:trading_approval_changelist")
    client, name = login(*MAY_DECIDE), f"digest-{approval.pk}"
    page = client.post(path, {"action": "reject_chosen", "_selected_action": [str(approval.pk)], "index": "0"})
    assert f'name="{name}" value="{approval.digest}"' in page.content.decode()
    assert str(approval.instrument) in page.content.decode()
    client.post(path, chosen(approval, "reject_chosen", **{name: approval.digest}))
    other = client.post(
        path, chosen(approval, "reject_chosen", **{name: "f" * 64, "reason": "not this one"}), follow=True
    )
    assert next(str(message) for message in other.context["messages"]).startswith(f"approval {approval.pk}: ")
    assert not ApprovalVote.objects.exists()
    client.post(path, chosen(approval, "reject_chosen", **{name: approval.digest, "reason": "not this one"}))
    approval.refresh_from_db()
    assert approval.state == "REJECTED"
    assert ApprovalVote.objects.get().reason == "not this one"


def test_who_may_only_look_decides_nothing_from_the_list(login: Any) -> None:
    approval, path = asked(), reverse("admin:trading_approval_changelist")
    client, said = login("trading.view_approval"), {f"digest-{approval.pk}": approval.digest, "reason": "not this one"}
    assert "Approve…" not in client.get(path).content.decode()
    for action in ("approve_chosen", "reject_chosen"):
        client.post(path, chosen(approval, action, **said))
    assert not ApprovalVote.objects.exists()


def test_a_yes_from_the_list_needs_the_markets_time(login: Any) -> None:
    approval, path = asked(), reverse("admin:trading_approval_changelist")
    yes = chosen(approval, "approve_chosen", **{f"digest-{approval.pk}": approval.digest})
    answer = login(*MAY_DECIDE).post(path, yes, follow=True)
    assert next(str(message) for message in answer.context["messages"]).startswith(f"approval {approval.pk}: ")
    assert not ApprovalVote.objects.exists()
