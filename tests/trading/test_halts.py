"""Halting and releasing through the one service: who may, what stays, what is on record, what the skins make of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.errors import Conflict, Invalid
from autotrader.core.users.models import User
from broker import gates, halts, latch, types
from broker.gates import HaltState
from broker.models import Halt
from tests.support import in_threads
from trading.models import Discrepancy
from trading.services import halts as services
from trading.services.evidence import apply
from trading.services.halts import NotAllowed, halt, may_release, reason_of_halt

pytestmark = pytest.mark.django_db(transaction=True)
EVERYTHING = ("halt_trading", "release_trading")


@pytest.fixture(autouse=True)
def state(settings: Settings, tmp_path: Path) -> Path:
    settings.AUTOTRADER_STATE_DIR = tmp_path
    return tmp_path


def person(name: str, *codenames: str, **fields: Any) -> User:
    user = User.objects.create_user(name, password="x", **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def release(**said: Any) -> services.HaltOutcome:
    """Of the halt that stands at this moment."""
    return services.release(**{"seen": gates.halt_reading().seen, **said})


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_without_an_owner_the_halt_stands_and_the_outcome_says_what_is_not_proven(state: Path) -> None:
    outcome = halt(actor="ann", reason="strange fills")
    assert (outcome.reading.state, outcome.cancel, outcome.done) == (HaltState.HALTED, "entries", False)
    assert "No broker process is running" in outcome.sentence
    found = latch.read(state)
    assert found is not None
    assert (found.state, found.cancel, found.is_cancelling) == ("HALTED", "entries", True)


def test_a_halt_stands_though_the_database_refuses_it(state: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE broker_halt RENAME TO broker_halt_away")
    try:
        outcome = halt(actor="ann", reason="strange fills", cancel="")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE broker_halt_away RENAME TO broker_halt")
    assert outcome.reading.state is HaltState.HALTED
    halts.halt_sync(grace=0)
    row = Halt.objects.get()
    assert (row.state, row.actor, row.reason) == ("HALTED", "ann", "strange fills")


def test_a_disk_that_takes_no_file_leaves_the_row(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(latch, "_write", full)
    assert halt(actor="ann", reason="strange fills", cancel="").reading.state is HaltState.HALTED
    assert latch.path_of(state).stat().st_size == 0  # an empty file still takes an entry of the folder, and halts


@pytest.mark.parametrize("reason", ["", " ab ", "x" * 501, "\x00\x00\x00"])
def test_a_reason_is_needed(reason: str, state: Path) -> None:
    with pytest.raises(Invalid):
        halt(actor="ann", reason=reason)
    assert gates.halt_state() is HaltState.ACTIVE


@pytest.mark.parametrize(
    ("said", "kept"), [("", "by hand"), (" x ", "by hand: x"), ("fat finger", "fat finger"), ("y" * 900, "y" * 491)]
)
def test_no_halt_of_a_person_is_refused_for_its_words(said: str, kept: str) -> None:
    assert reason_of_halt(said, "by hand") == kept
    assert halt(actor="a" * 200, reason=reason_of_halt(said, "by hand"), cancel="").reading.reason == kept
    assert len(Halt.objects.get().actor) == 80


def test_only_an_active_person_with_the_permission_releases() -> None:
    gates.halt_set("HALTED", "ann", "strange fills")
    boss, viewer, gone = person("boss", *EVERYTHING), person("vic", "halt_trading"), person("gus", *EVERYTHING)
    gone.is_active = False
    for user, hand in ((viewer, "person"), (gone, "person"), (boss, "program")):
        assert may_release(user, hand)  # type: ignore[arg-type]
        with pytest.raises(NotAllowed):
            release(user=user, reason="it is over", hand=hand)  # type: ignore[arg-type]
    assert gates.halt_state() is HaltState.HALTED
    refused = Event.objects.filter(type="HALT_RELEASE_REFUSED").order_by("seq")
    assert [event.actor for event in refused] == ["vic", "gus", "boss"]
    outcome = release(user=boss, reason="it is over")
    assert (outcome.reading.state, outcome.reading.actor, outcome.done) == (HaltState.ACTIVE, "boss", True)


def test_a_release_warns_of_cancels_that_were_not_proven_and_ends_them(state: Path) -> None:
    gates.halt_set("HALTED", "ann", "strange fills", cancel="entries")
    outcome = release(user=person("boss", *EVERYTHING), reason="it is over")
    assert outcome.reading.state is HaltState.ACTIVE
    assert "not proven" in outcome.problem
    assert Halt.objects.get().cancel == ""
    assert latch.read(state) is None


@pytest.mark.parametrize("seen", ["", "1.", "0.x"])
def test_a_release_is_of_the_halt_that_was_seen_and_of_no_other(state: Path, seen: str) -> None:
    gates.halt_set("HALTED", "ann", "strange fills")
    with pytest.raises((Invalid, Conflict)):
        release(user=person("boss", *EVERYTHING), reason="it is over", seen=seen)
    assert gates.halt_state() is HaltState.HALTED


def test_a_halt_that_comes_while_the_command_releases_stays(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person("boss", *EVERYTHING)
    gates.halt_set("HALTED", "ann", "strange fills")
    told = gates.halt_reading()
    gates.halt_set("HALTED", "guard", "4 % are lost")
    monkeypatch.setattr(halts, "halt_reading", lambda: told)
    with pytest.raises(SystemExit) as ended:
        call_command("halt", "--release", "--user", "boss", "--reason", "it is over")
    monkeypatch.undo()
    assert ended.value.code == 3


def test_a_release_on_one_host_is_one_on_the_owner_s_too(state: Path, settings: Settings) -> None:
    """The web and the owner on two hosts: one row, and a file on each."""
    web, owner = state / "web", state / "owner"
    boss = person("boss", *EVERYTHING)
    for folder in (web, owner):
        folder.mkdir()

    def on(folder: Path) -> None:
        settings.AUTOTRADER_STATE_DIR = folder

    def synced() -> HaltState:
        on(owner)
        halts.halt_sync(grace=0)
        return gates.halt_state()

    for cancel in ("", "entries"):
        on(web)
        gates.halt_set("HALTED", "ann", "strange fills", cancel=cancel)  # type: ignore[arg-type]
        assert synced() is HaltState.HALTED
        assert latch.read(owner) is not None
        assert synced() is HaltState.HALTED
        on(web)
        assert release(user=boss, reason="it is over").reading.state is HaltState.ACTIVE
        assert synced() is HaltState.ACTIVE
        assert latch.read(owner) is None
        on(web)
        assert gates.halt_state() is HaltState.ACTIVE


def two_hosts(state: Path) -> tuple[Path, Path]:
    """The state folders of the web's host and of the owner's."""
    web, owner = state / "web", state / "owner"
    for folder in (web, owner):
        folder.mkdir()
    return web, owner


def test_a_halt_on_the_owner_s_host_that_no_row_tells_of_is_not_released_elsewhere(
    state: Path, settings: Settings
) -> None:
    web, owner = two_hosts(state)
    settings.AUTOTRADER_STATE_DIR = web
    gates.halt_set("HALTED", "ann", "strange fills")
    latch.tighten(owner, halts.wish_of(HaltState.HALTED, "guard", "4 % are lost", ""))
    settings.AUTOTRADER_STATE_DIR = owner
    halts.halt_sync()
    settings.AUTOTRADER_STATE_DIR = web
    release(user=person("boss", *EVERYTHING), reason="it is over")
    settings.AUTOTRADER_STATE_DIR = owner
    halts.halt_sync(grace=0)
    assert gates.halt_state() is HaltState.HALTED
    assert Halt.objects.get().actor == "guard"


@pytest.mark.parametrize("grace", [0.0, 250.0])
def test_a_newer_halt_in_the_same_words_on_the_owner_s_host_is_not_released_with_the_older(
    state: Path, settings: Settings, grace: float
) -> None:
    web, owner = two_hosts(state)
    boss, now = person("boss", *EVERYTHING), halts.system_now()

    def halted(ago: int) -> None:
        settings.AUTOTRADER_STATE_DIR = owner
        wish = halts.wish_of(HaltState.HALTED, "dead man", "the owner does not answer", "entries")
        latch.tighten(owner, replace(wish, at=now - timedelta(seconds=ago)))

    halted(300)
    for _ in range(2):
        halts.halt_sync()
    settings.AUTOTRADER_STATE_DIR = web
    seen = gates.halt_reading().seen
    halted(10 if grace == 0 else 0)
    halts.halt_sync(grace=grace)
    version = Halt.objects.get().version
    halts.halt_sync(grace=grace)
    assert Halt.objects.get().version == version
    settings.AUTOTRADER_STATE_DIR = web
    if grace == 0:  # the row holds the newer one by now
        with pytest.raises(Conflict) as refused:
            release(user=boss, reason="it is over", seen=seen)
        assert refused.value.reason == "HALT_CHANGED"
    else:
        release(user=boss, reason="it is over", seen=seen)
    settings.AUTOTRADER_STATE_DIR = owner
    halts.halt_sync(grace=0)
    assert gates.halt_state() is HaltState.HALTED
    settings.AUTOTRADER_STATE_DIR = web
    assert release(user=boss, reason="it is over").reading.state is HaltState.ACTIVE
    settings.AUTOTRADER_STATE_DIR = owner
    halts.halt_sync(grace=0)
    assert gates.halt_state() is HaltState.ACTIVE


def test_a_file_that_is_of_the_row_has_its_time_and_a_kill_request_s_moment_is_no_newer_halt(
    state: Path, settings: Settings
) -> None:
    web, owner = two_hosts(state)
    settings.AUTOTRADER_STATE_DIR = web
    gates.halt_set("HALTED", "ann", "strange fills", cancel="entries")
    row = Halt.objects.get()
    settings.AUTOTRADER_STATE_DIR = owner
    halts.halt_sync(grace=0)
    assert (found := latch.read(owner)) is not None
    assert (found.at, found.agreed) == (row.at, row.version)
    wish = halts.wish_of(HaltState.HALTED, "ann", "strange fills", "entries")
    latch.tighten(owner, replace(wish, at=row.at + timedelta(seconds=0.1)))
    halts.halt_sync(grace=0)
    assert (found := latch.read(owner)) is not None
    assert (found.agreed, Halt.objects.get().version) == (row.version, row.version)


def test_a_newer_halt_without_cancels_does_not_ask_again_for_those_that_had_ended(state: Path) -> None:
    now = halts.system_now()
    first = replace(halts.wish_of(HaltState.HALTED, "ann", "strange fills", "all"), at=now - timedelta(60))
    latch.tighten(state, first)
    latch.note(state, first.run, owner="me", asked_at=first.at, asked=1, confirmed=1, cancelled_at=first.at)
    halts.halt_sync(grace=0)
    ended = Halt.objects.get().cancelled_at
    latch.tighten(state, halts.wish_of(HaltState.HALTED, "guard", "4 % are lost", ""))
    halts.halt_sync(grace=0)
    row, found = Halt.objects.get(), latch.read(state)
    assert (row.actor, row.cancel, row.cancelled_at) == ("guard", "all", ended)
    assert found is not None
    assert not found.is_cancelling


def test_the_command_releases_the_halt_that_was_seen_and_names_the_one_in_force(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person("boss", *EVERYTHING)
    words = ["--release", "--user", "boss", "--reason", "it is over", "--seen"]
    gates.halt_set("HALTED", "ann", "strange fills")
    seen = gates.halt_reading().seen
    gates.halt_set("HALTED", "guard", "4 % are lost")
    for said, code, stands in ((seen, 3, "HALTED"), (gates.halt_reading().seen, 0, "ACTIVE")):
        with pytest.raises(SystemExit) as ended:
            call_command("halt", *words, said)
        assert (ended.value.code, gates.halt_state()) == (code, stands)
        assert "(seen 2." in capsys.readouterr().out


def test_a_file_that_a_person_made_is_released_as_any_other(state: Path) -> None:
    latch.path_of(state).touch()
    assert gates.halt_state() is HaltState.HALTED
    release(user=person("boss", *EVERYTHING), reason="it is over")
    assert gates.halt_state() is HaltState.ACTIVE


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [a_folder, a_link, a_pipe])
def test_what_is_no_plain_file_halts_and_is_not_released(state: Path, make: Callable[[Path], None]) -> None:
    make(latch.path_of(state))
    assert gates.halt_state() is HaltState.HALTED
    with pytest.raises(Conflict) as refused:
        release(user=person("boss", *EVERYTHING), reason="it is over")
    assert refused.value.reason == "LATCH_UNREADABLE"
    assert gates.halt_state() is HaltState.HALTED


def test_a_file_of_another_user_halts(state: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    path = latch.path_of(state)
    path.write_text('{"state": "REDUCING"}')
    path.chmod(0)
    state.chmod(0o755)
    for folder in state.parents[:2]:
        folder.chmod(0o755)
    os.seteuid(65534)
    try:
        found = latch.read(state)
    finally:
        os.seteuid(0)
    assert found is not None
    assert found.state == "HALTED"
    assert found.problem


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", '{"state": "ACTIVE"}', '{"state": 1}', '{"state": "REDUCING", "cancel": "maybe"}', "\x00"],
)
def test_odd_contents_halt(state: Path, text: str) -> None:
    latch.path_of(state).write_text(text)
    assert gates.halt_state() is HaltState.HALTED


def test_two_releases_at_once_are_two_events_and_nothing_is_lost() -> None:
    gates.halt_set("HALTED", "ann", "strange fills")
    in_threads([lambda name=name: gates.halt_release(name, "it is over") for name in ("bob", "cem")])
    assert gates.halt_state() is HaltState.ACTIVE
    told = Event.objects.filter(type="HALT_CHANGED", new_state="ACTIVE").order_by("seq")
    assert sorted(event.actor for event in told) == ["bob", "cem"]
    assert [event.subject_version for event in told] == [2, 3]
    assert Halt.objects.get().version == 3


def test_of_two_releases_of_the_same_halt_the_second_is_told_that_it_changed() -> None:
    gates.halt_set("HALTED", "ann", "strange fills")
    seen, told = gates.halt_reading().seen, []
    people = [person("bob", *EVERYTHING), person("cem", *EVERYTHING)]

    def one(user: User) -> None:
        try:
            told.append(release(user=user, reason="it is over", seen=seen).reading.state.value)
        except Conflict as error:
            told.append(error.reason)

    in_threads([partial(one, user) for user in people])
    assert sorted(told) == ["ACTIVE", "HALT_CHANGED"]


def test_of_a_halt_and_a_release_at_once_the_halt_is_never_lost(state: Path) -> None:
    boss = person("boss", *EVERYTHING)
    for turn in range(10):
        gates.halt_set("HALTED", "ann", f"first of turn {turn}")
        in_threads(
            [
                lambda: gates.halt_release("boss", "it is over") and None,
                lambda turn=turn: gates.halt_set("HALTED", "guard", f"second of turn {turn}") and None,
            ]
        )
        last = Event.objects.filter(type="HALT_CHANGED").latest("seq")
        stands = latch.read(state) is not None
        assert (gates.halt_state() is HaltState.HALTED, stands) == (last.actor == "guard",) * 2
        release(user=boss, reason="clean again")


def test_a_halt_in_a_transaction_that_fails_stands_by_the_file() -> None:
    with pytest.raises(ZeroDivisionError), audit.recording():
        gates.halt_set("HALTED", "loss guard", "4 % are lost")
        raise ZeroDivisionError
    assert gates.halt_state() is HaltState.HALTED
    assert not Halt.objects.exists()


def cancels(*, done: bool, account: str = "DU1") -> types.CancelsReport:
    now = halts.system_now()
    return types.CancelsReport(
        account, "run1", "entries", 2, 1, () if done else ("G1-E",), done, "they still work", now
    )


def test_cancels_in_doubt_are_a_difference_until_they_are_proven() -> None:
    for report in (cancels(done=False), cancels(done=False)):
        with audit.recording():
            apply(report)
    found = Discrepancy.objects.get(kind="cancel")
    assert (found.state, found.subject, found.blocking) == ("OPEN", "halt:1", False)
    assert "G1-E" in found.detail
    with audit.recording():
        apply(cancels(done=True))
    found.refresh_from_db()
    assert found.state == "RESOLVED"


def test_cancels_of_nobody_known_are_no_error() -> None:
    with audit.recording():
        apply(cancels(done=False, account=""))
    assert not Discrepancy.objects.exists()


def test_the_command_releases_for_a_user_with_the_permission(state: Path) -> None:
    person("boss", *EVERYTHING)
    for words, code in ((["--user", "boss"], 3), (["--user", "boss", "--reason", "it is over"], 0)):
        gates.halt_set("HALTED", "ann", "strange fills")
        with pytest.raises(SystemExit) as ended:
            call_command("halt", "--release", *words)
        assert ended.value.code == code
    assert gates.halt_state() is HaltState.ACTIVE


def test_over_rest() -> None:
    boss, vic = logged_in(person("boss", *EVERYTHING)), logged_in(person("vic"))
    assert Client().get("/api/halt").status_code == 401
    assert vic.get("/api/halt").json()["state"] == "ACTIVE"
    body = {"reason": "strange fills", "cancel": "none"}
    assert vic.post("/api/halt", body, "application/json").status_code == 403
    told = boss.post("/api/halt", body, "application/json").json()
    assert (told["state"], told["actor"], told["done"]) == ("HALTED", "boss", True)
    assert released(vic, "a", {"reason": "let me", "seen": told["seen"]}).status_code == 403
    for odd in ({"reason": "x"}, {"reason": "fine", "state": "ACTIVE"}, {"reason": 7}, {"reason": "fine", "why": "x"}):
        assert boss.post("/api/halt", odd, "application/json").status_code == 422
    assert released(boss, "b0", {"reason": "it is over"}).status_code == 422
    stale = released(boss, "b", {"reason": "it is over", "seen": "0.x"})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "HALT_CHANGED")
    fresh = {"reason": "it is over", "seen": boss.get("/api/halt").json()["seen"]}
    assert released(boss, "c", fresh).json()["state"] == "ACTIVE"
    boss.post("/api/halt", body, "application/json")
    again = released(boss, "c", fresh)
    assert (again["Idempotent-Replayed"], boss.get("/api/halt").json()["state"]) == ("true", "HALTED")


def released(client: Client, key: str, said: dict[str, str]) -> Any:
    return client.post("/api/halt/release", said, "application/json", headers={"Idempotency-Key": key})


def test_the_page_has_one_button() -> None:
    boss, vic = logged_in(person("boss", *EVERYTHING)), logged_in(person("vic"))
    assert Client().get("/halt/").status_code == 302
    assert "Halt trading now" not in vic.get("/halt/").content.decode()
    assert vic.post("/halt/", {"action": "halt"}).status_code == 403
    shown = boss.get("/halt/").content.decode()
    assert "Halt trading now" in shown
    assert "nothing is halted" in shown
    boss.post("/halt/", {"action": "halt"})
    assert gates.halt_state() is HaltState.HALTED
    page = boss.get("/halt/")
    assert "halted by the button" in page.content.decode()
    vic.post("/halt/", {"action": "release", "reason": "let me"})
    assert gates.halt_state() is HaltState.HALTED
    boss.post("/halt/", {"action": "release", "reason": "it is over", "seen": page.context["halt"].seen})
    assert gates.halt_state() is HaltState.ACTIVE
