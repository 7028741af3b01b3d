"""A cut of the crash matrix: every operation, by its own route, killed, stopped and cut off at a few of its points."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.harness.jobs import Jobs, Task
from tests.crash.harness.matrix import cells
from tests.crash.harness.results import Results, explained, table

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]
# Operation, role, point, occurrence, fault. The whole matrix runs by `make crash`.
CUT = [
    "cycle-bracket:worker:intent_committed:1:kill",
    "cycle-bracket:worker:place_asking:1:kill-all",
    "cycle-bracket:worker:place_answered:1:kill",
    "cycle-bracket:broker:submission_committed:1:kill",
    "cycle-bracket:broker:frame_half:2:kill",
    "cycle-bracket:broker:frame_written:1:rollback",
    "cycle-bracket:broker:bracket_written:1:nested",
    "cycle-bracket:broker:evidence_ExecutionReport_committing:1:database",
    "cycle-exit:worker:change_committed:1:kill",
    "cycle-exit:broker:frame_written:1:kill",
    "request-mkt:web:request_committed:1:kill",
    "request-mkt:broker:received_ExecutionReport:1:kill",
    "request-lmt:broker:bracket_written:1:gateway",
    "request-bracket:web:intent_committed:1:kill",
    "request-bracket:broker:frame_writing:3:kill",
    "request-modify:web:change_committed:1:kill",
    "request-modify:broker:submission_committed:1:disk",
    "request-cancel:web:cancel_wish_committed:1:kill",
    "request-cancel:broker:cancel_written:1:reset",
    "request-exit:web:place_asking:1:kill",
    "approve-bracket:broker:submission_committed:1:kill",
    "approve-exit:worker:place_asking:1:kill",
]
ON_POSTGRES = CUT[1::4]
SEEDS = range(1, 3)


@pytest.mark.parametrize(
    ("database", "chosen", "jobs"), [("sqlite", CUT, 4), ("postgresql", ON_POSTGRES, 3)], ids=["sqlite", "postgresql"]
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


def test_the_matrix_has_every_fault_at_every_point_of_the_order_path() -> None:
    found = list(cells("cycle-bracket", "sqlite", {"worker": {"place_asking": 1}, "broker": {"frame_half": 3}}))

    at_asking = {cell.fault for cell in found if cell.point == "place_asking"}
    assert {"kill", "stop", "kill-all", "gateway", "reset", "rollback", "database", "disk", "nested"} <= at_asking
    assert [(cell.fault, cell.occurrence) for cell in found if cell.point == "frame_half"] == [
        ("kill", 1),
        ("kill", 2),
        ("kill", 3),
    ]
