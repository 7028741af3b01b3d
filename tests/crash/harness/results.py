"""What every run so far came to, in one file that continued runs add to, and the table made of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
# What a result holds for. Documents and tests may change without a new beginning, and so may what no process of a cell
# runs: the skins, and what only they use (tests/crash/test_results.py). Which harness judged it stands beside it, with
# the checks that the product runs on itself.
CODE = ("autotrader", "broker", "research", "trading")
HARNESS = ("tests/crash/harness",)
CHECKS = "trading/selectors/invariants.py"
SKINS = (
    "autotrader/asgi.py",
    "autotrader/core/live",
    "autotrader/core/ops/bodies.py",
    "autotrader/core/ops/lanes.py",
    "autotrader/core/ops/utc_times.py",
    "autotrader/core/rest",
    "autotrader/management",
    "autotrader/operations",
    "autotrader/static",
    "autotrader/static_src",
    "autotrader/urls.py",
    "broker/admin",
    "research/admin",
    "trading/admin",
    "trading/api",
    "trading/management",
    "trading/selectors/history.py",
    "trading/selectors/history_documents.py",
    "trading/selectors/history_stories.py",
    CHECKS,
    "trading/selectors/pages",
    "trading/web",
)
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})
STATES = ("passed", "failed", "error", "unreached", "skipped")
FULL_LENGTH = " at full length"
# Cells whose point is not always passed, each looked at, with why. Any other that is not reached proves nothing.
MAY_BE_UNREACHED: Mapping[str, str] = {}
MOST_UNREACHED = 2  # times that such a cell is played, over all parts
Passes = Mapping[str, Mapping[str, int]]


def build() -> str:
    """A digest of the code that is tried and of the packages' versions."""
    return _digest(hashlib.sha256((ROOT / "requirements.txt").read_bytes()), CODE)


def judge() -> str:
    """A digest of the harness and the checks."""
    return _digest(hashlib.sha256((ROOT / CHECKS).read_bytes()), HARNESS)


def _digest(digest: Any, folders: Iterable[str]) -> str:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and _counts(path):
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return str(digest.hexdigest())[:12]


def _counts(path: Path) -> bool:
    if path.suffix == ".pyc" or SKIPPED_FOLDERS & set(path.parts):
        return False
    return not any(path.is_relative_to(ROOT / skin) for skin in SKINS)


def commit() -> str:
    """The commit that is checked out, `+` where files differ from it; empty outside of git."""
    sha = _git("rev-parse", "--short=10", "HEAD").strip()
    return sha + ("+" if sha and _git("status", "--porcelain", "--", *CODE, *HARNESS) else "")


def _git(*words: str) -> str:
    done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


class Results:
    """The file: one JSON line an outcome, a probe or a part of a run. The newest line of a name counts."""

    def __init__(self, path: Path, code: str, *, may_skip: bool = False) -> None:
        """`code`: what `build` says; lines of other code are left aside. `may_skip`: what this machine cannot do is
        borne."""
        self.path = path
        self.code = code
        self._may_skip = may_skip
        self._unreached: Counter[str] = Counter()
        self._judge = judge()
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.probes: dict[str, Passes] = {}
        self.points: set[str] = set()
        self.parts: list[float] = []
        self.commits: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text().splitlines() if path.exists() else ():
            self._take(json.loads(line))

    def add(self, outcome: dict[str, Any]) -> None:
        """Keep an outcome, of its passes only which points were met for the first time."""
        passes = outcome.get("passes") or {}
        new = {point for counts in passes.values() for point in counts} - self.points
        self._append({key: value for key, value in outcome.items() if key != "passes"} | {"points": sorted(new)})

    def add_probe(self, name: str, passes: Passes) -> None:
        """Keep which points an operation passes without a fault."""
        self._append({"probe": name, "passes": passes})

    def add_part(self, seconds: float, sha: str) -> None:
        """Keep how long a part of the run took, and at which commit."""
        self._append({"part": round(seconds, 1), "commit": sha})

    def passed(self, name: str) -> bool:
        """Whether it need not be played again on this code."""
        state = self.outcomes.get(name, {}).get("state")
        if state == "unreached":
            return name in MAY_BE_UNREACHED or self._unreached[name] >= MOST_UNREACHED
        return state == "passed" or (state == "skipped" and self._may_skip)

    def bad(self) -> list[dict[str, Any]]:
        """What failed."""
        return [row for row in self.outcomes.values() if row["state"] in ("failed", "error")]

    def unproven(self) -> list[str]:
        """What did not fail and proves nothing all the same, in sentences."""
        by_state = {
            state: [name for name, row in self.outcomes.items() if row["state"] == state]
            for state in ("unreached", "skipped")
        }
        new = [name for name in by_state["unreached"] if name not in MAY_BE_UNREACHED and self._is_cell(name)]
        told = [f"NOT PROVEN: {name}: its point was not reached, and nobody has looked at why" for name in new]
        if by_state["skipped"] and not self._may_skip:
            told.append(f"NOT PROVEN: {len(by_state['skipped'])} cells were skipped; --allow-skipped bears that")
        return told

    def _is_cell(self, name: str) -> bool:
        """Whether the newest look at its operation passes its point; one on a busy machine may have passed others."""
        operation, role, point = f"{name}::".split(":")[:3]
        looks = [passes for probe, passes in self.probes.items() if probe.startswith(f"probe:{operation}:")]
        return not looks or any(point in passes.get(role, {}) for passes in looks)

    def _append(self, row: dict[str, Any]) -> None:
        row["code"], row["judge"] = self.code, self._judge
        with self.path.open("a") as handle:
            handle.write(json.dumps(row, sort_keys=True) + "\n")
        self._take(row)

    def _take(self, row: dict[str, Any]) -> None:
        if row.get("code") != self.code:
            return
        if "part" in row:
            self.parts.append(row["part"])
            self.commits += [row["commit"]] if row["commit"] not in self.commits else []
        elif "probe" in row:
            self.probes[row["probe"]] = row["passes"]
        else:
            self.outcomes[row["name"]] = row
            self._unreached[row["name"]] += row["state"] == "unreached"
            self.points |= set(row["points"])


def table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Operation × fault × database with the counts of each state."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for row in rows:
        counts.setdefault(_place(row["name"]), Counter())[row["state"]] += 1
    lines = [f"{'operation':<18}{'fault':<14}{'database':<12}" + "".join(f"{state:>11}" for state in STATES)]
    for (operation, fault, database), found in sorted(counts.items()):
        numbers = "".join(f"{found[state] or '':>11}" for state in STATES)
        lines.append(f"{operation:<18}{fault:<14}{database:<12}{numbers}")
    return lines


def _place(name: str) -> tuple[str, str, str]:
    if name.startswith("seed:"):
        return "seeds", "random", name.split(":")[2]
    operation, _, _, _, fault, database = name.removesuffix(FULL_LENGTH).split(":")
    return operation, f"{fault} 120 s" if name.endswith(FULL_LENGTH) else fault, database


def summary(results: Results) -> list[str]:
    """The table, the totals, the points, and how long everything and the last part took."""
    found = Counter(row["state"] for row in results.outcomes.values())
    seeds = sum(name.startswith("seed:") for name in results.outcomes)
    seconds = sum(row["seconds"] for row in results.outcomes.values())
    judges = Counter(row["judge"] for row in results.outcomes.values())
    played, wall = len(results.outcomes), sum(results.parts)
    return [
        *table(results.outcomes.values()),
        *(
            f"not reached: {name}: {MAY_BE_UNREACHED[name]}"
            for name, row in results.outcomes.items()
            if row["state"] == "unreached" and name in MAY_BE_UNREACHED
        ),
        *sorted({line for row in results.outcomes.values() if row["state"] == "skipped" for line in row["detail"]}),
        "",
        *(_unmet(results.points) if results.probes else ()),
        f"code {results.code}, at commit {', '.join(results.commits) or 'none'}: {played - seeds} cells and {seeds} "
        "seeds, " + ", ".join(f"{found[state]} {state}" for state in STATES),
        "by the harness " + ", ".join(f"{name} ({count})" for name, count in judges.items()),
        f"{wall:.0f} s of wall time over all {len(results.parts)} parts, {played / max(wall, 1):.2f} a second",
        f"{results.parts[-1] if results.parts else 0:.0f} s of it in the last part; {seconds:.0f} s over parallel jobs",
        *results.unproven(),
    ]


def _unmet(points: set[str]) -> list[str]:
    from autotrader.core.ops.crashpoints import POINTS
    from tests.crash.harness.matrix import COVERED

    left = sorted({name.removesuffix("_committed").removesuffix("_committing") for name in set(POINTS) - points})
    return [
        f"{len(points & set(POINTS))} of {len(POINTS)} points were passed",
        *(f"not in this run: {name}, covered by {COVERED.get(name, 'no test')}" for name in left),
    ]


def explained(row: dict[str, Any], code: str) -> list[str]:
    """A failure with the one command that replays it."""
    name = str(row["name"])
    kind, argument, *rest = name.removesuffix(FULL_LENGTH).split(":")
    replay = f"--seed {argument} --database {rest[0]}" if kind == "seed" else f"--cell {name.removesuffix(FULL_LENGTH)}"
    replay += " --factor 1" if name.endswith(FULL_LENGTH) else ""
    return [
        f"{row['state'].upper()} {name} in {code or 'this tree'}",
        *(f"  {line}" for line in row["detail"]),
        f"  replay: .venv/bin/python -m tests.crash.harness {replay} --keep",
    ]
