"""Plays tasks on several job processes at a time; one that hangs is ended and replaced."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from autotrader.core.ops.children import die_with_parent, kill_session
from tests.crash.harness.environment import FACTOR
from tests.crash.harness.results import FULL_LENGTH, ROOT, Results
from tests.environment import fast_folder

HUNG = 300.0
START_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Task:
    """What one job is to play: a `cell`, a `seed` or a `probe`."""

    kind: str
    argument: str | int
    database: str

    @property
    def name(self) -> str:
        """Its name in the results."""
        return str(self.argument) if self.kind == "cell" else f"{self.kind}:{self.argument}:{self.database}"


class Hung(Exception):
    """A job gave no answer in time, or ended."""


class Jobs:
    """The templates of the databases, and as many jobs on each as are wanted."""

    def __init__(self, databases: Sequence[str], count: int, *, keep: bool, factor: str = FACTOR) -> None:
        """`databases` to make templates of, `count` jobs on each; `factor` of every pause."""
        self._databases = databases
        self._count = count
        self._keep = keep
        self._factor = factor
        self._folder = Path(tempfile.mkdtemp(prefix="autotrader-crash-", dir=fast_folder()))
        # PostgreSQL runs as nobody, who must be able to look into it.
        self._folder.chmod(0o755)
        self._lock = threading.Lock()
        self._running: set[Job] = set()
        self._stopped = False

    def __enter__(self) -> Jobs:
        from tests.crash.harness.databases import template

        self._templates = {name: template(name, self._folder / f"template-{name}") for name in self._databases}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keep:
            print(f"kept: {self._folder}")
        else:
            shutil.rmtree(self._folder, ignore_errors=True)

    def play(self, tasks: Iterable[Task], results: Results, until: float | None, *, again: bool) -> None:
        """Play the tasks in order on the jobs of their databases; none is begun after `until`."""
        waiting = {name: deque[Task]() for name in self._databases}
        for task in tasks:
            if again or not results.passed(task.name):
                waiting[task.database].append(task)
        threads = [
            threading.Thread(target=self._serve, args=(name, number, queue, results, until))
            for name, queue in waiting.items()
            for number in range(min(self._count, len(queue)))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self._stop()
            for thread in threads:
                thread.join()
            raise

    def _stop(self) -> None:
        """End every job; what they were at counts as not played."""
        with self._lock:
            self._stopped = True
            for job in self._running:
                job.kill()

    def play_at_full_length(self, task: Task, results: Results) -> None:
        """Play one cell with every lease, time-out and pause as long as in life."""
        name = f"{task.name}{FULL_LENGTH}"
        if results.passed(name):
            return
        job, outcome = self._ask(self._job(task.database, 0, factor="1"), task, 0)
        if job is not None:
            self._end(job)
        self._keep_outcome(Task("cell", name, task.database), {**outcome, "name": name}, results)

    def _serve(self, database: str, number: int, queue: deque[Task], results: Results, until: float | None) -> None:
        job: Job | None = None
        try:
            while until is None or time.monotonic() < until:
                with self._lock:
                    if not queue or self._stopped:
                        return
                    task = queue.popleft()
                job, outcome = self._ask(job, task, number)
                self._keep_outcome(task, outcome, results)
        finally:
            if job is not None:
                self._end(job)

    def _keep_outcome(self, task: Task, outcome: dict[str, Any], results: Results) -> None:
        with self._lock:
            if self._stopped:
                return
            if task.kind != "probe":
                results.add(outcome)
            elif outcome["state"] == "passed":
                results.add_probe(task.name, outcome["passes"])
        if outcome["state"] in ("failed", "error"):
            print(f"{outcome['state']}: {task.name} {outcome['detail']}", flush=True)

    def _ask(self, job: Job | None, task: Task, number: int) -> tuple[Job | None, dict[str, Any]]:
        """The task's outcome, and the job for the next one: a job that has failed is replaced."""
        began = time.monotonic()
        try:
            job = job or self._job(task.database, number)
            outcome = job.ask(task)
        except Hung as error:
            seconds = round(time.monotonic() - began, 1)
            outcome = {"name": task.name, "state": "error", "seconds": seconds, "detail": [str(error)], "passes": None}
        if outcome["state"] == "error" and job is not None:
            self._end(job)
            job = None
        return job, outcome

    def _job(self, database: str, number: int, factor: str = "") -> Job:
        folder = self._folder / f"{database}-{number}-{time.monotonic_ns()}"
        folder.mkdir()
        job = Job(database, self._templates[database], folder, keep=self._keep, factor=factor or self._factor)
        with self._lock:
            self._running.add(job)
        return job

    def _end(self, job: Job) -> None:
        job.end()
        with self._lock:
            self._running.discard(job)


class Job:
    """One job process."""

    def __init__(self, database: str, template: Path, folder: Path, *, keep: bool, factor: str) -> None:
        words = ["--database", database, "--template", str(template), "--folder", str(folder), "--factor", factor]
        self._said = folder.with_suffix(".log")
        self._log = self._said.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.harness.job", *words, *(["--keep"] if keep else [])],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=die_with_parent,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._read(START_LIMIT)

    def ask(self, task: Task) -> dict[str, Any]:
        """Have it played. Raises Hung."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({task.kind: task.argument}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Hung("the job has ended") from error
        return self._read(HUNG)

    def kill(self) -> None:
        """End it and what it has started, at once."""
        kill_session(self._process.pid)

    def end(self) -> None:
        """Let it end by itself, else end it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            kill_session(self._process.pid)
            self._process.wait(20)
        self._log.close()

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            kill_session(self._process.pid)
            raise Hung(f"the job gave no answer; it said: {self._said.read_text()[-500:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
