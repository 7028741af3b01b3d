"""Real processes without the price of a start: forked from one that has imported everything and started nothing."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections

from autotrader.core.ops import crashpoints
from tests.crash.harness.board import ROLES, Board, Watch

_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
END_LIMIT = 10.0


@dataclass
class Forked:
    """One process of a cell."""

    role: str
    pid: int
    log: Path
    code: int | None = None

    @property
    def alive(self) -> bool:
        """False once it has ended; a stopped one lives."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    @property
    def last_words(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-300:].strip() if self.log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal if it lives."""
        if self.alive:
            os.kill(self.pid, number)

    def end(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False where it did not come."""
        until = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True


class Zygote:
    """Forks the processes of one cell after another. It must have no thread and no open connection when it does."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.living: list[Forked] = []
        self._count = 0
        gc.collect()
        gc.freeze()

    def fork(self, role: str, folder: Path, main: Callable[..., Any], *arguments: Any) -> Forked:
        """A process that runs `main` in that role; its output goes to a file of the folder."""
        connections.close_all()
        self._count += 1
        name = f"{role}-{self._count:03}"
        pid = os.fork()
        if not pid:
            self._child(role, folder, name, main, arguments)
        forked = Forked(role, pid, folder / f"{name}.log")
        self.living.append(forked)
        return forked

    def of(self, role: str) -> list[Forked]:
        """The living processes of a role, oldest first."""
        self.living = [forked for forked in self.living if forked.alive]
        return [forked for forked in self.living if forked.role == role]

    def end_all(self) -> None:
        """Leave no process behind."""
        for forked in self.living:
            forked.signal(signal.SIGKILL)
        for forked in self.living:
            forked.end()
        self.living.clear()

    def _child(self, role: str, folder: Path, name: str, main: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        code = 1
        try:
            self._become(role, folder, name)
            main(*arguments)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _become(self, role: str, folder: Path, name: str) -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        output = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["AUTOTRADER_PROCESS_ROLE"] = role
        settings.AUTOTRADER_MAY_OWN_BROKER = role == "broker"
        random.seed(os.getpid())
        if role in ROLES:
            crashpoints._watch = Watch(self.board, role, str(folder / f"{name}.passed"))  # type: ignore[assignment]
