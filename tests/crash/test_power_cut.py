"""SQLite's files as a power cut leaves them: what was acknowledged is there, what was not is there wholly or not."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from django.db import connection

from tests.trading.builders import bracket, strategy

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]
INTENTS = 6
CUTS = 8  # of each commit's bytes
LEGS = 3
WIDE = {"duplicate_window_seconds": 0, "message_burst": 100}


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def cut(live: Path, folder: Path, size: int) -> Path:
    """The files as they were when only so many bytes of the log had reached the disk."""
    copy = folder / "after.sqlite3"
    shutil.copyfile(live, copy)
    log_of(copy).write_bytes(log_of(live).read_bytes()[:size])
    log_of(copy).with_name(f"{copy.name}-shm").unlink(missing_ok=True)
    return copy


def legs_by_group(copy: Path) -> Counter[str]:
    """How many orders of each intent a later process finds; the file is sound and its audit log without a hole."""
    found = sqlite3.connect(copy)
    assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    last, count = found.execute("SELECT coalesce(max(seq), 0), count(*) FROM audit_event").fetchone()
    assert found.execute("SELECT seq FROM audit_audithead").fetchone() == (last,) == (count,)
    groups = Counter(row[0] for row in found.execute('SELECT "group" FROM trading_order'))
    found.close()
    return groups


def test_whatever_was_acknowledged_outlives_a_power_cut_in_the_middle_of_the_next_commit(tmp_path: Path) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a promise about SQLite's files")
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: acknowledged is on the disk
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    live = Path(connection.settings_dict["NAME"])
    chance = random.Random(1)
    acknowledged: set[str] = set()
    on_disk = log_of(live).stat().st_size
    for number in range(INTENTS):
        group = bracket(strategy(f"s{number}", limits=WIDE))[0].group
        size = log_of(live).stat().st_size
        for at in (size - 1, *(chance.randrange(on_disk, size) for _ in range(CUTS))):
            found = legs_by_group(cut(live, tmp_path, at))
            assert acknowledged <= set(found) <= acknowledged | {group}
            assert set(found.values()) <= {LEGS}
        acknowledged.add(group)
        assert set(legs_by_group(cut(live, tmp_path, size))) == acknowledged
        on_disk = size
