"""The thread `halting` of the owner: watches the file latch, ends what it wants ended, keeps row and file agreed."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

from django.db import DatabaseError

from autotrader.core.clock import system_now
from autotrader.core.ops.pace import paced
from broker import halts, types
from broker.errors import BrokerError
from broker.ib.client import IbClient
from broker.latch import Latch
from broker.service.kill import BETWEEN_LOOKS, Run, end_of_run, progress_of, report_of
from broker.service.wishes import Wishes
from broker.service.writer import Writer

logger = logging.getLogger(__name__)
POLL = 0.05
SYNC_EVERY = 1.0
RETRY = 0.3
UNPROVEN_AFTER = 60.0


class Halting:
    """Goes on with cancels that an earlier owner left unfinished, before anything else. Asks no database itself."""

    def __init__(self, client: IbClient, writer: Writer, state_dir: Path, name: str) -> None:
        self._client = client
        self._writer = writer
        self._wishes = Wishes(state_dir)
        self._name = name
        self._run: Run | None = None
        self._run_name = ""
        self._began = 0.0
        self._alarmed = False
        self._problem = ""
        self._synced = float("-inf")
        self._syncing = False
        self._wake = threading.Event()
        self._stopping = False
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._watch, name="halting", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def kill(self, request: types.Kill, limit: float) -> types.KillReport:
        """Halt by this owner's file and wait for the end of the cancels; a run that is under way is joined.

        What a full disk does not take into the file is done all the same, by the request itself.
        """
        run, unwritten = self._wishes.take(request)
        self._wake.set()
        with self._moved:
            self._moved.wait_for(lambda: self._is_done(run), min(limit, request.wait_s))
        now = self._wishes.of(run)
        if now is None:
            problem = unwritten or "the halt was released meanwhile"
            return types.KillReport(run, request.cancel, self._name, 0, 0, (), (), done=False, problem=problem)
        report = report_of(now, self._problem or now.problem)
        return replace(report, done=False, problem=unwritten) if unwritten else report

    def _is_done(self, run: str) -> bool:
        found = self._wishes.of(run)
        return found is None or not found.is_cancelling

    def _watch(self) -> None:
        pause = 0.0
        while not self._stopping:
            self._wake.wait(pause)
            self._wake.clear()
            try:
                pause = self._look()
            except Exception:
                # Whatever it is, the halt stands, and the next look may succeed.
                logger.exception("the kill switch's cancels failed")
                pause = RETRY

    def _look(self) -> float:
        """One look at the file, and one step of its run; the seconds until the next."""
        found = self._wishes.now()
        pause = POLL
        if found is not None and found.is_cancelling:
            pause = self._step(found)
        self._sync(hurry=found is not None and found.is_cancelling)
        return pause

    def _step(self, found: Latch) -> float:
        if self._run is None or self._run_name != found.run:
            self._run, self._run_name = Run(self._client, found), found.run
            self._began, self._alarmed, self._problem = time.monotonic(), False, ""
            found = self._note(found, owner=self._name) or found
        try:
            is_done = self._run.step()
            self._problem = ""
        except BrokerError as error:
            is_done, self._problem = False, error.message
        self._keep(found, self._run, is_done)
        if not is_done and not self._alarmed and time.monotonic() - self._began > paced(UNPROVEN_AFTER):
            self._alarmed = True
            self._report(self._run, done=False)
        return paced(RETRY) if self._problem else paced(BETWEEN_LOOKS)

    def _keep(self, found: Latch, run: Run, is_done: bool) -> None:
        progress = progress_of(run) | (end_of_run() if is_done else {})
        if not self._problem and found.asked_at is None:
            progress["asked_at"] = system_now()
        if any(getattr(found, name) != value for name, value in progress.items()):
            self._note(found, **progress)
        if is_done:
            self._report(run, done=True)

    def _note(self, found: Latch, **progress: object) -> Latch | None:
        latch = self._wishes.note(found.run, **progress)
        with self._moved:
            self._moved.notify_all()
        return latch

    def _report(self, run: Run, *, done: bool) -> None:
        account, now = self._client.state().account, self._client.known_now()
        detail = "the broker's book shows none of them working" if done else self._problem or "they still work"
        counts = (run.asked, run.confirmed, run.working)
        self._writer.put(types.CancelsReport(account, self._run_name, run.cancel, *counts, done, detail, now))

    def _sync(self, *, hurry: bool) -> None:
        """Let the writer's thread put row and file in order; one such job waits at a time."""
        now = time.monotonic()
        if self._syncing or (not hurry and now - self._synced < paced(SYNC_EVERY)):
            return
        self._syncing, self._synced = True, now
        self._writer.submit(self._sync_now)

    def _sync_now(self) -> None:
        try:
            halts.halt_sync(kept=self._wishes.kept())
        except DatabaseError as error:
            logger.info("row and file of the Halt were not compared: %s", error)
        finally:
            self._syncing = False
