"""What every run so far came to, in one file that continued runs add to, and the table made of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
CODE = ("autotrader", "broker", "research", "trading", "tests/crash")
STATES = ("passed", "failed", "error", "unreached")


def build() -> str:
    """The commit, with a digest of what differs from it in the code that is tried."""
    sha = _git("rev-parse", "--short=12", "HEAD").strip()
    changed = _git("diff", "HEAD", "--", *CODE) + _git("status", "--porcelain", "--", *CODE)
    return sha + (f"+{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


class Results:
    """The file: one JSON line an outcome or a part of a run. The newest line of a name counts."""

    def __init__(self, path: Path, sha: str) -> None:
        self.path = path
        self.sha = sha
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.wall = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text().splitlines() if path.exists() else ():
            self._take(json.loads(line))

    def add(self, outcome: dict[str, Any]) -> None:
        """Keep an outcome."""
        self._append({**outcome, "sha": self.sha})

    def add_part(self, seconds: float) -> None:
        """Keep how long a part of the run took."""
        self._append({"part": round(seconds, 1), "sha": self.sha})

    def passed(self, name: str) -> bool:
        """Whether it need not be played again at this commit."""
        return self.outcomes.get(name, {}).get("state") in ("passed", "unreached")

    def bad(self) -> list[dict[str, Any]]:
        """What failed."""
        return [row for row in self.outcomes.values() if row["state"] in ("failed", "error")]

    def _append(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as handle:
            handle.write(json.dumps(row, sort_keys=True) + "\n")
        self._take(row)

    def _take(self, row: dict[str, Any]) -> None:
        if row.get("sha") != self.sha:
            return
        if "part" in row:
            self.wall += row["part"]
        else:
            self.outcomes[row["name"]] = row


def table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Operation × fault × database with the counts of each state."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for row in rows:
        counts.setdefault(_place(row["name"]), Counter())[row["state"]] += 1
    lines = [f"{'operation':<18}{'fault':<12}{'database':<12}" + "".join(f"{state:>11}" for state in STATES)]
    for (operation, fault, database), found in sorted(counts.items()):
        numbers = "".join(f"{found[state] or '':>11}" for state in STATES)
        lines.append(f"{operation:<18}{fault:<12}{database:<12}{numbers}")
    return lines


def _place(name: str) -> tuple[str, str, str]:
    if name.startswith("seed:"):
        return "seeds", "random", name.split(":")[2]
    operation, _, _, _, fault, database = name.split(":")
    return operation, fault, database


def summary(results: Results) -> list[str]:
    """The table, the totals and how long everything took."""
    found = Counter(row["state"] for row in results.outcomes.values())
    seeds = sum(name.startswith("seed:") for name in results.outcomes)
    seconds = sum(row["seconds"] for row in results.outcomes.values())
    played = len(results.outcomes)
    pace = f"{played / results.wall:.2f} a second" if results.wall else "no time"
    return [
        *table(results.outcomes.values()),
        "",
        f"commit {results.sha}: {played - seeds} cells and {seeds} seeds, "
        + ", ".join(f"{found[state]} {state}" for state in STATES),
        f"in {results.wall:.0f} s of wall time over all parts ({pace}), {seconds:.0f} s summed over parallel jobs",
    ]


def explained(row: dict[str, Any], sha: str) -> list[str]:
    """A failure with the one command that replays it."""
    kind, argument, *rest = str(row["name"]).split(":")
    replay = f"--seed {argument} --database {rest[0]}" if kind == "seed" else f"--cell {row['name']}"
    return [
        f"{row['state'].upper()} {row['name']} at {sha or 'this tree'}",
        *(f"  {line}" for line in row["detail"]),
        f"  replay: .venv/bin/python -m tests.crash.harness {replay} --keep",
    ]
