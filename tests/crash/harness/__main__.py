"""`python -m tests.crash.harness`: the matrix and the seeds, continued where an earlier run stopped."""

from __future__ import annotations

import argparse
import gzip
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.crash.harness import matrix
from tests.crash.harness.environment import FACTOR
from tests.crash.harness.jobs import Jobs, Task
from tests.crash.harness.names import OPERATIONS
from tests.crash.harness.results import ROOT, Results, build, commit, explained, summary

FILE = ROOT / ".make" / "crash" / "results.jsonl"
# What was played so far, for whoever goes on elsewhere: the file above, packed. Lines of other code count for nothing.
BEGUN = ROOT / "tests" / "crash" / "run.jsonl.gz"
DATABASES = ("sqlite", "postgresql")
STOPPED = 130
# A worker that is stopped for 120 s as it is about to ask the owner: here its lease is 30 s, and each second is one.
LONG = Task("cell", "cycle-bracket:worker:place_asking:1:stop:sqlite", "sqlite")


def main() -> int:
    """Run what is asked for; 1 where anything failed, or proves nothing: not reached, or skipped."""
    arguments = _parser().parse_args()
    if arguments.results == FILE and not FILE.exists() and BEGUN.exists():
        unpack(BEGUN, FILE)
    results = Results(arguments.results, build(), may_skip=arguments.allow_skipped)
    databases = tuple(arguments.database or DATABASES)
    began = time.monotonic()
    # Told to end, as by Ctrl-C: what is under way is not played, and the next run goes on there.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stopped = False
    with Jobs(databases, arguments.jobs, keep=arguments.keep, factor=arguments.factor) as jobs:
        try:
            _run(arguments, databases, results, jobs, began + arguments.seconds if arguments.seconds else None)
        except KeyboardInterrupt:
            stopped = True
    results.add_part(time.monotonic() - began, commit())
    print("\n".join(summary(results)))
    for row in results.bad():
        print("\n".join(("", *explained(row, results.code))))
    return STOPPED if stopped else 1 if results.bad() or results.unproven() else 0


def unpack(packed: Path, file: Path) -> None:
    """Let the run go on where this one ended."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.decompress(packed.read_bytes()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.harness", description=__doc__)
    parser.add_argument("--database", action="append", choices=DATABASES, help="only on this one")
    parser.add_argument("--matrix", action="store_true", help="the matrix only")
    parser.add_argument("--operation", action="append", choices=OPERATIONS, help="only these operations")
    parser.add_argument("--cell", action="append", default=[], help="replay one cell by its name")
    parser.add_argument("--seed", type=int, action="append", default=[], help="replay one seed")
    parser.add_argument("--seeds", type=int, help="that many seeds only, from --from-seed on")
    parser.add_argument("--from-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="stop after so many seconds; the next run goes on")
    parser.add_argument("--every", type=int, default=1, help="only each n-th cell, for a quick look")
    parser.add_argument("--jobs", type=int, default=4, help="cells at one time on each database")
    parser.add_argument("--factor", default=FACTOR, help="of every lease, time-out and pause; 1 is life")
    parser.add_argument("--results", type=Path, default=FILE)
    parser.add_argument("--again", action="store_true", help="play what has passed as well")
    parser.add_argument("--probe", action="store_true", help="look anew which points each operation passes")
    parser.add_argument("--allow-skipped", action="store_true", help="bear what this machine cannot do")
    parser.add_argument("--keep", action="store_true", help="keep the folders with rows and logs")
    return parser


def _run(
    arguments: argparse.Namespace, databases: tuple[str, ...], results: Results, jobs: Jobs, until: float | None
) -> None:
    replay = [Task("cell", name, name.rpartition(":")[2]) for name in arguments.cell]
    replay += [Task("seed", number, database) for number in arguments.seed for database in databases]
    if replay:
        jobs.play(replay, results, until, again=True)
        return
    long = threading.Thread(target=jobs.play_at_full_length, args=(LONG, results))
    if LONG.database in databases and not (arguments.operation or arguments.seeds or arguments.every > 1):
        long.start()  # it mostly waits: it costs what runs beside it nothing
    try:
        if not arguments.seeds:
            jobs.play(_matrix(arguments, databases, results, jobs), results, until, again=arguments.again)
        if not arguments.matrix:
            last = arguments.from_seed + (arguments.seeds or 1000)
            numbers = range(arguments.from_seed, last)
            seeds = [Task("seed", number, database) for number in numbers for database in databases]
            jobs.play(seeds, results, until, again=arguments.again)
    finally:
        if long.ident is not None:
            long.join()


def _matrix(arguments: argparse.Namespace, databases: tuple[str, ...], results: Results, jobs: Jobs) -> list[Task]:
    """The reachable cells, from a run of each operation without a fault on each database, kept for later parts."""
    operations = arguments.operation or OPERATIONS
    probes = [Task("probe", operation, database) for operation in operations for database in databases]
    missing = [probe for probe in probes if arguments.probe or probe.name not in results.probes]
    jobs.play(missing, results, None, again=True)
    found = [
        cell
        for operation in operations
        for cell in matrix.cells(operation, _passes(operation, databases, results), databases)
    ]
    for operation, count in Counter(cell.operation for cell in found).items():
        print(f"{operation}: {count} cells at {len({c.point for c in found if c.operation == operation})} points")
    print(f"{len(found)} cells: {dict(Counter(cell.fault for cell in found))}", flush=True)
    return [Task("cell", cell.name, cell.database) for cell in found][:: arguments.every]


def _passes(operation: str, databases: tuple[str, ...], results: Results) -> matrix.Passes:
    """How often each role passes each point, on the database where it passes it more often."""
    most: dict[str, dict[str, int]] = {}
    for database in databases:
        for role, counts in results.probes.get(f"probe:{operation}:{database}", {}).items():
            known = most.setdefault(role, {})
            known |= {point: max(count, known.get(point, 0)) for point, count in counts.items()}
    return most


if __name__ == "__main__":
    sys.exit(main())
