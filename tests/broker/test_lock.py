"""The lock is the kernel's: one holder, released at any death, its text the address book."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.service import lock
from tests.support import PATIENCE_S

NOW = datetime(2024, 1, 2, tzinfo=UTC)
HOLD = """
import sys
from pathlib import Path
from broker.service import lock
held = lock.take(Path(sys.argv[1]))
held.write(lock.Holder("http://127.0.0.1:5", 42, "build", "2024-01-02T00:00:00+00:00", "run_broker"))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return lock.lock_path(tmp_path, "127.0.0.1", 4102, 1)


def hold_elsewhere(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=PATIENCE_S)


def test_the_second_process_is_refused_and_told_who_was_first(path: Path) -> None:
    holder = hold_elsewhere(path)
    try:
        with pytest.raises(lock.AlreadyOwned) as refused:
            lock.take(path)
        assert refused.value.holder == lock.read(path)
        assert "pid 42 at http://127.0.0.1:5" in str(refused.value)
    finally:
        end(holder)


def test_kill_9_frees_the_lock_and_its_text_counts_no_more(path: Path) -> None:
    end(hold_elsewhere(path))
    assert lock.read(path) is None
    lock.take(path).release()


def test_nobody_holds_what_was_never_taken_or_was_released(path: Path) -> None:
    assert lock.read(path) is None
    held = lock.take(path)
    held.write(lock.holder_of_this_process("", "build", NOW, "run_cycle"))
    held.release()
    assert lock.read(path) is None


def test_an_owner_that_serves_nobody_says_so(path: Path) -> None:
    held = lock.take(path)
    held.write(lock.holder_of_this_process("", "build", NOW, "run_cycle"))
    with pytest.raises(lock.AlreadyOwned) as refused:
        lock.take(path)
    assert "(run_cycle), which serves no other process" in str(refused.value)
    held.release()


def test_a_holder_without_a_text_is_starting(path: Path) -> None:
    held = lock.take(path)
    with pytest.raises(lock.AlreadyOwned) as refused:
        lock.read(path)
    assert refused.value.holder is None
    held.release()


def test_readers_do_not_keep_an_owner_out(path: Path) -> None:
    lock.take(path).release()
    for _ in range(200):
        assert lock.read(path) is None
        lock.take(path).release()


def test_each_gateway_and_client_has_its_own(tmp_path: Path) -> None:
    first = lock.take(lock.lock_path(tmp_path, "127.0.0.1", 4102, 1))
    second = lock.take(lock.lock_path(tmp_path, "127.0.0.1", 4102, 2))
    assert len(list(tmp_path.iterdir())) == 2
    first.release()
    second.release()
