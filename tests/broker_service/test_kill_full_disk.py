"""The kill switch where the state folder's disk is full: it halts, ends what was asked, and says what is not kept.

The disk is a small one that is really full where this user may mount one, else every write of the latch fails.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from autotrader.core.clock import system_now
from autotrader.management.commands.halt import Command
from broker import get_broker, halts, kill_switch, latch, types
from broker.gates import HaltState, halt_reading, halt_release, halt_set, halt_state
from broker.latch import Latch
from broker.models import Halt
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service.owner import Owner, Place, serve
from broker.service.wishes import Wishes
from tests.broker_service.conftest import Process
from tests.broker_service.house import CLOSE, FAST, MemoryDesk, bracket
from tests.broker_service.test_kill_switch import halt
from tests.support import PATIENCE_S, eventually
from trading.services import halts as services

SIZE = 4 * 1024 * 1024


class Disk:
    """The disk of the state folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        self._patch = monkeypatch
        self._write = latch._write
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
        self.is_small = subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Take all of its room."""
        if not self.is_small:
            self._patch.setattr(latch, "_write", _full)
            return
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 1):
                with suppress(OSError):
                    while file.write(b"x" * size):
                        pass

    def clear(self) -> None:
        """Give it back."""
        self._patch.setattr(latch, "_write", self._write)
        self._filler.unlink(missing_ok=True)

    def end(self) -> None:
        if self.is_small:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


def _full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    folder = tmp_path / "small"
    folder.mkdir()
    made = Disk(folder, monkeypatch)
    yield made
    made.end()


@pytest.fixture(autouse=True)
def state(settings: Settings, disk: Disk, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of this test, on the small disk."""
    settings.AUTOTRADER_STATE_DIR = disk.folder
    monkeypatch.setenv("AUTOTRADER_TIME_FACTOR", "0.2")
    # An owner that is taken for silent is killed.
    monkeypatch.setattr(kill_switch, "SILENCE", 5 * PATIENCE_S)
    return disk.folder


@pytest.fixture
def gateway(state: Path, tmp_path: Path) -> Iterator[EmbeddedGateway]:
    """Its own file lies on a disk that has room."""
    (state / "paper.sqlite3").symlink_to(tmp_path / "paper.sqlite3")
    with EmbeddedGateway(set_clock=CLOSE, store_path=tmp_path / "paper.sqlite3") as running:
        yield running


def wish(state: str = "HALTED", cancel: Any = "entries") -> Latch:
    return halts.wish_of(HaltState(state), "ann", "strange fills", cancel)


def kill_of(run: str, cancel: Any = "entries") -> types.Kill:
    return types.Kill("HALTED", cancel, "ann", "strange fills", run, 10)


@pytest.mark.parametrize("before", ["", "REDUCING", "HALTED"])
def test_a_full_disk_halts_whatever_stood_there_and_tells_that_it_keeps_no_wish(
    state: Path, disk: Disk, before: str
) -> None:
    if before:
        latch.tighten(state, wish(before, ""))
    disk.fill()
    wanted = wish()
    stands = latch.tighten(state, wanted)
    assert stands.state == "HALTED"
    assert latch.read(state) == stands
    assert halt_state() is HaltState.HALTED
    assert not latch.carries(stands, wanted)
    assert latch.path_of(state).stat().st_size == 0


def test_cancels_that_are_under_way_are_not_lost_for_a_second_halt(state: Path, disk: Disk) -> None:
    first = latch.tighten(state, wish())
    disk.fill()
    again, larger = wish(), wish(cancel="all")
    assert latch.carries(latch.tighten(state, again), again)
    assert not latch.carries(latch.tighten(state, larger), larger)
    assert latch.read(state) == first


def test_an_empty_file_stays_the_halt_that_was_seen(state: Path, disk: Disk) -> None:
    disk.fill()
    halt_set("HALTED", "ann", "strange fills", cancel="entries")
    seen = halt_reading().seen
    for _ in range(3):
        halts.halt_sync(grace=0)
        assert halt_reading().seen == seen
    halt_release("ann", "it is over", seen=seen)
    assert halt_state() is HaltState.ACTIVE


def test_a_file_that_was_written_is_not_emptied_because_its_folder_could_not_be_synced(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = wish()
    monkeypatch.setattr(latch, "_sync_folder", _full)
    assert latch.tighten(state, wanted) == wanted
    assert latch.read(state) == wanted


def test_the_row_tells_the_end_of_cancels_that_only_memory_has(owner: Owner, desk: MemoryDesk, disk: Disk) -> None:
    owner.broker.place(bracket(owner.broker))
    disk.fill()
    assert services.halt(actor="ann", reason="strange fills").done
    eventually(lambda: Halt.objects.filter(cancel="entries", cancelled_at__isnull=False, asked=1).exists())
    seen = halt_reading().seen
    halts.halt_sync(grace=0)
    assert halt_reading().seen == seen
    halt_release("ann", "it is over", seen=seen)
    assert halt_state() is HaltState.ACTIVE


@pytest.mark.parametrize("by_other", [False, True])
def test_larger_cancels_under_way_are_not_lost_for_a_stricter_halt(state: Path, disk: Disk, by_other: bool) -> None:
    wishes = Wishes(state)
    first = latch.tighten(state, wish("REDUCING", "all"))
    assert (now := wishes.now()) is not None
    assert now.run == first.run
    disk.fill()
    if by_other:
        assert latch.tighten(state, wish()).by_hand
    run, _ = wishes.take(kill_of("r1"))
    told = wishes.now()
    assert told is not None
    assert (told.run, told.cancel, told.is_cancelling) == (run, "all", True)
    assert halt_state() is HaltState.HALTED


def test_cancels_under_way_go_on_in_memory_where_another_process_empties_the_file(state: Path, disk: Disk) -> None:
    wishes = Wishes(state)
    first = latch.tighten(state, wish("REDUCING", "all"))
    wishes.now()
    disk.fill()
    latch.tighten(state, wish())
    told = wishes.now()
    assert told is not None
    assert (told.run, told.cancel, told.is_cancelling) == (first.run, "all", True)
    latch.path_of(state).unlink()
    assert wishes.now() is None


def test_the_command_ends_the_larger_cancels_that_it_makes_the_file_lose(state: Path, disk: Disk) -> None:
    latch.tighten(state, wish("REDUCING", "all"))
    disk.fill()
    wanted, stands = Command()._tighten(wish())
    assert stands is not None
    assert (stands.by_hand, wanted.cancel, wanted.state) == (True, "all", "HALTED")


def test_progress_that_a_full_disk_left_behind_does_not_undo_the_end_that_the_row_tells(
    state: Path, disk: Disk
) -> None:
    wishes = Wishes(state)
    halt_set("HALTED", "ann", "strange fills", cancel="entries")
    found = latch.read(state)
    assert found is not None
    wishes.note(found.run, owner="me", asked_at=system_now(), asked=1, working=("A",))
    disk.fill()
    wishes.note(found.run, confirmed=1, working=(), cancelled_at=system_now())
    halts.halt_sync(grace=0, kept=wishes.kept())
    assert Halt.objects.get().cancelled_at is not None
    halts.halt_sync(grace=0)
    assert Halt.objects.get().cancelled_at is not None


def test_an_owner_ends_what_the_request_asks_where_the_file_could_not_be_told(
    owner: Owner, desk: MemoryDesk, state: Path, disk: Disk
) -> None:
    owner.broker.place(bracket(owner.broker))
    disk.fill()
    outcome = services.halt(actor="ann", reason="strange fills")
    assert (outcome.asked, outcome.confirmed, outcome.done) == (1, 1, True)
    assert owner.broker.open_orders() == ()
    assert halt_state() is HaltState.HALTED
    disk.clear()
    eventually(lambda: Halt.objects.filter(cancel="entries", cancelled_at__isnull=False).exists())


def test_a_wish_of_the_row_comes_into_a_file_that_lacks_it(state: Path, disk: Disk) -> None:
    latch.tighten(state, wish(cancel=""))
    disk.fill()
    halt_set("HALTED", "ann", "strange fills", cancel="all")
    assert Halt.objects.get().cancel == "all"
    halts.halt_sync(grace=0)
    disk.clear()
    halts.halt_sync(grace=0)
    found = latch.read(state)
    assert found is not None
    assert (found.state, found.cancel, found.is_cancelling) == ("HALTED", "all", True)
    assert halt_reading().is_cancelling


def test_cancels_that_ended_before_are_no_proof_for_the_halt_of_now(state: Path) -> None:
    first = latch.tighten(state, wish())
    latch.note(state, first.run, owner="one", asked_at=first.at, cancelled_at=first.at)
    halts.halt_sync(grace=0)
    row = Halt.objects.get()
    row.at, row.version = system_now(), row.version + 1
    row.cancelled_at = row.asked = row.confirmed = None
    row.save()
    halts.halt_sync(grace=0)
    assert Halt.objects.get().cancelled_at is None
    found = latch.read(state)
    assert found is not None
    assert found.is_cancelling


def test_the_command_asks_the_owner_and_does_not_exit_well(
    process: Process, state: Path, disk: Disk, gateway: EmbeddedGateway
) -> None:
    with get_broker() as broker:
        broker.place(bracket(broker))
        disk.fill()
        if not disk.is_small:
            pytest.skip("the owner is another process: its disk must be full")
        code, told = halt()
        assert (code, told["state"], told["asked"], told["confirmed"], told["done"]) == (1, "HALTED", 1, 1, True)
        assert "could not keep" in told["unkept"]
        assert broker.open_orders() == ()
    assert process.poll() is None


def test_without_an_owner_the_command_ends_them_itself(
    place: Place, state: Path, disk: Disk, gateway: EmbeddedGateway, desk: MemoryDesk
) -> None:
    with serve(place, timing=FAST) as first:
        assert first.broker.settle(PATIENCE_S)
        first.broker.place(bracket(first.broker))
        first.broker.drain()
    disk.fill()
    code, told = halt()
    assert (code, told["asked"], told["confirmed"], told["done"]) == (1, 1, 1, True)
    assert "could not keep" in told["unkept"]
    disk.clear()
    code, told = halt()
    assert (code, told["asked"], told["unkept"]) == (0, 0, "")


def test_where_not_even_an_empty_file_can_be_made_the_owner_ends_them_and_says_so(
    owner: Owner, desk: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.broker.place(bracket(owner.broker))
    monkeypatch.setattr(latch, "tightened", _full)
    report = owner.broker.kill(kill_of("run"))
    assert (report.asked, report.confirmed, report.done) == (1, 1, False)
    assert "cannot be written" in report.problem
    assert owner.broker.open_orders() == ()


def test_a_release_ends_a_wish_that_is_only_in_memory(state: Path, disk: Disk) -> None:
    wishes = Wishes(state)
    disk.fill()
    run, problem = wishes.take(kill_of(""))
    assert (bool(run), problem) == (True, "")
    now = wishes.now()
    assert now is not None
    assert (now.run, now.is_cancelling) == (run, True)
    latch.path_of(state).unlink()
    assert wishes.now() is None
    latch.path_of(state).touch()
    assert (found := wishes.now()) is not None
    assert not found.is_cancelling


@pytest.mark.parametrize("filled", ["before", "after"])
def test_progress_that_the_disk_does_not_take_is_not_lost(state: Path, disk: Disk, filled: str) -> None:
    wishes = Wishes(state)
    if filled == "before":
        disk.fill()
    run, _ = wishes.take(kill_of("r1"))
    disk.fill()
    assert wishes.note(run, owner="me", asked=2, working=("A", "B")) is not None
    assert wishes.note(run, confirmed=2, working=(), cancelled_at=system_now()) is not None
    told = wishes.of(run)
    assert told is not None
    assert (told.owner, told.asked, told.confirmed, told.is_cancelling) == ("me", 2, 2, False)
    assert (now := wishes.now()) is not None
    assert not now.is_cancelling
    disk.clear()
    wishes.note(run, asked=2)
    if filled == "after":
        assert latch.read(state) == replace(told, mark=told.mark)
