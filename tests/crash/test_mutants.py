"""The planted bugs fit the tree as it is, and a bug that was not tried is never counted as caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.crash.harness.mutants import HASTE, NotPlanted, Verdict, planted, report, weighed
from tests.crash.harness.planted import MUTANTS, Edit, Mutant
from tests.support import ROOT

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_change_fits_the_source_and_still_compiles(mutant: Mutant, tmp_path: Path) -> None:
    edits = (HASTE, *mutant.scene, *mutant.edits)
    for path in {edit.path for edit in edits}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    before = {path: (tmp_path / path).read_text() for path in {edit.path for edit in edits}}
    with planted(tmp_path, edits):
        assert all((tmp_path / path).read_text() != text for path, text in before.items())
    assert all((tmp_path / path).read_text() == text for path, text in before.items())


def test_there_are_at_least_the_twelve_bugs_that_are_known() -> None:
    assert len(BY_NAME) == len(MUTANTS) >= 12
    assert all(mutant.tasks and mutant.doc for mutant in MUTANTS)


def test_a_text_that_is_not_there_once_is_not_planted(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\none\n")
    with pytest.raises(NotPlanted), planted(tmp_path, (Edit("a.py", "one", "two"),)):
        pass
    assert (tmp_path / "a.py").read_text() == "one\none\n"


def outcome(state: str, *detail: str) -> dict[str, Any]:
    return {"name": "cell", "state": state, "detail": list(detail)}


def test_the_verdict_names_the_rules_and_the_first_cell_that_failed() -> None:
    rows = [outcome("passed"), outcome("failed", "I4 exec:1: lost", "naked position:1: bare"), outcome("failed")]
    verdict = weighed("m", rows, 1.0)
    assert (verdict.caught, verdict.cells, verdict.rules) == (True, 2, ("I4", "naked"))


def test_a_bug_that_no_cell_could_run_on_was_not_tried() -> None:
    assert "not planted" in weighed("m", [outcome("error"), outcome("unreached")], 1.0).problem
    assert weighed("m", [outcome("passed"), outcome("error")], 1.0) == Verdict("m", 1.0, cells=2)


def test_a_desk_that_only_did_not_settle_has_caught_nothing() -> None:
    rows = [outcome("failed", "not settled: {}"), outcome("failed", "not settled: {}", "I5 cash:1: differs")]
    verdict = weighed("m", rows, 1.0)
    assert (verdict.caught, verdict.cells, verdict.rules) == (True, 2, ("I5", "not settled"))
    assert not weighed("m", rows[:1], 1.0).caught


@pytest.mark.parametrize(
    ("caught", "bad", "code"), [([True, True], [], 0), ([True, False], [], 1), ([True], ["a cell"], 1)]
)
def test_one_missed_or_a_sound_tree_that_fails_is_a_failure(
    caught: list[bool], bad: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = [Verdict(str(number), 1.0, caught=found) for number, found in enumerate(caught)]
    assert report(verdicts, bad) == code
    assert f"{sum(caught)} of {len(caught)}" in capsys.readouterr().out
