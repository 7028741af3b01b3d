"""The import contracts hold, and each of them catches what it forbids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.timeout(400)
PACKAGES = ("autotrader", "trading", "research", "broker")
# For each contract a module, made or extended in a copy of the house, with an import it forbids.
VIOLATIONS = {
    "site above trading above broker and research above core": ("broker/errors.py", "import trading.models"),
    "every module of autotrader has a floor": ("autotrader/attic.py", ""),
    "floors of trading": ("trading/models/account.py", "import trading.apps"),
    "floors of broker": ("broker/types.py", "import broker.port"),
    "floors of research": ("research/types.py", "import research.facade"),
    "trading enters broker by get_broker, port, types, errors and gates": (
        "trading/apps.py",
        "import broker.paper_gateway",
    ),
    "trading enters research by its facade and types": ("trading/apps.py", "import research.indicators"),
    "only broker.ib imports ib_insync or ib_async": ("broker/apps.py", "import ib_insync"),
    "only research.llm imports openai": ("research/levels.py", "import openai"),
    "the paper gateway imports nothing of ours and no client library": (
        "broker/paper_gateway/types.py",
        "import broker.types",
    ),
}


def lint(folder: Path) -> dict[str, str]:
    """Each contract's name and whether it is KEPT or BROKEN."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    lines = [line.split(" (")[0].rsplit(" ", 1) for line in result.stdout.splitlines()]
    verdicts = {line[0]: line[1] for line in lines if line[-1] in {"KEPT", "BROKEN"}}
    assert verdicts, result.stdout + result.stderr
    return verdicts


def test_every_contract_is_kept() -> None:
    broken = [name for name, verdict in lint(ROOT).items() if verdict != "KEPT"]
    assert broken == [], "run lint-imports to see why"


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The verdicts on a copy of the house in which every contract is violated once."""
    folder = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / ".importlinter", folder)
    for name, statement in VIOLATIONS.values():
        path = folder / name
        path.write_text(f"{path.read_text() if path.exists() else ''}\n{statement}\n")
    return lint(folder)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_planted_violation_is_caught(spoiled: dict[str, str], contract: str) -> None:
    assert spoiled[contract] == "BROKEN"


def test_no_contract_is_without_its_violation(spoiled: dict[str, str]) -> None:
    assert set(spoiled) == set(VIOLATIONS)
