"""The database of a cell, as new: SQLite copied from a template file, PostgreSQL from a template database."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
from django.conf import settings
from django.db import connections

from autotrader.core.ops.children import die_with_parent
from autotrader.core.ops.pace import paced
from tests import postgres

FILLER = "filler"
# Where this file lies in PostgreSQL's folder, each statement that writes fails as on a full disk (53100).
FULL = "disk_full"

# Never fill what is not ours: the small file system of a job is half of it.
LARGEST_DISK = 64 << 20


class Skipped(Exception):
    """A fault that cannot be made on this machine."""


class Database(Protocol):
    """One a job; the cells use it one after another."""

    name: str

    def renew(self, folder: Path) -> None:
        """As the migrations and the first rows made it; the settings name it from now on."""

    def stop(self) -> None:
        """The fault: it answers nobody from now on."""

    def start(self) -> None:
        """It answers again."""

    def fill(self) -> None:
        """The fault: there is no space left for it."""

    def free(self) -> None:
        """There is space again."""

    def close(self) -> None:
        """Leave nothing behind."""


def point_at(**changes: Any) -> None:
    """Let Django's default connection of this process, and of those forked from it, lead there."""
    connections.close_all()
    for config in (settings.DATABASES["default"], connections.settings["default"]):
        config.update(changes)
    for alias in connections:
        if hasattr(connections._connections, alias):  # type: ignore[attr-defined]
            del connections[alias]


class Sqlite:
    """A file a cell. Its outage is another writer that does not let go."""

    name = "sqlite"

    def __init__(self, template: Path, disk: Path) -> None:
        """`disk`: a small file system of its own, which can be filled."""
        self._template = template
        self._disk = disk
        self._path = Path()
        self._holder: sqlite3.Connection | None = None

    def renew(self, folder: Path) -> None:
        for old in self._disk.iterdir():
            old.unlink()
        self._path = self._disk / "autotrader.sqlite3"
        (folder / "autotrader.sqlite3").symlink_to(self._path)
        shutil.copyfile(self._template, self._path)
        wait = paced(20)
        options = {
            **settings.DATABASES["default"]["OPTIONS"],
            "timeout": wait,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
            f"PRAGMA busy_timeout={round(wait * 1000)};PRAGMA recursive_triggers=ON;",
        }
        point_at(NAME=str(self._path), OPTIONS=options)

    def stop(self) -> None:
        self._holder = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        self._holder.execute("BEGIN IMMEDIATE")

    def start(self) -> None:
        if self._holder is not None:
            self._holder.rollback()
            self._holder.close()
            self._holder = None

    def fill(self) -> None:
        if shutil.disk_usage(self._disk).total > LARGEST_DISK:
            raise Skipped("skipped: the full disk of SQLite, where no small file system can be mounted")
        with (self._disk / FILLER).open("wb", buffering=0) as filler:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        filler.write(b"\0" * size)

    def free(self) -> None:
        (self._disk / FILLER).unlink(missing_ok=True)

    def close(self) -> None:
        self.start()


class Postgres:
    """A cluster of its own with fsync on, and in it one database a cell."""

    name = "postgresql"

    def __init__(self, template: Path, folder: Path) -> None:
        self._folder = folder
        self._account = postgres._unprivileged(folder)
        self._log = folder / "log"
        subprocess.run(["cp", "-a", str(template / "data"), str(folder / "data")], check=True)
        self._binaries = binaries_of(template)
        self._server: subprocess.Popen[bytes] | None = None
        self._count = 0
        self.start()

    def renew(self, folder: Path) -> None:
        self.start()
        self.free()
        old, self._count = self._count, self._count + 1
        with psycopg.connect(f"postgresql://postgres@/postgres?host={self._folder}", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS cell{old} WITH (FORCE)".encode())
            # Copied through the log: the other strategy waits for two checkpoints.
            admin.execute(f"CREATE DATABASE cell{self._count} TEMPLATE base STRATEGY wal_log".encode())
        point_at(NAME=f"cell{self._count}", USER="postgres", HOST=str(self._folder), OPTIONS={"connect_timeout": 3})

    def stop(self) -> None:
        """SIGKILL of the whole cluster: what an immediate stop does, without asking."""
        if self._server is not None:
            self._server.send_signal(3)
            self._server.wait(30)
            self._server = None

    def start(self) -> None:
        if self._server is not None and self._server.poll() is None:
            return
        self._server = start_server(self._binaries, self._folder, self._account)

    def fill(self) -> None:
        (self._folder / "data" / FULL).touch()

    def free(self) -> None:
        (self._folder / "data" / FULL).unlink(missing_ok=True)

    def close(self) -> None:
        self.stop()


def binaries_of(template: Path) -> Path:
    """Where the template's server programs lie."""
    return Path((template / "binaries").read_text())


def start_server(binaries: Path, folder: Path, account: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A server on the folder's data, fsync on, that answers; it ends with this process."""
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
    options = [word for option in postgres.ALWAYS for word in ("-c", option)]
    command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *options]
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "-c", "shared_buffers=16MB"],
            stdout=log,
            stderr=log,
            cwd=folder,
            preexec_fn=die_with_parent,
            start_new_session=True,
            **account,
        )
    postgres._wait_until_ready(f"postgresql://postgres@/postgres?host={folder}", server, folder / "log")
    return server


def template(database: str, folder: Path) -> Path:
    """Make the template in the folder by a process of its own, which may load settings for that database."""
    folder.mkdir(parents=True, exist_ok=True)
    if database == "sqlite":
        _fill(f"sqlite:///{folder / 'base.sqlite3'}", folder)
        return folder / "base.sqlite3"
    account = postgres._unprivileged(folder)
    binaries = postgres._binaries(folder, account)
    (folder / "binaries").write_text(str(binaries))
    initialise = [str(binaries / "initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8", "--username=postgres"]
    subprocess.run(
        [*initialise, "-D", str(folder / "data")], check=True, stdout=subprocess.DEVNULL, cwd=folder, **account
    )
    with _started(binaries, folder, account):
        admin = psycopg.connect(f"postgresql://postgres@/postgres?host={folder}", autocommit=True)
        admin.execute("CREATE DATABASE base")
        admin.close()
        _fill(f"postgresql://postgres@/base?host={folder}", folder)
    return folder


@contextmanager
def _started(binaries: Path, folder: Path, account: dict[str, Any]) -> Iterator[None]:
    server = start_server(binaries, folder, account)
    try:
        yield
    finally:
        server.send_signal(2)
        server.wait(30)


def _fill(url: str, folder: Path) -> None:
    environment = {**os.environ, "AUTOTRADER_DATABASE_URL": url, "AUTOTRADER_STATE_DIR": str(folder / "state")}
    subprocess.run([sys.executable, "-m", "tests.crash.harness.template"], env=environment, check=True)
