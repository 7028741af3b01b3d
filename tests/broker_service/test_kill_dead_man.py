"""The dead man's switch: what counts as silence, and what it does when an owner is gone for good."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from pytest_django import Settings

from broker import dead_man as dead_men
from broker import gates, get_broker, latch
from broker.dead_man import DeadMan, Silence
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service.owner import Place
from tests.broker_service.house import bracket
from tests.support import PATIENCE_S, eventually

ASKED = [(0, False), (70, False), (80, True), (139, False), (141, False), (142, True), (150, False)]


def test_silence_counts_from_the_last_answer_and_only_after_a_first_one() -> None:
    silence = Silence(60)
    found = [silence.is_too_long(answered=answered, now=now) for now, answered in ASKED]
    assert found == [False, False, False, False, True, False, False]


def answers_of(dead_man: DeadMan, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What it is answered from now on."""
    answers: list[bool] = []
    ask = dead_man._answers

    def noting() -> bool:
        answers.append(ask())
        return answers[-1]

    monkeypatch.setattr(dead_man, "_answers", noting)
    return answers


def test_an_owner_that_is_gone_for_good_halts_trading_and_its_entries_are_ended(
    process: subprocess.Popen[str],
    place: Place,
    state: Path,
    gateway: EmbeddedGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with get_broker() as broker:
        broker.place(bracket(broker))
    told: list[str] = []
    monkeypatch.setattr(dead_men, "LOOK_EVERY", 0.1)
    patient, hasty = (DeadMan(place, lambda name, text: told.append(text), limit=limit) for limit in (PATIENCE_S, 0.5))
    answers = answers_of(patient, monkeypatch)
    patient.start()
    eventually(lambda: len(answers) >= 3)
    patient.stop()
    assert (set(answers), latch.read(state)) == ({True}, None), "while the owner answers, nothing is halted"
    answers = answers_of(hasty, monkeypatch)
    hasty.start()
    try:
        eventually(lambda: True in answers)
        process.kill()
        eventually(lambda: any("1 of 1" in text for text in told))
    finally:
        hasty.stop()
    assert gates.halt_state() is gates.HaltState.HALTED
    found = latch.read(state)
    assert found is not None
    assert (found.actor, found.confirmed) == ("dead man", 1)
    with ControlClient(gateway.host, gateway.control_port) as control:
        assert control.status()["frames"]["cancelOrder"] == 1


def test_a_release_by_a_person_ends_what_the_dead_man_goes_on_to_ask(
    place: Place, state: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next question would tell an owner that is back to halt once more."""
    settings.AUTOTRADER_BROKER_URL = "http://127.0.0.1:9"
    monkeypatch.setenv("AUTOTRADER_TIME_FACTOR", "0.1")
    told: list[str] = []
    halting = threading.Thread(target=DeadMan(place, lambda name, text: told.append(text))._halt, daemon=True)
    halting.start()
    eventually(lambda: any("not proven" in text for text in told))
    found = latch.read(state)
    assert found is not None
    assert latch.replace_with(state, found.mark, None)
    halting.join(PATIENCE_S)
    assert not halting.is_alive()


def test_a_lock_that_cannot_be_read_is_silence_and_ends_no_watch(place: Place) -> None:
    place.lock_path.mkdir(parents=True)
    assert DeadMan(place, lambda name, text: None)._answers() is False
