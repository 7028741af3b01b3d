"""A database that is missing, not prepared or out of reach ends a command in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, child_environment


def run(tmp_path: Path, url: str, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = child_environment(AUTOTRADER_STATE_DIR=str(tmp_path), AUTOTRADER_DATABASE_URL=url, **changes)
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, text=True, capture_output=True, timeout=120
    )


@pytest.mark.parametrize(
    ("url", "command", "named"),
    [
        pytest.param("sqlite:////nonexistent/x.db", "prepare", "/nonexistent/x.db", id="no such folder"),
        pytest.param("", "verify_audit", "autotrader.sqlite3", id="an empty state folder"),
        pytest.param("postgresql://desk:hidden@127.0.0.1:1/desk", "run_cycle", "desk at 127.0.0.1:1", id="no server"),
    ],
)
def test_the_sentence_names_the_database_and_the_fix(tmp_path: Path, url: str, command: str, named: str) -> None:
    done = run(tmp_path, url, command)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("database: ")
    assert named in line
    assert "manage.py prepare" in line
    assert "hidden" not in done.stdout + done.stderr


def test_the_traceback_is_there_for_who_asks(tmp_path: Path) -> None:
    done = run(tmp_path, "", "seed_demo", LOG_LEVEL="debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("database: ")
