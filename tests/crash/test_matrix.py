"""A cut of the crash matrix: every operation, by its own route, killed, stopped and cut off at a few of its points."""

from __future__ import annotations

import gzip
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from autotrader.core.ops.crashpoints import POINTS
from tests.crash.harness import __main__ as run
from tests.crash.harness import results as module
from tests.crash.harness import running
from tests.crash.harness.cells import FAULTS, Outcome
from tests.crash.harness.databases import Skipped, Sqlite
from tests.crash.harness.desk import Desk
from tests.crash.harness.jobs import Jobs, Task
from tests.crash.harness.matrix import COVERED, ONLY, PAST_THE_LAST_LOOK, cells
from tests.crash.harness.names import OPERATIONS
from tests.crash.harness.results import ROOT, Results, build, explained, summary, table
from tests.crash.harness.running import Runner
from tests.crash.harness.seeds import Story, story

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]
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
    "request-bracket:broker:gates_passed:1:halt",
    "request-cancel:broker:cancel_writing:1:gateway",
    "cycle-model:worker:model_close_committing:1:kill",
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


def outcome(name: str, state: str) -> dict[str, Any]:
    return {"name": name, "state": state, "seconds": 1.0, "detail": [], "passes": None}


def test_a_cell_that_was_not_reached_is_played_once_more_and_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, name = tmp_path / "results.jsonl", "cycle-bracket:worker:place_asking:1:stop:sqlite"
    for again in (False, True):
        Results(file, "code").add(outcome(name, "unreached"))
        continued = Results(file, "code")
        assert continued.passed(name) == again
        assert [line for line in continued.unproven() if name in line]
        assert set(continued.unproven()) <= set(summary(continued))
    monkeypatch.setattr(module, "MAY_BE_UNREACHED", {name: "looked at"})
    reviewed = Results(file, "code")
    assert reviewed.passed(name)
    assert not reviewed.unproven()
    assert f"not reached: {name}: looked at" in summary(reviewed)


@pytest.mark.parametrize(
    ("passes", "is_cell"),
    [({}, False), ({"worker": {"gates_passed": 1}}, False), ({"worker": {"place_asking": 1}}, True)],
)
def test_a_cell_whose_point_its_operation_no_longer_passes_is_none(
    tmp_path: Path, passes: dict[str, dict[str, int]], is_cell: bool
) -> None:
    results = Results(tmp_path / "results.jsonl", "code")
    results.add(outcome("cycle-bracket:worker:place_asking:1:stop:sqlite", "unreached"))
    results.add_probe("probe:cycle-bracket:sqlite", {"worker": {"place_asking": 1}})
    assert results.unproven()
    results.add_probe("probe:cycle-bracket:sqlite", {})
    results.add_probe("probe:cycle-bracket:postgresql", passes)
    assert bool(results.unproven()) == is_cell


def test_what_was_skipped_proves_nothing_unless_that_is_borne(tmp_path: Path) -> None:
    file, name = tmp_path / "results.jsonl", "cycle-bracket:broker:look_completed:1:disk:sqlite"
    Results(file, "code").add(outcome(name, "skipped"))
    assert "1 cells were skipped" in Results(file, "code").unproven()[0]
    assert not Results(file, "code").passed(name)
    borne = Results(file, "code", may_skip=True)
    assert borne.passed(name)
    assert not borne.unproven()


@pytest.mark.parametrize(
    ("state", "words", "code"), [("unreached", [], 1), ("skipped", [], 1), ("skipped", ["--allow-skipped"], 0)]
)
def test_the_run_s_exit_code_says_that_a_cell_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, words: list[str], code: int
) -> None:
    file = tmp_path / "results.jsonl"
    Results(file, build()).add(outcome("seed:1:sqlite", state))
    monkeypatch.setattr(sys, "argv", ["harness", "--results", str(file), "--database", "sqlite", *words])
    monkeypatch.setattr(run, "_run", lambda *_: None)
    monkeypatch.setattr(Jobs, "__enter__", lambda self: self)
    assert run.main() == code


def test_a_run_goes_on_where_another_machine_s_ended(tmp_path: Path) -> None:
    there, packed = tmp_path / "there.jsonl", tmp_path / "run.jsonl.gz"
    Results(there, build()).add(outcome("seed:1:sqlite", "passed"))
    packed.write_bytes(gzip.compress(there.read_bytes()))
    here = tmp_path / "new" / "here.jsonl"
    run.unpack(packed, here)
    assert Results(here, build()).passed("seed:1:sqlite")


class Untold(Runner):
    """Finds something wrong while the exchange's day turns, or does not."""

    def _told(self, name: str, story: Story, made: Desk, *, strict: bool) -> Outcome:
        return Outcome(name, "failed", detail=("I4",))


@pytest.mark.parametrize(("days", "state"), [((1, 1), "failed"), ((1, 2), "error")])
def test_a_cell_in_which_the_exchange_s_day_turned_is_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: tuple[int, int], state: str
) -> None:
    turned = iter(days)
    monkeypatch.setattr(running, "_exchange_day", lambda: next(turned))
    monkeypatch.setattr(running, "desk", lambda *_, **__: nullcontext())
    told = Untold(None, Sqlite(tmp_path, tmp_path), tmp_path).tell(story(1))  # type: ignore[arg-type]
    assert (told.state, told.detail[-1]) == (state, "I4")


PASSES = {"worker": {"place_asking": 1, "claim_committed": 1}, "broker": {"frame_half": 3, "look_positions": 1}}
BOTH = ("sqlite", "postgresql")


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in ONLY])
def test_each_operation_is_killed_at_every_point_on_both_databases_and_meets_every_fault(operation: str) -> None:
    found = list(cells(operation, PASSES, BOTH))

    killed = {(cell.point, cell.occurrence, cell.database) for cell in found if cell.fault == "kill"}
    points = [("place_asking", 1), ("claim_committed", 1), ("look_positions", 1)]
    points += [("frame_half", 1)]
    assert {row for row in killed if row[1] == 1} == {(*point, database) for point in points for database in BOTH}
    assert {row[:2] for row in killed if row[1] > 1} == {("frame_half", 2), ("frame_half", 3)}
    assert {cell.fault for cell in found if cell.point == "place_asking"} == set(FAULTS)
    assert {cell.fault for cell in found if cell.point == "frame_half"} == {"kill"}


def test_a_model_is_taken_from_at_its_own_points_alone() -> None:
    passes = {"worker": dict.fromkeys((*ONLY["cycle-model"], "place_asking", "claim_committed"), 4)}
    found = list(cells("cycle-model", passes, BOTH))
    assert {cell.point for cell in found} == ONLY["cycle-model"]
    assert {cell.fault for cell in found} == {"kill", "stop", "database", "disk"}
    assert {cell.occurrence for cell in found} == {1}


def test_nobody_is_halted_where_he_has_looked_for_the_last_time() -> None:
    passes = {"broker": dict.fromkeys(POINTS, 3)}
    found = [cell for operation in OPERATIONS for cell in cells(operation, passes, BOTH) if cell.fault == "halt"]
    assert not {cell.point for cell in found} & PAST_THE_LAST_LOOK
    assert {"submission_committed", "gates_passed", "place_asking"} <= {cell.point for cell in found}
    for seed in range(1, 300):
        operations = story(seed).operations
        halts = [[strike for strike in strikes if strike.fault == "halt"] for _, strikes in operations]
        assert not any(halts[:-1])
        assert not {strike.point for strike in halts[-1]} & PAST_THE_LAST_LOOK


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
