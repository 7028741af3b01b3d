"""The lines of the README that a newcomer copies, run as they are printed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support import ROOT

BLOCK = re.compile(r"^## For programs$.*?^```sh$(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"


def script(address: str) -> str:
    """The block of the API, for a desk at `address`; what each request was answered follows the line `--- <path>`."""
    found = BLOCK.search((ROOT / "README.md").read_text())
    assert found is not None, "the README has no block for programs"
    assert ADDRESS in found[1]
    return found[1].replace(ADDRESS, address)


def run(folder: Path, address: str, environment: Mapping[str, str]) -> list[str]:
    """Run the block in an empty folder that looks like the project's; what each curl line was answered, in order."""
    (folder / "var").mkdir()
    for name in (".venv", "manage.py"):
        (folder / name).symlink_to(ROOT / name)
    lines = [
        f"{line} > answer-{number}.txt" if line.startswith("curl") and "| tee" not in line else line
        for number, line in enumerate(script(address).splitlines())
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    kept = sorted(folder.glob("answer-*.txt"), key=lambda path: int(path.stem.partition("-")[2]))
    named = [(folder / "var" / name).read_text() for name in ("quote.json", "placed.json")]
    assert done.returncode == 0, done.stderr
    return named + [path.read_text() for path in kept]
