"""The desk of a cell: its folder, database, gateway and processes, started and restarted by the usual path."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections

from autotrader.core.clock import system_now
from broker import gates, latch
from broker.service import run as owner_process
from tests.crash.harness import operations, provider, quiet, reader
from tests.crash.harness.board import ROLES, Board
from tests.crash.harness.databases import Database
from tests.crash.harness.gateway import HOST, Gateway
from tests.crash.harness.processes import Forked, Zygote

READY_LIMIT = 30.0
READER_LIMIT = 10.0
POLL = 0.01


class NotStarted(Exception):
    """The harness could not bring a cell to its beginning."""


class Desk:
    """Everything that one cell runs on."""

    def __init__(self, zygote: Zygote, database: Database, folder: Path) -> None:
        self.folder = folder
        self.database = database
        self.board: Board = zygote.board
        self._zygote = zygote
        self.gateway = Gateway(zygote, folder)
        self.operator: Forked | None = None
        self.owner_stopped = False
        self.halted_at: datetime | None = None

    def open(self) -> None:
        """Begin with fresh rows, a gateway and a broker that is ready."""
        for role in ROLES:
            self.board.disarm(role)  # a point that the cell before this one never reached
        self.database.renew(self.folder)
        settings.AUTOTRADER_STATE_DIR = self.folder
        settings.AUTOTRADER_ANCHOR_DIR = str(self.folder / "anchors")
        settings.AUTOTRADER_BROKER_SECRET = "secret of this cell"
        self.gateway.start()
        settings.AUTOTRADER_BROKER_HOST, settings.AUTOTRADER_BROKER_PORT = HOST, self.gateway.port
        self.start_broker()
        self._start_reader()
        self.await_broker()

    def start_broker(self) -> Forked:
        """The owner's process, as run_broker begins it."""
        self.gateway.hang_up()
        return self._zygote.fork("broker", self.folder, _own, self.board)

    def await_broker(self) -> None:
        """Wait until the newest broker is ready. Raises NotStarted."""
        until = time.monotonic() + READY_LIMIT
        while not self.is_ready:
            if time.monotonic() > until or not self._zygote.of("broker"):
                raise NotStarted("the broker was not ready")
            time.sleep(POLL)

    @property
    def is_ready(self) -> bool:
        """Whether the newest broker has compared its first look at the book."""
        brokers = self._zygote.of("broker")
        return bool(brokers) and self.board.signed("broker") == brokers[-1].pid

    def operate(self, name: str, number: int = 1) -> None:
        """Fork the operation's process and wait until it is about to begin. Raises NotStarted."""
        self.gateway.hang_up()
        self.board.arm(operations.START, operations.START, action="meet")
        operation = operations.OPERATIONS[name]
        if operation.asks_model:
            self._start_provider()
        self.operator = self._zygote.fork(operation.role, self.folder, operations.perform, name, number, self.board)
        while not self.board.reached(operations.START):
            if not self.operator.alive:
                raise NotStarted(f"{name} ended before it began: {self.operator.last_words}")
            time.sleep(POLL)
        if operation.worker:
            self.start_worker()

    def _start_provider(self) -> None:
        """The model that the operation asks, once a cell. Raises NotStarted."""
        if not self._zygote.of("provider"):
            self._zygote.fork("provider", self.folder, provider.serve, self.folder)
            if not wait_for(lambda: provider.address(self.folder), READER_LIMIT):
                raise NotStarted("the model's provider did not start")
        settings.AUTOTRADER_AI_MODEL, settings.OPENAI_API_BASE = "loopback", provider.address(self.folder)

    def halt(self) -> None:
        """Halt, as a person does; returns once the file is in force, the row may take longer. Raises NotStarted."""
        self.gateway.hang_up()
        self._zygote.fork("halt", self.folder, _halt)
        if not wait_for(lambda: latch.read(self.folder) is not None, READER_LIMIT):
            raise NotStarted("nothing was halted")
        self.halted_at = self.halted_at or system_now()

    def begin(self) -> None:
        """Let the operation begin."""
        self.board.go_on(operations.START)

    def start_worker(self) -> Forked:
        """A worker that stays."""
        self.gateway.hang_up()
        return self._zygote.fork("worker", self.folder, operations.keep_working)

    def start_retry(self, name: str, number: int = 1) -> Forked:
        """The client of a request asks again with the same key."""
        self.gateway.hang_up()
        return self._zygote.fork("web", self.folder, operations.OPERATIONS[name].run, number)

    def restore(self) -> None:
        """Start again whatever has ended: gateway, then broker."""
        if not self.gateway.alive:
            self.gateway.start()
        if not self._zygote.of("broker"):
            self.start_broker()
        if not self._zygote.of("reader"):
            self._start_reader()

    def _start_reader(self) -> None:
        self.gateway.hang_up()
        self._zygote.fork("reader", self.folder, _follow, self.reader_log, self.reader_end)

    def freeze(self) -> None:
        """Let nobody write any more, and the live reader see what there is."""
        for forked in self.processes("web", "worker", "broker"):
            forked.end()
        self.reader_end.touch()
        for forked in self.processes("reader"):
            forked.wait(READER_LIMIT)

    @property
    def reader_log(self) -> Path:
        """What the live reader saw."""
        return self.folder / "reader.log"

    @property
    def reader_end(self) -> Path:
        """Where this lies, the reader ends once it has seen all."""
        return self.folder / "reader.end"

    def processes(self, *roles: str) -> list[Forked]:
        """The living processes of these roles."""
        return [forked for role in roles for forked in self._zygote.of(role)]

    def passes(self) -> dict[str, dict[str, int]]:
        """How often each point was passed, by role, over all processes of the cell."""
        found: dict[str, Counter[str]] = {}
        for path in sorted(self.folder.glob("*.passed")):
            found.setdefault(path.name.partition("-")[0], Counter()).update(path.read_text().split())
        return {role: dict(counts) for role, counts in found.items()}

    def quiet(self) -> dict[str, Any]:
        """What is not settled; empty where the desk agrees with the gateway. A database that is away is unsettled."""
        if not self.is_ready:
            return {"broker": "has not looked at the book yet"}
        try:
            found = quiet.open_work()
            if not found:
                found = quiet.differences(self.gateway.truth())
        except (DatabaseError, OSError) as error:
            connections.close_all()
            self.gateway.hang_up()
            return {"asking": repr(error)}
        return found

    def close(self) -> None:
        """End every process."""
        self.gateway.hang_up()
        self._zygote.end_all()
        self.database.start()
        connections.close_all()


def _halt() -> None:
    gates.halt_set("HALTED", "harness", "a fault", cancel="entries")


def _follow(log: Path, end: Path) -> None:
    reader.follow(log, ends=end.exists)


def _own(board: Board) -> None:
    sys.argv = ["manage.py", "run_broker"]

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        if "ready" in line:
            board.sign("broker", os.getpid())

    owner_process.run(say)


@contextmanager
def desk(zygote: Zygote, database: Database, folder: Path, *, keep: bool) -> Iterator[Desk]:
    """A desk in a new folder, which goes afterwards unless it is to be kept."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = Desk(zygote, database, folder)
    try:
        yield made
    finally:
        made.close()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def wait_for(done: Callable[[], object], seconds: float) -> bool:
    """Ask until the answer is true; False where it was not within so many seconds."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(POLL)
    return True
