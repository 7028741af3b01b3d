"""`python -m tests.crash.harness.mutants`: plants known bugs, one at a time, in a copy of the tree, and reports whether
the harness catches each; exit 1 where one is missed or could not be planted."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tests.crash.harness.environment import set_up
from tests.crash.harness.planted import MUTANTS, Edit, Mutant

ROOT = Path(__file__).resolve().parents[3]
LIMIT = 180.0
WIDTH = 150
RULE = re.compile(r"^(I\d+|cancel|naked|work|not settled)\b")
# That a desk did not settle is no promise broken: a machine that is too busy may be all there is to it.
NO_PROOF = frozenset({"not settled"})
# What hangs for so long hangs for good: a planted bug is judged sooner than a sound tree.
HASTE = Edit("tests/crash/harness/running.py", "SETTLE_LIMIT = 40.0\n", "SETTLE_LIMIT = 12.0\n")


class NotPlanted(Exception):
    """The text to be changed is not in the tree exactly once, or the harness cannot start on what came of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the harness said of a planted bug: by which rules and after how many cells, or `problem`."""

    name: str
    seconds: float
    caught: bool = False
    cells: int = 0
    rules: tuple[str, ...] = ()
    detail: tuple[str, ...] = ()
    problem: str = ""

    def __str__(self) -> str:
        said = f"caught by {', '.join(self.rules)} in cell {self.cells}" if self.caught else f"missed in {self.cells}"
        facts = "".join(f"\n    {text[:WIDTH]}" for text in self.detail)
        return f"{self.name:<34}{self.problem or said}  ({self.seconds:.0f} s){facts}"


def main() -> int:
    """Plant each; 0 where every one was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.harness.mutants", description=__doc__)
    parser.add_argument("--only", action="append", help="only the mutants of these names")
    parser.add_argument("--no-control", action="store_true", help="do not play the cells on the sound tree first")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    chosen = [
        replace(row, tasks=resolved(row.tasks)) for row in MUTANTS if not arguments.only or row.name in arguments.only
    ]
    with tempfile.TemporaryDirectory(prefix="autotrader-mutants-") as folder:
        tree = copied(Path(folder) / "tree")
        bad = [] if arguments.no_control else control(tree, chosen, arguments.jobs)
        verdicts = []
        for row in chosen:
            verdicts.append(judged(tree, row, arguments.jobs))
            print(verdicts[-1], flush=True)
    return report(verdicts, bad)


def report(verdicts: Sequence[Verdict], bad: Sequence[str]) -> int:
    """The last lines, and the exit code."""
    caught = sum(verdict.caught for verdict in verdicts)
    for line in bad:
        print(f"the sound tree fails this cell, so what it catches proves nothing: {line}")
    missed = [verdict.name for verdict in verdicts if not verdict.caught]
    if missed:
        print(f"missed: {', '.join(missed)}")
    print(f"mutants: {caught} of {len(verdicts)}")
    return 1 if missed or bad else 0


def copied(tree: Path) -> Path:
    """A copy of what git knows and of what is new here."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    return tree


SEEDS_TRIED = 400
LINKED_SEEDS = 6


def resolved(tasks: Iterable[str]) -> tuple[str, ...]:
    """The tasks, with the first seeds that fit in place of each `link:what:database`."""
    found: list[str] = []
    for task in tasks:
        kind, what, *rest = task.split(":")
        found += [f"seed:{seed}:{rest[0]}" for seed in _linked(what)] if kind == "link" else [task]
    return tuple(found)


def _linked(what: str) -> list[int]:
    """Stories in which orders fare like that while the link is down."""
    set_up()
    from tests.crash.harness.seeds import story

    told = (seed for seed in range(1, SEEDS_TRIED) if any(link.get("orders") == what for link in story(seed).links))
    return list(islice(told, LINKED_SEEDS))


def control(tree: Path, mutants: Iterable[Mutant], jobs: int) -> list[str]:
    """The names of the cells that fail although nothing is planted."""
    bad: list[str] = []
    for scene in sorted({row.scene for row in mutants}, key=len):
        tasks = sorted({task for row in mutants if row.scene == scene for task in row.tasks})
        with planted(tree, scene):
            bad += [row["name"] for row in played(tree, tasks, jobs, LIMIT * 3) if row["state"] != "passed"]
    print(f"control: {len(bad)} cells fail on the sound tree", flush=True)
    return bad


def judged(tree: Path, mutant: Mutant, jobs: int) -> Verdict:
    """Plant it, play its cells, take it out again."""
    began = time.monotonic()
    try:
        with planted(tree, (HASTE, *mutant.scene, *mutant.edits)):
            rows = played(tree, mutant.tasks, jobs, LIMIT)
    except NotPlanted as error:
        return Verdict(mutant.name, time.monotonic() - began, problem=f"not planted: {error}")
    return weighed(mutant.name, rows, time.monotonic() - began)


def weighed(name: str, rows: Sequence[dict[str, Any]], seconds: float) -> Verdict:
    """What the outcomes say. A tree on which no cell could run has not been tried."""
    if not any(row["state"] in ("passed", "failed") for row in rows):
        states = Counter(row["state"] for row in rows)
        return Verdict(name, seconds, problem=f"not planted: no cell ran ({dict(states)})")
    for number, row in enumerate(rows, start=1):
        found = sorted({match[1] for text in row["detail"] if (match := RULE.match(text))})
        if row["state"] == "failed" and set(found) - NO_PROOF:
            facts = _one_a_rule(row["detail"])
            return Verdict(name, seconds, caught=True, cells=number, rules=tuple(found), detail=facts)
    return Verdict(name, seconds, cells=len(rows))


def _one_a_rule(detail: Iterable[str]) -> tuple[str, ...]:
    """The first sentence of each rule."""
    first: dict[str, str] = {}
    for text in detail:
        found = RULE.match(text)
        first.setdefault(found[1] if found else text, text)
    return tuple(first.values())


class planted:
    """The edits in the tree for the length of a block. Raises NotPlanted where a text is not there exactly once."""

    def __init__(self, tree: Path, edits: Sequence[Edit]) -> None:
        self._tree = tree
        self._edits = edits
        self._before: dict[Path, str] = {}

    def __enter__(self) -> None:
        try:
            for edit in self._edits:
                self._apply(edit)
        except BaseException:
            self._restore()
            raise

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _apply(self, edit: Edit) -> None:
        path = self._tree / edit.path
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise NotPlanted(f"{edit.path} has {text.count(edit.old)} times {edit.old.strip().splitlines()[0]!r}")
        self._before.setdefault(path, text)
        path.write_text(text.replace(edit.old, edit.new))
        compile(path.read_text(), edit.path, "exec")

    def _restore(self) -> None:
        for path, text in self._before.items():
            path.write_text(text)


def played(tree: Path, tasks: Sequence[str], jobs: int, limit: float) -> list[dict[str, Any]]:
    """The outcomes of cells (by name) and seeds (`seed:number:database`), in the order in which they ended."""
    results = tree.parent / f"results-{time.monotonic_ns()}.jsonl"
    words = ["--results", str(results), "--jobs", str(jobs)]
    for task in tasks:
        kind, number, *_ = task.split(":")
        words += ["--seed", number] if kind == "seed" else ["--cell", task]
    for database in sorted({task.rpartition(":")[2] for task in tasks}):
        words += ["--database", database]
    command = [sys.executable, "-m", "tests.crash.harness", *words]
    output = results.with_suffix(".out").open("w")
    with output, subprocess.Popen(command, cwd=tree, stdout=output, stderr=output, start_new_session=True) as process:
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            process.terminate()
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    outcomes = [row for row in rows if "state" in row]
    if not outcomes:
        raise NotPlanted(results.with_suffix(".out").read_text()[-300:])
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
