"""A migrated database, keys to it, and a web process of its own on a free port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil

from tests import environment
from tests.postgres import cluster
from tests.support import ROOT, eventually

STREAMS_A_KEY = 5
# A loader and a server with a thousand sockets each.
FILES = 8192


@dataclass(frozen=True)
class House:
    """One database and the environment of the processes that use it."""

    vendor: str
    environment: dict[str, str]

    def run(self, *command: str) -> None:
        """One of our programs, to its end; what it says is shown only where it fails."""
        told = subprocess.run(
            (sys.executable, *command), env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if told.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {told.returncode}:\n{told.stdout}{told.stderr}")

    @contextmanager
    def writing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`tests.load.writer` beside us; its lines are read from stdout."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.load.writer", *arguments],
            env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def web(self) -> Iterator[Web]:
        """The web process, ready to answer; ended afterwards."""
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
        told = {**self.environment, "AUTOTRADER_PROCESS_ROLE": "web"}
        log = Path(told["AUTOTRADER_STATE_DIR"]) / "web.log"
        with log.open("ab") as out:
            process = subprocess.Popen([*command, "autotrader.asgi:application"], env=told, cwd=ROOT, stderr=out)
        try:
            eventually(lambda: _listens(port), 60)
            yield Web(port, psutil.Process(process.pid), self.vendor)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@dataclass(frozen=True)
class Web:
    """The process under load."""

    port: int
    process: psutil.Process
    vendor: str

    def memory_mb(self) -> float:
        """What it holds in memory."""
        return self.process.memory_info().rss / 1e6

    def threads(self) -> int:
        """All of its threads."""
        return self.process.num_threads()

    def connections(self) -> int:
        """Its connections to the database: files of SQLite's, sessions of PostgreSQL's but ours. Not from a loop."""
        if self.vendor == "sqlite":
            return sum(file.path.endswith(".sqlite3") for file in self.process.open_files())
        from django.db import connection

        # The server's own workers, such as one that cleans up, are nobody's connections.
        mine = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}")
            count: int = cursor.fetchone()[0]
        connection.close()
        return count

    def cpu_s(self) -> float:
        """Processor seconds so far."""
        times = self.process.cpu_times()
        return times.user + times.system


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def house(vendor: str) -> Iterator[House]:
    """A fresh database; this process's Django uses it too, so a process can have one house only."""
    _allow_files()
    folder = Path(tempfile.mkdtemp(prefix="autotrader-load-", dir=environment.fast_folder()))
    os.environ["AUTOTRADER_TEST_FOLDER"] = str(folder)
    environment.prepare()
    try:
        if vendor == "postgresql":
            with cluster() as url:
                yield _moved_in(vendor, url)
        else:
            yield _moved_in(vendor, f"sqlite:///{folder / 'load.sqlite3'}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _moved_in(vendor: str, url: str) -> House:
    os.environ |= {"AUTOTRADER_DATABASE_URL": url, "LOG_LEVEL": "error", "AUTOTRADER_LOG_DIR": "none"}
    found = House(vendor, dict(os.environ))
    found.run("manage.py", "migrate", "--verbosity", "0")
    import django

    django.setup()
    return found


def _allow_files() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


def keys(count: int) -> list[str]:
    """So many keys of one who may read everything."""
    from autotrader.core.clock import system_now
    from autotrader.core.users.keys import Terms, key_create
    from autotrader.core.users.models import User

    user, _ = User.objects.get_or_create(username="load", is_superuser=True)
    terms = Terms("load", ("read",), system_now() + timedelta(days=1), requests_per_minute=60_000)
    return [key_create(terms, user=user, actor="load")[1] for _ in range(count)]


def cookies(count: int) -> list[str]:
    """The cookies of so many people who may read everything, each with a session of their own."""
    from django.test import Client

    from autotrader.core.users.models import User

    found = []
    for number in range(count):
        user, _ = User.objects.get_or_create(username=f"page-{number}", is_staff=True, is_superuser=True)
        client = Client()
        client.force_login(user)
        found.append(f"sessionid={client.cookies['sessionid'].value}")
    return found


def head() -> int:
    """The last event's number."""
    from autotrader.core.audit.models import AuditHead

    return AuditHead.objects.get().seq
