"""What happened to the connection is kept in order: connects, losses, TWS's own words, and what a person must do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest

from broker import types
from broker.ib import backoff, session
from broker.ib.journal import Journal
from broker.ib.restart import Schedule, is_near
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from tests.broker_ib.desk import TIMEOUT, Desk
from tests.broker_ib.proxy import Proxy
from tests.support import eventually, free_port

NOW = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)


def notes(desk: Desk) -> list[types.ConnectionNote]:
    """What is kept, oldest first."""
    return list(desk.client.history(300))[::-1]


def kinds(desk: Desk) -> list[str]:
    """The kinds of what is kept beside the words of TWS, oldest first."""
    return [note.kind for note in notes(desk) if note.kind != "code"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections follow each other closely."""
    monkeypatch.setattr(backoff, "FIRST", 0.02)
    monkeypatch.setattr(backoff, "FLAPPING", 0.02)


def test_a_connection_tells_how_it_came_about(gateway: EmbeddedGateway, desk: Desk) -> None:
    assert kinds(desk) == ["started", "connected", "replayed"]
    started, *rest = notes(desk)
    assert str(gateway.port) in started.text
    connected = next(note for note in rest if note.kind == "connected")
    assert gateway.account in connected.text
    assert {note.code for note in rest if note.kind == "code"} >= {2104, 2106, 2158}
    times = [note.time for note in notes(desk)]
    assert times == sorted(times)
    assert desk.client.history(1)[0] == notes(desk)[-1]
    assert desk.client.history(0) == ()


@pytest.mark.parametrize("code", [1101, 1102])
def test_an_outage_of_tws_is_kept_in_its_own_words(
    code: int, gateway: EmbeddedGateway, make_desk: Callable[..., Desk], quick: None
) -> None:
    with Proxy(gateway.host, gateway.port) as proxy:
        desk = make_desk(proxy.host, proxy.port)
        desk.wait_synced()
        before = len(notes(desk))
        proxy.inject(4, 2, -1, 1100, "Connectivity is lost <b>", "")
        eventually(lambda: desk.client.state().phase == "broker_lost")
        proxy.inject(4, 2, -1, code, "restored", "")
        eventually(lambda: notes(desk)[-1].kind == "replayed")
        told = [(note.kind, note.code) for note in notes(desk)[before:]]
        assert told[:4] == [("code", 1100), ("broker_lost", 0), ("code", code), ("broker_back", 0)]
        assert told[-1] == ("replayed", 0)
        assert notes(desk)[before].text == "Connectivity is lost <b>"
        proxy.hang_up_after(0)
        # Not the state: it is that of before until the loss is known.
        eventually(lambda: kinds(desk)[-3:] == ["lost", "connected", "replayed"])


def test_a_gateway_at_its_login_is_one_note_however_often_it_is_tried(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    with ControlClient(gateway.host, gateway.control_port) as control, monkeypatch.context() as patch:
        patch.setattr(session, "HANDSHAKE_LIMIT", 0.2)
        control.fault("login")
        desk = make_desk(gateway.host, gateway.port)
        eventually(lambda: any(note.kind == "refused" and note.count > 1 for note in notes(desk)))
        assert kinds(desk)[:3] == ["started", "action", "refused"]
        assert "Log in" in notes(desk)[1].text
        repeated = notes(desk)[-1]
        assert repeated.last_at is not None
        assert repeated.last_at > repeated.time
        control.heal()
    desk.wait_synced()
    assert kinds(desk)[-3:] == ["no_action", "connected", "replayed"]


def test_nothing_listens_is_kept_too(make_desk: Callable[..., Desk], quick: None) -> None:
    desk = make_desk("127.0.0.1", free_port())
    eventually(lambda: kinds(desk)[-1:] == ["refused"])
    assert kinds(desk) == ["started", "refused"]


def test_what_happens_around_the_daily_restart_says_so(
    gateway: EmbeddedGateway, make_desk: Callable[..., Desk]
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=55)  # the window begins a minute before
    schedule = Schedule(time(soon.hour, soon.minute, soon.second, tzinfo=UTC))
    desk = make_desk(gateway.host, gateway.port, schedule=schedule)
    desk.client.wait_connected(TIMEOUT)
    assert all(note.in_restart_window for note in notes(desk))


@pytest.mark.parametrize(
    ("minutes", "near"), [(-2.0, False), (-0.9, True), (0.0, True), (19.9, True), (20.1, False), (600.0, False)]
)
def test_around_a_restart_is_a_minute_before_to_twenty_after(minutes: float, near: bool) -> None:
    schedule = Schedule(time(12, 0, tzinfo=UTC))
    assert is_near(schedule, NOW + timedelta(minutes=minutes)) is near
    assert not is_near(Schedule(), NOW)


def test_the_journal_is_bounded_and_counts_what_repeats_itself() -> None:
    journal = Journal(lambda: NOW, kept=3)
    for number in range(5):
        journal.add("code", "x" * 1000, number)
        journal.add("code", "x" * 1000, number)
    assert [(note.code, note.count, note.last_at) for note in journal.notes] == [
        (2, 2, NOW),
        (3, 2, NOW),
        (4, 2, NOW),
    ]
    assert len(journal.notes[0].text) == 300
