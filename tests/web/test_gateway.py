"""The gateway's page: the connection by the broker's word, its history and differences by our records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import get_args

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.users.models import User
from broker import types
from broker.types.session import NoteKind
from tests.desk.conftest import Desk, bars_folder, open_desk
from tests.desk.conftest import desk as desk
from tests.trading.builders import ACCOUNT, NOW, status, summary
from trading.models import Reconciliation
from trading.models.discrepancy import DiscrepancyKind
from trading.services.accounts import account_ensure
from trading.services.discrepancies import discrepancy_open
from trading.web import numbers
from trading.web.numbers import History, Told

__all__ = ["bars_folder", "desk", "open_desk"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]
EVIL = "<script>alert(1)</script>"
SEES = ("trading.view_account", "trading.view_discrepancy", "audit.view_event")
PARTS = ("/gateway/", "/gateway/now/", "/gateway/compared/", "/gateway/history/")
Tell = Callable[[Told], None]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Let the broker say this from now on."""

    def say(told: Told) -> None:
        monkeypatch.setattr(numbers, "_ask", lambda: told)
        monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))

    say(Told(problem="no owner answers."))
    monkeypatch.setattr(numbers, "_ask_history", lambda: History(problem="no owner answers."))
    monkeypatch.setattr(numbers.HISTORY, "_until", float("-inf"))
    return say


def person(*permissions: str) -> Client:
    user = User.objects.create_user(f"p{User.objects.count()}", password="x")
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def full() -> types.BrokerStatus:
    return status(
        accounts=(ACCOUNT, "DU7654321"), skew_s=Decimal("-0.25"), heartbeat_s=Decimal("1.5"),
        next_restart=NOW + timedelta(hours=5), next_login=NOW + timedelta(days=3), clock="system",
        farms=(types.Farm(f"usfarm{EVIL}", "market", "broken", NOW),),
        pacing=types.PacingUse(12, 45, 7, 55, 2, 1), lines=types.LineUse(33, 100, 4), library="ib_insync 0.9.86",
        server_version=176, unmapped_codes=("9999 x2",),
    )  # fmt: skip


def connected(cause: str = "") -> None:
    with audit.acting(actor="broker"), audit.recording():
        audit.record(EventType.BROKER_CONNECTED, "broker:connection", account=ACCOUNT, cause=cause)
    with audit.acting(actor="broker"), audit.recording():
        audit.record(EventType.BROKER_DISCONNECTED, "broker:connection", account=ACCOUNT, cause=f"1100 {cause}")


def differ(number: int = 1) -> None:
    account_ensure(ACCOUNT)
    for each in range(number):
        with audit.recording():
            discrepancy_open(
                ACCOUNT, DiscrepancyKind.POSITION, f"position:{each}", detail=f"holds 5 {EVIL}", market_at=NOW,
                ours="3", theirs=EVIL,
            )  # fmt: skip


def test_all_that_the_broker_tells_is_shown(tell: Tell) -> None:
    tell(Told(full(), summary("1000")))
    text = person(*SEES).get("/gateway/").content.decode()
    for part in (
        "ready", "may leave", "DU7654321", "-0.25 s", "1.5 s ago", "12 of 45", "7 of 55", "33 of 100",
        "ib_insync 0.9.86", "176", "9999 x2", "usfarm&lt;script&gt;", "broken", 'data-every="2"',
    ):  # fmt: skip
        assert part in text
    assert EVIL not in text


def test_the_login_the_clock_and_the_limits_are_told(tell: Tell) -> None:
    tell(Told(full(), summary("1000")))
    client = person(*SEES)
    text = client.get("/gateway/now/").content.decode()
    settings = ("AUTOTRADER_BROKER_RESTART_AT", "AUTOTRADER_BROKER_LOGIN_AT")
    for part in ("logged in", *settings, "no order leaves beyond 2 s"):
        assert part in text
    tell(Told(replace(full(), phase="broker_lost", ready=False), problem="1100"))
    assert "but TWS has lost its connection" in client.get("/gateway/now/").content.decode()
    tell(Told(status(ready=False, connected=False, accounts=(), phase="needs_person"), problem="log in"))
    assert "a person is needed" in client.get("/gateway/now/").content.decode()
    tell(Told(status(ready=False, connected=False, phase="connecting"), problem="refused"))
    text = client.get("/gateway/now/").content.decode()
    assert "only a connected gateway tells it" in text
    assert "logged in<" not in text
    tell(Told(status(clock="set"), summary()))
    assert "a set clock is compared with none" in client.get("/gateway/now/").content.decode()


def test_the_timeline_is_the_owner_s_and_our_records_are_history(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    connected()
    client = person(*SEES)
    text = client.get("/gateway/history/").content.decode()
    assert "The owner does not tell it now:" in text
    assert "no owner answers." in text
    assert text.index("History</h2>") < text.index("Connected to the broker")
    notes = (
        types.ConnectionNote(NOW, "replayed", "account DU1"),
        types.ConnectionNote(NOW, "code", f"Connectivity lost {EVIL}", 1100, in_restart_window=True),
        types.ConnectionNote(NOW, "refused", "Connection refused", count=7, last_at=NOW + timedelta(minutes=3)),
        *(types.ConnectionNote(NOW, kind, "") for kind in get_args(NoteKind)),
        *(types.ConnectionNote(NOW, "code", f"farm {number}", 2104) for number in range(30)),
    )
    monkeypatch.setattr(numbers, "_ask_history", lambda: History(notes))
    monkeypatch.setattr(numbers.HISTORY, "_until", float("-inf"))
    text = client.get("/gateway/history/").content.decode()
    window, source = "around the gateway’s daily restart", "by the owner of the connection"
    for part in ("TWS said 1100", window, "7 times, last", source):
        assert part in text
    assert "The owner does not tell it now" not in text
    assert text.index("farm 0") < text.index("<details") < text.index("farm 29")
    assert text.count("web-step") == len(notes)
    assert EVIL not in text
    text = person("trading.view_account").get("/gateway/history/").content.decode()
    assert "TWS said 1100" in text
    assert "Connected to the broker" not in text


def test_a_broker_that_is_away_is_unavailable_with_the_reason(tell: Tell) -> None:
    text = person(*SEES).get("/gateway/").content.decode()
    assert "Live data unavailable: no owner answers." in text
    assert "Nobody answers for the broker" in text
    tell(Told(status(ready=False, connected=False, phase="needs_person", action=f"Log in {EVIL}"), problem="no login."))
    text = person(*SEES).get("/gateway/now/").content.decode()
    assert "needs person" in text
    assert "Log in &lt;script&gt;" in text
    assert "unavailable" in text


def test_its_history_and_what_differs_are_by_our_records(tell: Tell) -> None:
    connected(EVIL)
    differ()
    Reconciliation.objects.create(
        account_id=ACCOUNT, at=NOW, market_at=NOW, orders=4, executions=5, positions=6, currency="USD", cash_note=EVIL
    )
    text = person(*SEES).get("/gateway/").content.decode()
    assert text.count("by our records") >= 2
    assert "Connected to the broker" in text
    assert "Connection to the broker lost: 1100" in text
    assert "holds 5 &lt;script&gt;" in text
    assert "not compared: &lt;script&gt;" in text
    assert EVIL not in text


def test_an_empty_desk_says_what_to_do(tell: Tell) -> None:
    text = person(*SEES).get("/gateway/").content.decode()
    assert "No connection to a broker is on record" in text
    assert "No look at the broker’s book is on record" in text
    assert "No difference is open" in text


def test_what_one_may_not_see_is_not_there(tell: Tell) -> None:
    connected()
    differ()
    text = person("trading.view_account").get("/gateway/").content.decode()
    assert "holds 5" not in text
    assert "Connected to the broker" not in text
    assert "trading.view_discrepancy" in text
    assert "Reconcile now" not in text
    assert "Reconcile now" in person(*SEES, "trading.resolve_discrepancy").get("/gateway/").content.decode()


@pytest.mark.parametrize("url", PARTS)
def test_who_may_not_see_it(url: str, tell: Tell, client: Client) -> None:
    assert client.get(url).status_code == 302
    assert person("trading.view_order").get(url).status_code == 403
    assert person(*SEES).post(url).status_code == 405


@pytest.mark.parametrize("url", PARTS[1:])
def test_a_part_is_only_its_inside(url: str, tell: Tell) -> None:
    answer = person(*SEES).get(url)
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"


def test_many_rows_take_as_many_queries_as_one(tell: Tell) -> None:
    client = person(*SEES)
    connected()
    differ()
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as found:
            client.get("/gateway/")
        counts.append(len(found))
        differ(20)
        for each in range(20):
            connected(str(each))
    assert counts[0] == counts[1]


def test_to_reconcile_needs_its_permission_and_a_post(tell: Tell, client: Client) -> None:
    url = "/gateway/reconcile/"
    assert client.post(url).status_code == 302
    assert person(*SEES).post(url).status_code == 403
    may = person(*SEES, "trading.resolve_discrepancy")
    assert may.get(url).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("boss", password="x"))
    assert strict.post(url).status_code == 403


def test_a_reconcile_without_a_broker_says_why(tell: Tell) -> None:
    answer = person(*SEES, "trading.resolve_discrepancy").post("/gateway/reconcile/", follow=True)
    assert answer.redirect_chain == [("/gateway/", 302)]
    assert "web-error" in answer.content.decode()


@pytest.mark.both
def test_a_reconcile_reads_the_book_of_a_real_connection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    may = person(*SEES, "trading.resolve_discrepancy")
    monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))
    monkeypatch.setattr(numbers.HISTORY, "_until", float("-inf"))
    text = may.post("/gateway/reconcile/", follow=True).content.decode()
    assert f"The broker&#x27;s book of {desk.account} was read and compared" in text
    assert "Last look" in text
    assert "a set clock" in text
    assert "looking for the gateway at" in text
    assert f"named {desk.account}" in text
    assert "TWS said 2104" in text
