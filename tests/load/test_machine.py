"""What a load does to the machine ends with it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.load import machine
from tests.support import eventually


def _spinning() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if machine.SPIN in child.cmdline()]


def _gives_way(pid: int) -> bool:
    group = Path(f"/proc/{pid}/autogroup")
    is_least = not group.exists() or group.read_text().split()[-1:] == ["19"]
    return os.sched_getscheduler(pid) == os.SCHED_IDLE and len(os.sched_getaffinity(pid)) == 1 and is_least


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="needs a scheduler with an idle class")
def test_processors_are_kept_awake_by_what_gives_way_to_everything() -> None:
    with machine.awake() as told:
        spinning = _spinning()
        assert told.value == len(spinning) == len(os.sched_getaffinity(0))
        for one in spinning:
            eventually(lambda pid=one.pid: _gives_way(pid))
    assert _spinning() == []


def test_a_system_without_an_idle_class_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "SCHED_IDLE", raising=False)
    with machine.awake() as told:
        assert told.value == 0
        assert _spinning() == []
