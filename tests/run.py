"""`make test`: every stage with its time, the ten slowest tests, one closing line; exit 1 if anything failed."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests.environment import CHROMIUM, FOLDER, OURS, fast_folder
from tests.postgres import cluster

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PARALLEL = ("-n", "2", "--dist", "worksteal")
CONTRACTS = (str(BIN / "lint-imports"), "--no-logo")
LINT: tuple[tuple[str, ...], ...] = (
    (str(BIN / "ruff"), "check", "--quiet"),
    (str(BIN / "ruff"), "format", "--check", "--quiet"),
    (str(BIN / "mypy"), "--no-error-summary"),
    CONTRACTS,
    (sys.executable, "manage.py", "makemigrations", "--check", "--dry-run", "--verbosity", "0"),
)


@dataclass
class Lint:
    """Whether all were content, what they said, and how long it took."""

    ok: bool
    text: str
    seconds: float


@dataclass
class Report:
    """What the stages said."""

    stages: list[tuple[str, float, bool]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})
    tests: list[tuple[float, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(ok for _, _, ok in self.stages)

    def read(self, path: Path, stage: str) -> None:
        """Add the counts and times of a pytest run's JUnit file."""
        for case in ElementTree.parse(path).iter("testcase"):
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            self.counts[outcome] += 1
            name = f"{case.get('classname', '')}::{case.get('name', '')} [{stage}]"
            self.tests.append((float(case.get("time", 0)), name))


def main() -> int:
    """Run the stages in order; a failing one does not stop the next, so that one run tells everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--started", type=float, default=time.time(), help="when the set-up began, in Unix seconds")
    parser.add_argument("--lint-only", action="store_true")
    arguments = parser.parse_args()
    # So that a run that is told to end still stops its PostgreSQL.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    report = Report()
    if arguments.lint_only:
        _note(report, _lint(LINT))
    else:
        report.stages.append(("set-up", time.time() - arguments.started, True))
        # One folder for all stages: the first test database that is migrated serves them all as a template.
        with (
            tempfile.TemporaryDirectory(prefix="autotrader-test-", dir=fast_folder()) as folder,
            ThreadPoolExecutor(1) as beside,
        ):
            _test_stages(report, Path(folder), beside.submit(_beside))
    _print(report, None if arguments.lint_only else time.time() - arguments.started)
    return 0 if report.ok else 1


def _test_stages(report: Report, folder: Path, beside: Future[Lint]) -> None:
    suite = ("not browser", "not crash", "not live_tws", "not live_model")
    on_sqlite = (*PARALLEL, "-m", " and ".join((*suite, "not postgres")))
    on_postgres = (*PARALLEL, "--database-tests-only", "-m", " and ".join(suite))
    on_processes = (*PARALLEL, "-m", "browser or crash", *_naming("browser", "crash"))

    def postgres() -> bool:
        with cluster() as url:
            return _pytest(report, folder, "PostgreSQL", on_postgres, AUTOTRADER_DATABASE_URL=url)

    _stage(report, "SQLite", lambda: _pytest(report, folder, "SQLite", on_sqlite))
    _note(report, beside.result())
    _stage(report, "PostgreSQL", postgres)
    _stage(report, "processes", lambda: _pytest(report, folder, "processes", on_processes))


def _stage(report: Report, name: str, run: Callable[[], bool]) -> None:
    print(f"\n== {name} ==", flush=True)
    started = time.monotonic()
    ok = run()
    report.stages.append((name, time.monotonic() - started, ok))


def _naming(*markers: str) -> list[str]:
    """The test files that name one of these markers; the others need not be read (tests/conftest.py sees to it)."""
    named = re.compile(rf"\bmark\.({'|'.join(markers)})\b")
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in files if named.search(path.read_text())]


def _beside() -> Lint:
    """What needs no database, while the first tests run: Chromium, ruff and mypy. The contracts are among the tests."""
    _install_chromium()
    return _lint([command for command in LINT if command is not CONTRACTS])


def _lint(commands: Sequence[Sequence[str]]) -> Lint:
    began, environment = time.monotonic(), _environment(AUTOTRADER_ENV_FILE="none")
    done = [
        subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        for command in commands
    ]
    text = "".join(one.stdout + one.stderr for one in done)
    return Lint(not any(one.returncode for one in done), text, time.monotonic() - began)


def _note(report: Report, lint: Lint) -> None:
    """Tell what was said meanwhile."""
    print(f"\n== lint ==\n{lint.text}", end="", flush=True)
    report.stages.append(("lint", lint.seconds, lint.ok))


def _pytest(report: Report, folder: Path, stage: str, options: Sequence[str], **environment: str) -> bool:
    results = folder / f"{stage}.xml"
    command = (sys.executable, "-m", "pytest", "-q", f"--junitxml={results}", *options)
    code = _run(command, _environment(**{FOLDER: str(folder)}, **environment))
    if results.exists():
        report.read(results, stage)
    return code == 0


def _environment(**changes: str) -> dict[str, str]:
    """This environment without the developer's settings, which would decide which database the suite runs on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    if "AUTOTRADER_REQUIRE_BROWSER" in os.environ:
        kept["AUTOTRADER_REQUIRE_BROWSER"] = os.environ["AUTOTRADER_REQUIRE_BROWSER"]
    return {**kept, **changes}


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def _install_chromium() -> None:
    """Chromium from apt where that is possible; else one line, and the browser tests skip."""
    if CHROMIUM.exists():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run(("apt-get", "update", "-qq"), environment)
        _run(("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"), environment)
    if not CHROMIUM.exists():
        print(f"no Chromium at {CHROMIUM}: the browser tests skip (as root: apt-get install chromium)", flush=True)


def _print(report: Report, total: float | None) -> None:
    """`total`: the seconds of a whole run; None where no test was played."""
    if total is not None:
        print("\nslowest tests")
        for seconds, name in sorted(report.tests, reverse=True)[:10]:
            print(f"  {seconds:7.2f} s  {name}")
    print("\nstages")
    for name, seconds, ok in report.stages:
        print(f"  {seconds:7.1f} s  {name:<12}{'ok' if ok else 'FAILED'}")
    if total is not None:
        print(f"\n{', '.join(f'{count} {word}' for word, count in report.counts.items())} in {total:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
