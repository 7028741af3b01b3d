"""A cut of the crash matrix: every operation, by its own route, killed, stopped and cut off at a few of its points."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotrader.core.ops.crashpoints import POINTS
from tests.crash.harness.cells import FAULTS
from tests.crash.harness.databases import Skipped, Sqlite
from tests.crash.harness.jobs import Jobs, Task
from tests.crash.harness.matrix import COVERED, cells
from tests.crash.harness.names import OPERATIONS
from tests.crash.harness.results import ROOT, Results, explained, table

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]
# Operation, role, point, occurrence, fault. The whole matrix runs by `make crash`.
CUT = [
    "cycle-bracket:worker:place_asking:1:stop",
    "cycle-bracket:broker:frame_written:1:rollback",
    "cycle-bracket:broker:evidence_ExecutionReport_committing:1:database",
    "cycle-exit:worker:change_committed:1:kill",
    "request-mkt:broker:submission_committed:1:kill-other",
    "request-bracket:web:intent_committed:1:kill",
    "request-modify:broker:submission_committed:1:disk",
    "request-cancel:broker:cancel_written:1:reset",
    "approve-exit:worker:place_asking:1:kill",
]
ON_POSTGRES = CUT[1::6]
SEEDS = (1,)


@pytest.mark.parametrize(
    ("database", "chosen", "jobs"), [("sqlite", CUT, 2), ("postgresql", ON_POSTGRES, 2)], ids=["sqlite", "postgresql"]
)
def test_nothing_is_doubled_lost_or_naked_whatever_dies(
    tmp_path: Path, database: str, chosen: list[str], jobs: int
) -> None:
    results = Results(tmp_path / "results.jsonl", "")
    tasks = [Task("cell", f"{name}:{database}", database) for name in chosen]
    tasks += [Task("seed", number, database) for number in SEEDS]
    with Jobs([database], jobs, keep=False) as running:
        running.play(tasks, results, None, again=True)

    told = [line for row in results.bad() for line in explained(row, "")]
    assert not told, "\n".join(told)
    assert len(results.outcomes) == len(tasks)
    unreached = [name for name, row in results.outcomes.items() if row["state"] == "unreached"]
    assert not unreached, "\n".join(table(results.outcomes.values()))


PASSES = {"worker": {"place_asking": 1, "claim_committed": 1}, "broker": {"frame_half": 3, "look_positions": 1}}
BOTH = ("sqlite", "postgresql")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_is_killed_at_every_point_on_both_databases_and_meets_every_fault(operation: str) -> None:
    found = list(cells(operation, PASSES, BOTH))

    killed = {(cell.point, cell.occurrence, cell.database) for cell in found if cell.fault == "kill"}
    points = [("place_asking", 1), ("claim_committed", 1), ("look_positions", 1)]
    points += [("frame_half", 1)]
    assert {row for row in killed if row[1] == 1} == {(*point, database) for point in points for database in BOTH}
    assert {row[:2] for row in killed if row[1] > 1} == {("frame_half", 2), ("frame_half", 3)}
    assert {cell.fault for cell in found if cell.point == "place_asking"} == set(FAULTS)
    assert {cell.fault for cell in found if cell.point == "frame_half"} == {"kill"}


def test_over_all_routes_each_point_after_the_intent_meets_every_fault() -> None:
    found = [cell for operation in OPERATIONS for cell in cells(operation, PASSES, BOTH)]

    assert {cell.fault for cell in found if cell.point == "look_positions"} == set(FAULTS)
    assert {cell.fault for cell in found if cell.point == "claim_committed"} == {"kill", "stop", "database", "disk"}


def test_results_hold_for_their_code_over_all_parts(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    row = {"name": "seed:1:sqlite", "state": "passed", "seconds": 2.0, "detail": [], "passes": {"web": {"a": 1}}}
    for part in (1, 2):
        results = Results(file, "code")
        results.add({**row, "name": f"seed:{part}:sqlite"})
        results.add_part(10.0 * part, "sha")

    again, other = Results(file, "code"), Results(file, "another")

    assert [again.passed(f"seed:{number}:sqlite") for number in (1, 2, 3)] == [True, True, False]
    assert (again.points, again.parts, again.commits) == ({"a"}, [10.0, 20.0], ["sha"])
    assert not other.outcomes
    assert not other.parts


def test_a_disk_that_is_not_small_is_never_filled(tmp_path: Path) -> None:
    with pytest.raises(Skipped):
        Sqlite(tmp_path / "template", tmp_path).fill()

    assert not list(tmp_path.iterdir())


def test_what_the_matrix_leaves_to_other_tests_exists() -> None:
    names = {point.removesuffix("_committed").removesuffix("_committing") for point in POINTS}

    assert set(COVERED) <= names
    assert all((ROOT / test).is_file() for test in COVERED.values())
