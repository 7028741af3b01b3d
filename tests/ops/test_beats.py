"""Signs of life: who lives is told by files alone, through kills, forks, reused pids and clocks that are set."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from autotrader.core.ops import beats
from tests.support import PATIENCE_S, ROOT, eventually

Start = Callable[..., "subprocess.Popen[bytes]"]
PROGRAM = "import sys, time; from pathlib import Path; from autotrader.core.ops import beats; beats.start('{name}', Path(r'{place}')); {then}"  # noqa: E501


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that beats."""
    started: list[subprocess.Popen[bytes]] = []

    def run(name: str = "work", then: str = "time.sleep(60)") -> subprocess.Popen[bytes]:
        program = PROGRAM.format(name=name, place=tmp_path, then=then)
        started.append(subprocess.Popen([sys.executable, "-c", program], cwd=ROOT))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def state(place: Path, name: str = "work") -> beats.Beat:
    return beats.processes([name], place)[0]


def test_a_process_beats_until_it_is_killed(tmp_path: Path, start: Start) -> None:
    assert state(tmp_path) == beats.Beat("work", running=False, pid=None, host="", age_s=None)
    process = start()
    eventually(lambda: state(tmp_path).running)
    process.kill()
    eventually(lambda: not state(tmp_path).running)
    assert state(tmp_path).pid == process.pid


def test_a_process_that_is_stopped_counts_as_gone_and_comes_back(tmp_path: Path, start: Start) -> None:
    process = start()
    eventually(lambda: state(tmp_path).running)
    assert not beats.processes(["work"], tmp_path, now=time.time() + beats.SILENT + 2)[0].running
    process.send_signal(signal.SIGSTOP)
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    path = next(tmp_path.glob("work-*.json"))
    os.utime(path, (0, time.time() - beats.SILENT - 1))
    assert not state(tmp_path).running
    process.send_signal(signal.SIGCONT)
    eventually(lambda: state(tmp_path).running)


def test_an_orderly_end_leaves_no_file(tmp_path: Path, start: Start) -> None:
    assert start(then="pass").wait(PATIENCE_S) == 0
    assert list(tmp_path.glob("*.json")) == []


def test_a_main_process_that_only_waits_for_its_children_lives(tmp_path: Path, start: Start) -> None:
    fork = "import multiprocessing; multiprocessing.Process(target=time.sleep, args=(60,)).start()"
    process = start(then=fork)
    eventually(lambda: _children(process.pid))
    path = next(tmp_path.glob("work-*.json"))
    touched = path.stat().st_mtime
    eventually(lambda: path.stat().st_mtime > touched)
    for child in _children(process.pid):
        os.kill(int(child), signal.SIGKILL)
    assert process.wait(PATIENCE_S) == 0
    assert not path.exists()


def test_the_children_of_a_process_that_was_killed_are_no_sign_of_its_life(tmp_path: Path, start: Start) -> None:
    fork = "import os; child = os.fork(); print(child or '', flush=True); time.sleep(60)"
    process = start(then=fork)
    eventually(lambda: state(tmp_path).running)
    orphans = eventually(lambda: [int(name) for name in _children(process.pid)])
    process.kill()
    process.wait()
    touched = next(tmp_path.glob("work-*.json")).stat().st_mtime
    assert not state(tmp_path).running
    eventually(lambda: time.time() > touched + beats.EVERY + 0.5, every=0.1)
    assert next(tmp_path.glob("work-*.json")).stat().st_mtime == pytest.approx(touched, abs=0.2)
    for orphan in orphans:
        os.kill(orphan, signal.SIGKILL)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_pid_that_is_somebody_elses_now_is_no_sign_of_life(tmp_path: Path) -> None:
    write(tmp_path, pid=os.getpid(), start=1.0)
    assert not state(tmp_path).running


def test_a_clock_that_was_set_back_does_not_make_a_process_old_or_new(tmp_path: Path) -> None:
    path = write(tmp_path, pid=1, host="another")
    assert beats.processes(["work"], tmp_path, now=path.stat().st_mtime)[0].running
    for at in (time.time() + 600, time.time() - 600):
        os.utime(path, (at, at))
        assert not state(tmp_path).running


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "work"}', "{"])
def test_half_a_file_is_no_sign_of_life(tmp_path: Path, text: str) -> None:
    (tmp_path / "work-host-1.json").write_text(text)
    assert not state(tmp_path).running


def test_a_living_supervisor_says_what_should_run(tmp_path: Path) -> None:
    assert beats.expected(["web"], tmp_path) == ["web"]
    beats.supervise(["gateway", "web"], tmp_path)
    assert beats.expected(["web"], tmp_path) == ["gateway", "web"]
    path = tmp_path / beats.SUPERVISED
    path.write_text(json.dumps(json.loads(path.read_text()) | {"start": 1.0}))
    assert beats.expected(["web"], tmp_path) == ["web"]


def test_old_files_of_the_dead_are_cleared_away_by_the_next(tmp_path: Path, start: Start) -> None:
    path = write(tmp_path, pid=2**22 - 1)
    os.utime(path, (0, time.time() - beats.LEFT_OVER - 10))
    start()
    eventually(lambda: state(tmp_path).running)
    eventually(lambda: not path.exists())


def write(place: Path, *, pid: int, host: str | None = None, start: float = 0.0) -> Path:
    """A beat as another process might have left it, touched now."""
    life = beats.Life("work", pid, beats.socket.gethostname() if host is None else host, start)
    path = place / f"work-{life.host}-{pid}.json"
    beats._write(path, {name: getattr(life, name) for name in ("name", "pid", "host", "start")})
    return path
