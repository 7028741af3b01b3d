"""The wake of each 30 s: no step of it ends another, and what fails is named until it works again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings

from autotrader.core import audit
from autotrader.core.audit.anchors import anchor_take, anchors_path
from autotrader.core.audit.event_types import EventType
from autotrader.core.audit.models import Event
from autotrader.core.clock import system_now
from autotrader.core.ops import steps
from autotrader.core.ops.breaker import Look
from autotrader.core.ops.health import BrokerState
from autotrader.operations import parts
from tests.core.test_anchors import restore_older
from trading import tasks
from trading.workflow import approving, cancelling, lanes, watching

pytestmark = pytest.mark.django_db
# The order of the list is that of the steps.
STEPS: tuple[tuple[Any, str, str], ...] = (
    (watching, "watch", "loss guard"),
    (cancelling, "tell_again", "cancels"),
    (approving, "sweep", "approvals"),
    (tasks, "overdue_raise", "orders in doubt"),
    (tasks, "requests_give_up", "requests"),
    (tasks, "cycles_fail_abandoned", "abandoned cycles"),
    (tasks, "start_due_cycles", "schedules"),
    (tasks, "answers_sweep", "kept answers"),
    (tasks, "tidy", "logs and figures"),
    (tasks, "anchor_if_due", "audit anchor"),
    (lanes, "work", "free work"),
)
ERRORS = (LookupError("as planned"), OperationalError("the server closed"), OSError(28, "full"))
NAMES = [name for _, _, name in STEPS]


class Free:
    """Work that is free to be taken."""

    def exists(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def state(settings: Settings, tmp_path: Path) -> Path:
    settings.AUTOTRADER_STATE_DIR, settings.AUTOTRADER_ANCHOR_DIR = tmp_path, str(tmp_path / "anchors")
    return tmp_path


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were begun, in their order."""
    begun: list[str] = []

    def counting(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any) -> Any:
            begun.append(name)
            return step(*arguments)

        return count

    monkeypatch.setattr(tasks, "claimable", lambda lane: Free())
    for place, attribute, name in STEPS:
        monkeypatch.setattr(place, attribute, counting(name, getattr(place, attribute)))
    return begun


def grow() -> None:
    with audit.acting(actor="ann"), audit.recording():
        audit.record(EventType.CYCLE_QUEUED, "cycle:1")


def named() -> list[str]:
    """What the health names of the steps."""
    found = parts.health(Look(ok=True, reason="", since_s=0.0), broker=lambda: BrokerState("ready", ""))
    return [line for line in found.problems if "step" in line]


def failures() -> list[str]:
    return list(
        Event.objects.filter(type=EventType.AUDIT_ANCHOR_FAILED).order_by("seq").values_list("cause", flat=True)
    )


def test_money_comes_first_and_what_may_take_all_the_time_last(taken: list[str]) -> None:
    tasks.wake()
    assert taken == NAMES
    assert steps.troubles() == []


@pytest.mark.parametrize("number", range(len(STEPS)), ids=NAMES)
def test_a_step_that_fails_keeps_no_other_from_being_taken(
    taken: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    error = ERRORS[number % len(ERRORS)]

    def fail(*arguments: Any) -> None:
        raise error

    place, attribute, name = STEPS[number]
    with monkeypatch.context() as patch:
        patch.setattr(place, attribute, fail)
        for _ in range(2):
            with pytest.raises(ExceptionGroup) as failed:
                tasks.wake()
            assert failed.value.exceptions == (error,)
    assert taken == [other for other in NAMES if other != name] * 2
    assert [trouble.step for trouble in steps.troubles()] == [name]
    (line,) = named()
    assert name in line
    assert type(error).__name__ in line
    tasks.wake()
    assert named() == []


@pytest.mark.parametrize("broken", ["spoilt", "older", "folder"])
def test_anchors_that_cannot_be_written_stop_no_guard_and_are_on_record_once(
    taken: list[str], state: Path, broken: str
) -> None:
    for _ in range(9):
        grow()
    anchor_take(system_now())
    path = anchors_path()
    if broken == "spoilt":
        path.write_text(path.read_text().replace('"seq": 9', '"seq": 8'))
    elif broken == "older":
        restore_older(1)
    else:
        path.unlink()
        path.mkdir()
    before = path.read_text() if path.is_file() else ""
    old = time.time() - 301
    os.utime(path, (old, old))
    for _ in range(3):
        with pytest.raises(ExceptionGroup):
            tasks.wake()
    assert len(failures()) == 1
    assert taken == NAMES * 3
    assert "audit anchor" in named()[0]
    assert (path.read_text() if path.is_file() else "") == before, "what it proves is left as it is"


def test_a_trouble_that_nobody_has_seen_for_long_is_not_of_this_moment(state: Path) -> None:
    with pytest.raises(ExceptionGroup):
        steps.run({"one": lambda: 1 / 0})
    (trouble,) = steps.troubles()
    assert "ZeroDivisionError" in trouble.sentence
    (path,) = (state / "troubles").glob("*.json")
    old = time.time() - steps.FORGOTTEN - 1
    os.utime(path, (old, old))
    assert steps.troubles() == []


def test_a_step_that_hangs_is_named_also_after_its_process_was_ended(state: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        assert go_on.wait(50)

    thread = threading.Thread(target=steps.run, args=({"one": lambda: None, "two": hang},))
    thread.start()
    assert begun.wait(50)
    assert steps.troubles() == [], "it has only begun"
    (path,) = (state / "troubles").glob("*.begun")
    old = int(time.time() - steps.HANGS - 1)
    os.utime(path, (old, old))
    (trouble,) = steps.troubles()
    assert (trouble.step, round(datetime.fromisoformat(trouble.since).timestamp())) == ("two", old)
    assert "has not ended" in named()[0]
    steps.run({"two": lambda: None})
    assert [trouble.step for trouble in steps.troubles()] == ["two"], "the other one still hangs"
    left = path.with_name("two.999999999-1.begun")  # no system gives that number to a process
    left.write_text("two")
    os.utime(left, (old, old))
    go_on.set()
    thread.join()
    assert not list((state / "troubles").iterdir())


def test_a_state_folder_that_takes_no_file_ends_nothing(settings: Settings, state: Path) -> None:
    settings.AUTOTRADER_STATE_DIR = state / "a file"
    settings.AUTOTRADER_STATE_DIR.touch()
    begun: list[str] = []
    with pytest.raises(ExceptionGroup):
        steps.run({"one": lambda: 1 / 0, "two": lambda: begun.append("two")})
    assert begun == ["two"]
    assert steps.troubles() == []


def test_the_since_of_a_trouble_is_its_first_failure() -> None:
    for text in ("one", "two"):
        with pytest.raises(ExceptionGroup):
            steps.run({"step": partial(int, text)})
    (trouble,) = steps.troubles()
    assert "'two'" in trouble.problem
    assert system_now() - timedelta(seconds=60) < datetime.fromisoformat(trouble.since) <= system_now()
