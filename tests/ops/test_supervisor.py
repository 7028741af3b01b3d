"""The supervisor over small real processes: order, restarts, orphans, stubborn children, fatal exits, its own death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrader.core.ops import supervisor
from autotrader.core.ops.single import AlreadyRunning, Copy, only_copy, running_copy
from autotrader.core.ops.supervisor import Child, Supervisor
from tests.support import PATIENCE_S, ROOT, eventually, gone

pytestmark = pytest.mark.crash

HEAD = (
    "import os, signal, sys, time; from pathlib import Path; "
    "say = lambda *words: os.write(1, (' '.join(map(str, words)) + chr(10)).encode()); "
)
STAYS = HEAD + "say('up', os.getpid()); time.sleep(60)"
IGNORES = HEAD + "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN); "
FORKS = HEAD + "pid = os.fork(); pid or time.sleep(60); say('child', pid); "


def child(name: str, program: str, **options: object) -> Child:
    return Child(name, (sys.executable, "-c", program), dict(os.environ), **options)  # type: ignore[arg-type]


class Desk:
    """A supervisor in a thread, with everything it and its children said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.announced = threading.Event()
        self.code: int | None = None
        self._supervisor: Supervisor | None = None
        self._thread: threading.Thread | None = None

    def start(self, *children: Child) -> None:
        self._supervisor = Supervisor(
            children, lambda name, text: self.said.append((name, text)), announce=self.announced.set
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        assert self._supervisor is not None
        self.code = self._supervisor.run()

    def lines(self, name: str, word: str) -> list[str]:
        return [text for speaker, text in list(self.said) if speaker == name and word in text]

    def pid(self, name: str, word: str = "up", nth: int = 0) -> int:
        return int(eventually(lambda: self.lines(name, f"{word} ")[nth:])[0].split()[1])

    def ask_to_stop(self) -> None:
        assert self._supervisor is not None
        self._supervisor.stop()

    def join(self) -> int | None:
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
        return self.code

    def stop(self) -> int | None:
        self.ask_to_stop()
        return self.join()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    if desk._thread is not None and desk._thread.is_alive():
        desk.ask_to_stop()
        desk.stop()


def test_children_start_in_order_and_stop_in_reverse(desk: Desk, tmp_path: Path) -> None:
    log = tmp_path / "order"
    program = (
        HEAD + "name = sys.argv[1]; write = lambda word: Path(sys.argv[2]).open('a').write(f'{word} {name}\\n'); "
        "signal.signal(signal.SIGTERM, lambda *_: (write('stop'), sys.exit())); write('start'); time.sleep(60)"
    )
    children = [
        Child(
            name,
            (sys.executable, "-c", program, name, str(log)),
            dict(os.environ),
            ready=lambda name=name: log.exists() and f"start {name}" in log.read_text(),
        )
        for name in ("gateway", "broker", "web")
    ]
    desk.start(*children)
    assert desk.announced.wait(PATIENCE_S)
    assert desk.stop() == 0
    assert log.read_text().split("\n")[:-1] == [
        *("start gateway", "start broker", "start web"),
        *("stop web", "stop broker", "stop gateway"),
    ]


def test_a_child_that_ends_is_started_again(desk: Desk) -> None:
    desk.start(child("steady", STAYS), child("shaky", HEAD + "say('up', os.getpid()); sys.exit(1)"))
    first, second, steady = desk.pid("shaky"), desk.pid("shaky", nth=1), desk.pid("steady")
    assert first != second
    assert not gone(steady)
    assert len(desk.lines("steady", "up")) == 1
    pauses = eventually(lambda: desk.lines("shaky", "starting again in")[:2])
    assert pauses == ["starting again in 0.5 s", "starting again in 1 s"][: len(pauses)]
    assert desk.stop() == 0


@pytest.mark.parametrize("code", [supervisor.CONFIGURATION, supervisor.OWNED_ELSEWHERE])
def test_a_fatal_exit_stops_everything_with_its_last_words(desk: Desk, code: int) -> None:
    words = f"say('settings contradict each other'); sys.exit({code})"
    steady = child("steady", STAYS, ready=lambda: bool(desk.lines("steady", "up")))
    desk.start(steady, child("wrong", HEAD + words))
    assert desk.join() == code
    assert desk.lines("wrong", "cannot run")[0].endswith("settings contradict each other")
    assert gone(desk.pid("steady"))


def test_a_child_for_which_no_other_owner_is_fatal_tries_again(desk: Desk) -> None:
    words = HEAD + "say('owned by pid 42'); say('up', os.getpid()); sys.exit(3)"
    desk.start(child("steady", STAYS), child("broker", words, fatal=frozenset({supervisor.CONFIGURATION})))
    assert desk.pid("broker") != desk.pid("broker", nth=1)
    assert not gone(desk.pid("steady"))
    assert desk.stop() == 0


def test_the_orphans_of_a_killed_main_process_go_before_it_starts_again(desk: Desk) -> None:
    desk.start(child("cluster", FORKS + "say('up', os.getpid()); time.sleep(60)"))
    main, orphan = desk.pid("cluster"), desk.pid("cluster", "child")
    os.kill(main, signal.SIGKILL)
    desk.pid("cluster", nth=1)
    assert gone(orphan)
    assert desk.lines("cluster", "ended with SIGKILL")
    assert desk.stop() == 0


def test_a_stubborn_tree_is_killed_after_its_grace(desk: Desk) -> None:
    program = IGNORES + "pid = os.fork(); say('up' if pid else 'child', os.getpid()); time.sleep(60)"
    desk.start(child("stubborn", program, grace=0.4))
    pids = [desk.pid("stubborn"), desk.pid("stubborn", "child")]
    assert desk.stop() == 0
    assert desk.lines("stubborn", "does not stop within 0.4 s; killing it")
    assert all(gone(pid) for pid in pids)


def test_only_the_main_process_is_asked_to_stop(desk: Desk, tmp_path: Path) -> None:
    """A task cluster hangs when its workers are signalled as well."""
    mark = tmp_path / "signalled"
    program = (
        HEAD + f"note = lambda *_: Path({str(mark)!r}).touch(); pid = os.fork(); "
        "signal.signal(signal.SIGTERM, (lambda *_: sys.exit()) if pid else note); "
        "say('up', os.getpid()); time.sleep(60)"
    )
    desk.start(child("cluster", program))
    desk.pid("cluster", nth=1)
    assert desk.stop() == 0
    assert not mark.exists()


def test_neighbours_of_one_stage_stop_together(desk: Desk, tmp_path: Path) -> None:
    """Each ends only after the other has been asked to as well."""
    slow = (
        HEAD + f"place = Path({str(tmp_path)!r}); "
        "ask = lambda *_: (place / sys.argv[1]).touch(); signal.signal(signal.SIGTERM, ask); say('up', os.getpid())\n"
        "while len(list(place.iterdir())) < 2: time.sleep(0.05)\n"
        "say('done', os.getpid())"
    )
    commands = {name: (sys.executable, "-c", slow, name) for name in ("work", "now")}
    workers = [Child(name, command, dict(os.environ), stage="workers", grace=90) for name, command in commands.items()]
    desk.start(*workers)
    for name in commands:
        desk.pid(name)
    assert desk.stop() == 0
    eventually(lambda: all(desk.lines(name, "done") for name in commands))


def test_a_second_request_hurries(desk: Desk) -> None:
    desk.start(child("stubborn", IGNORES + "say('up', os.getpid()); time.sleep(60)", grace=60))
    pid = desk.pid("stubborn")
    desk.ask_to_stop()
    assert desk.stop() == 0
    assert gone(pid)


def test_a_stalled_child_is_killed_and_started_again(desk: Desk) -> None:
    verdicts = iter(["", "no task finished"])

    def stalled(seconds: float) -> str:
        return next(verdicts, "") if desk.lines("cluster", "up") else ""

    desk.start(child("cluster", IGNORES + STAYS, grace=0.4, stalled=stalled, check_every=0.1))
    frozen, fresh = desk.pid("cluster"), desk.pid("cluster", nth=1)
    assert gone(frozen)
    assert not gone(fresh)
    assert desk.lines("cluster", "no task finished; killing it")
    assert desk.stop() == 0


RUN = """
import sys, os
from autotrader.core.ops.supervisor import Child, Supervisor
program = "import os, time; print('up', os.getpid(), flush=True); time.sleep(60)"
say = lambda name, text: print(name, text, flush=True)
sys.exit(Supervisor([Child("web", (sys.executable, "-c", program), dict(os.environ))], say).run())
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def first_child(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline().split()[2])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_and_exits_cleanly(process: subprocess.Popen[str], number: signal.Signals) -> None:
    pid = first_child(process)
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == 0
    assert gone(pid)


def test_children_end_with_a_killed_supervisor(process: subprocess.Popen[str]) -> None:
    pid = first_child(process)
    process.kill()
    eventually(lambda: gone(pid))


def test_a_second_copy_is_refused_naming_the_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "up.lock"
    with only_copy(path), pytest.raises(AlreadyRunning, match=str(os.getpid())), only_copy(path):
        pytest.fail("two copies")
    with only_copy(path):
        assert path.read_text() == str(os.getpid())


def test_the_copy_that_runs_is_known_with_what_it_keeps(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    assert running_copy(path) is None
    with only_copy(path, keeps="broker.lock"):
        assert running_copy(path) == Copy(os.getpid(), "broker.lock")
    assert running_copy(path) is None
