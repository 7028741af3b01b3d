"""How long a whole cycle takes, for a person at the prompt and for one symbol."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from functools import cache
from typing import Any

from tests.bench.frame import Measured, bench, median_of
from tests.support import ROOT


@cache
def prepared() -> None:
    """The database and the demo strategy in the bench's own state folder."""
    run(sys.executable, "manage.py", "prepare")


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True).stdout


@bench("make cycle, warm, three symbols", target=15)
def make_cycle() -> Measured:
    prepared()
    return median_of(lambda: run("make", "cycle"), rounds=3)


@bench("one symbol of a cycle, without a model", target=0.6)
def symbol() -> Measured:
    prepared()
    executions: list[dict[str, Any]] = []
    for _ in range(3):
        executions += json.loads(run(sys.executable, "manage.py", "run_cycle", "--json"))["executions"]
    return Measured(statistics.median(sum(step["ms"] for step in row["steps"]) / 1000 for row in executions))
