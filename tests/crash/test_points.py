"""Every commit and every socket write of the order path has a crash point on each side, and no point is a mere name."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrader.core.ops import crashpoints
from autotrader.core.ops.crashpoints import COMMITS, PLACES, POINTS, STEPS, Watch, arm, crashpoint, passes
from tests.crash.harness import board as board_module
from tests.crash.harness.board import Board
from tests.crash.harness.matrix import COVERED
from tests.support import ROOT

ROOMS = ("trading/services", "trading/workflow", "trading/api", "broker", "research/services.py")
# Commits that are not of the order path, each with its reason.
REVIEWED = {
    "broker/service/evidence.py:store_failed": "keeps a message that could not be applied; a restart hears it again",
    "broker/service/evidence.py:record_overflow": "says that events were dropped; the book is read again",
    "trading/services/accounts.py:snapshot_take": "values for history; the next snapshot does not depend on it",
    "trading/services/compared.py:_settle_revived": "the next look finds it again",
    "trading/services/cycles.py:cycle_queue": "queues work: nothing of it has begun",
    "trading/services/cycles.py:cycle_fail": "ends a cycle whose executions have ended",
    "trading/services/cycles.py:_end": "ends a cycle whose executions have ended",
    "trading/services/demo.py:demo_seed": "the demonstration's rows",
    "trading/services/discrepancies.py:discrepancy_resolve": "a person's word on a difference; no order hangs on it",
    "trading/services/discrepancies.py:_new": "a savepoint inside its caller's commit",
    "trading/services/resolutions.py:resolve": "a person's word on a difference; no order hangs on it",
    "trading/services/approvals.py:_keep": "a savepoint inside its caller's commit",
    "trading/services/rebuild.py:rebuild": "trades made anew from fills, by a command",
    "trading/services/instruments.py:_add": "a person's settings",
    "trading/services/instruments.py:instrument_save": "a person's settings",
    "trading/services/strategy_presses.py:cycle_press": "queues work: nothing of it has begun",
    "trading/services/strategy_presses.py:strategy_copy": "a person's settings",
    "trading/services/decision_replays.py:decision_replay": "what a judgement came to; nothing hangs on it",
    "trading/services/reask.py:reask_queue": "a wish to ask a model; no order comes of it",
    "trading/services/reask.py:reask_begin": "a wish to ask a model; no order comes of it",
    "trading/services/reask.py:reask_end": "what a model said again; no order comes of it",
    "trading/services/resubmits.py:task_resubmit": "puts a task into the queue that bears to come twice",
    "trading/services/request_intents.py:resolve": "an instrument's ids, found again",
    "trading/services/schedules.py:schedule_due": "when a strategy is due",
    "trading/services/shadow.py:shadow_place": "a shadow ledger has no broker",
    "trading/services/shadow.py:shadow_settle": "a shadow ledger has no broker",
    "trading/services/strategies.py:strategy_save": "a person's settings",
    "trading/services/strategies.py:risk_profile_save": "a person's settings",
    "trading/services/strategy_settings.py:strategy_change": "a person's settings",
    "trading/services/suspensions.py:strategy_resume": "a person's settings",
    "trading/services/workflows.py:workflow_version_add": "a person's settings",
    "trading/services/workflows.py:workflow_publish": "a person's settings",
}
FRAME_CALLS = {"placeOrder", "cancelOrder", "reqGlobalCancel"}
MAKERS = {"broker/ib/orders.py", "broker/ib/preview.py"}  # a preview's frame places nothing
SENDER = ("broker/ib/connection.py", "sendMsg")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        path = ROOT / room
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if "migrations" not in file.parts and "paper_gateway" not in file.parts:
                yield str(file.relative_to(ROOT)), ast.parse(file.read_text())


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def called(node: ast.AST) -> str:
    """The last word of a call's name; empty for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def pattern(node: ast.expr | None) -> str:
    """A regular expression of the text: what is put in at run time may be any word."""
    if isinstance(node, ast.Constant):
        return re.escape(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return "".join(pattern(part) if isinstance(part, ast.Constant) else r"\w+" for part in node.values)
    if isinstance(node, ast.ListComp):  # one commit of several
        return pattern(node.elt)
    return ""


def matching(names: Iterator[str], known: dict[str, object]) -> set[str]:
    return {name for text in names for name in known if text and re.fullmatch(text, name)}


def commits() -> Iterator[tuple[str, str]]:
    """(module:function, the name given to the commit as a pattern) of every commit."""
    for path, tree in modules():
        for function in functions(tree):
            for node in ast.walk(function):
                if isinstance(node, ast.With):
                    for item in node.items:
                        name = called(item.context_expr)
                        if name == "recording":
                            assert isinstance(item.context_expr, ast.Call)
                            given = {word.arg: word.value for word in item.context_expr.keywords}
                            yield f"{path}:{function.name}", pattern(given.get("point"))
                        if name == "atomic":
                            yield f"{path}:{function.name}", _around(function, node)


def _around(function: ast.AST, block: ast.With) -> str:
    """The name of a plain transaction: points stand as its last statement and after it, in the same function."""
    inside = [
        pattern(node.args[0]) for node in ast.walk(block) if isinstance(node, ast.Call) and called(node) == "crashpoint"
    ]
    after = [
        pattern(node.args[0])
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and called(node) == "crashpoint" and node.lineno > (block.end_lineno or 0)
    ]
    names = [text.removesuffix("_committing") for text in inside if text.endswith("_committing")]
    return names[0] if names and f"{names[0]}_committed" in after else ""


def test_every_commit_of_the_order_path_has_a_point_on_each_side() -> None:
    unnamed = sorted({place for place, name in commits() if not name} - set(REVIEWED))
    assert unnamed == []


def test_no_reviewed_exception_has_outlived_its_commit() -> None:
    assert sorted(set(REVIEWED) - {place for place, name in commits() if not name}) == []


def test_the_names_of_commits_are_those_that_are_registered() -> None:
    used = [name for _, name in commits() if name]
    unknown = [name for name in used if not any(re.fullmatch(name, known) for known in COMMITS)]
    assert unknown == []
    placed = {known for known in COMMITS if any(re.fullmatch(name, known) for name in used)}
    assert sorted(set(COMMITS) - placed) == []


def test_every_other_point_stands_in_the_code_and_every_point_in_the_code_is_registered() -> None:
    written = [
        pattern(node.args[0])
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) == "crashpoint"
    ]
    unknown = [text for text in written if not any(re.fullmatch(text, name) for name in POINTS)]
    assert unknown == []
    assert sorted(name for name in PLACES if not any(re.fullmatch(text, name) for text in written)) == []
    once = Counter(text for text in written if r"\w+" not in text)
    assert [text for text, count in once.items() if count > 1] == []


def test_every_order_frame_leaves_by_the_one_sender_that_has_a_point_on_each_side() -> None:
    """Frames are made by ib_insync, which writes each by `sendMsg`; ours overrides it and nothing goes round it."""
    for path, tree in modules():
        for function in functions(tree):
            for node in ast.walk(function):
                raw = isinstance(getattr(node, "func", None), ast.Attribute) and path.startswith("broker/ib/")
                raw = raw and called(node) in ("write", "sendall", "writelines")
                assert not raw, f"{path}:{function.name} writes to a socket itself"
                if called(node) in FRAME_CALLS:
                    assert path in MAKERS, f"{path}:{function.name} makes an order frame"
    sender = next(
        function for path, tree in modules() for function in functions(tree) if (path, function.name) == SENDER
    )
    order = [called(node) for node in ast.walk(sender) if called(node) in ("crashpoint", "sendMsg")]
    assert order.count("crashpoint") == 3
    lines = {pattern(node.args[0]): node.lineno for node in ast.walk(sender) if called(node) == "crashpoint"}  # type: ignore[attr-defined]
    written = max(node.lineno for node in ast.walk(sender) if called(node) == "sendMsg")  # type: ignore[attr-defined]
    assert lines[r"\w+_writing"] < lines[r"\w+_half"] < written < lines[r"\w+_written"]


def test_every_point_belongs_to_a_step_and_a_process() -> None:
    assert {point.step for point in POINTS.values()} == set(STEPS)
    assert {point.process for point in POINTS.values()} <= {"web", "worker", "broker", "any"}
    assert all(point.doc for point in POINTS.values())


def test_a_point_is_inert_unless_asked_for() -> None:
    assert crashpoints._watch is None
    crashpoint("no such point")


def test_an_unknown_name_is_refused_while_a_test_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there is no point nowhere"):
        Watch("nowhere:1")
    monkeypatch.setattr(crashpoints, "_watch", Watch(""))
    with pytest.raises(ValueError, match="not registered"):
        crashpoint("nowhere")


def test_the_process_ends_at_the_pass_that_was_asked_for(tmp_path: Path) -> None:
    """What is to be done first is done then, and only then."""
    trace = tmp_path / "passes"
    code = """from autotrader.core.ops.crashpoints import crashpoint
for turn in range(5):
    crashpoint("intent_committed", lambda: print(turn, flush=True))
"""
    environment = {"AUTOTRADER_CRASH": "intent_committed:3", "AUTOTRADER_CRASH_TRACE": str(trace)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "2\n")
    assert list(passes(trace)) == ["intent_committed"] * 3


def test_a_forked_process_can_be_armed_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crashpoints, "_watch", None)
    arm("", str(tmp_path / "passes"))
    crashpoint("frame_half")
    arm("")
    crashpoint("frame_written")
    assert list(passes(tmp_path / "passes")) == ["frame_half"]


def test_the_harness_meets_a_process_at_every_point_and_at_no_other(tmp_path: Path) -> None:
    board = Board()
    watch = board_module.Watch(board, "broker", str(tmp_path / "passes"))
    for name in POINTS:
        board.arm("broker", name, action="meet")
        board.go_on("broker")
        watch.passed(name)
        assert board.reached("broker") == os.getpid()
    assert list(passes(tmp_path / "passes")) == list(POINTS)
    with pytest.raises(ValueError, match="not registered"):
        watch.passed("nowhere")


def test_a_point_outside_the_matrix_names_tests_that_are_there() -> None:
    known = {name.removesuffix("_committed").removesuffix("_committing") for name in POINTS}
    assert sorted(set(COVERED) - known) == []
    assert all((ROOT / path).is_file() for path in COVERED.values())
