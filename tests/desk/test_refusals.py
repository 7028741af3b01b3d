"""Bad input and shut gates: each ends in HOLD or a refusal that says why, and no order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker import gates
from tests.desk.bars_folder import SEEDS, START, trading_days, walk, write_folder, write_symbol
from tests.desk.conftest import Desk, build_strategy
from tests.research.openai_server import (
    Behaviour,
    LoopbackModelServer,
    agreeable,
    fails,
    says,
    sound_decision,
    sound_view,
)
from trading.models import Order
from trading.services.demo import TWO_INDICATORS

pytestmark = pytest.mark.once


def outcome(desk: Desk, symbol: str = "CALM", **fields: Any) -> tuple[str, str]:
    """What one execution came to; with it, that nothing reached the gateway."""
    row = desk.run(build_strategy("s", [symbol], **fields)).executions.get()
    assert desk.frames("placeOrder") == 0
    assert not Order.objects.exists()
    return row.outcome, row.reason


def spoiled(tmp_path: Path, symbol: str, rows: list[list[float]], splits: str = "") -> Path:
    folder = write_folder(tmp_path / "bars")
    write_symbol(folder, symbol, rows)
    (folder / "splits.csv").write_text("symbol,date,ratio\n" + splits)
    return folder


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows[:30], "too_few_bars"),
        (lambda rows: [*rows[:500], [float("nan"), *rows[500][1:]], *rows[501:]], "bad_bars"),
        (lambda rows: [*rows[:500], [-1.0, *rows[500][1:]], *rows[501:]], "bad_bars"),
        (
            lambda rows: [
                [price / 2 for price in row[:4]] + row[4:] if day > 510 else row for day, row in enumerate(rows)
            ],
            "data_gap",
        ),
    ],
    ids=["30 bars", "NaN", "negative", "unexplained gap"],
)
def test_bars_that_nobody_should_judge_are_a_hold(
    open_desk: Callable[..., Desk], tmp_path: Path, change: Callable[[Any], Any], reason: str
) -> None:
    rows = change(walk(SEEDS["RISE"]))
    desk = open_desk(29 if len(rows) == 30 else START, spoiled(tmp_path, "RISE", rows))

    result, said = outcome(desk, "RISE")

    assert result == "hold"
    assert said.startswith(reason)


def test_a_split_is_no_gap(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    halved = [
        [round(price / 2, 2) for price in row[:4]] + [row[4] * 2] if day > 510 else row
        for day, row in enumerate(walk(21))
    ]
    folder = spoiled(tmp_path, "RISE", halved, f"RISE,{trading_days()[511]},2\n")

    cycle = open_desk(START, folder).run(build_strategy("s", ["RISE"]))

    assert cycle.executions.get().outcome == "ordered"


def test_a_symbol_nobody_knows_fails_its_execution_by_name(desk: Desk) -> None:
    cycle = desk.run(build_strategy("s", ["NOSUCH"]))

    row = cycle.executions.get()
    assert (row.state, cycle.state) == ("FAILED", "FAILED")
    assert row.reason.startswith("CONTRACT_NOT_FOUND")
    assert "NOSUCH" in row.reason


def test_a_listed_symbol_without_bars_is_a_hold(desk: Desk) -> None:
    result, reason = outcome(desk, "MSFT")

    assert result == "hold"
    assert reason.startswith("no_data")


MODEL_FAILURES: list[tuple[str, list[Behaviour], str]] = [
    ("error 500", [fails(500)] * 3, "model_error"),
    ("drips", [says(sound_view("CALM"), drip=0.2)], "model_timeout"),
    ("truncated", [says('{"code": "CALM", "direc', finish="length")] * 3, "answer_truncated"),
    ("NaN", [says(json.dumps(sound_view("CALM")).replace("0.7", "NaN"))] * 3, "schema_invalid"),
    ("hangs up", [Behaviour(hang_up=True)] * 3, "model_error"),
]


@pytest.mark.parametrize(
    ("script", "reason"), [row[1:] for row in MODEL_FAILURES], ids=[row[0] for row in MODEL_FAILURES]
)
def test_a_model_that_fails_is_a_hold(
    desk: Desk, model: LoopbackModelServer, settings: Any, script: list[Behaviour], reason: str
) -> None:
    settings.AUTOTRADER_AI_TIMEOUT_SECONDS = 2
    model.script = script

    assert outcome(desk) == ("hold", reason)


def changed(**changes: Any) -> Callable[[Any], Behaviour]:
    """Sound views, then a decision spoiled by `changes`; a callable gets the quote."""

    def answer(question: Any) -> Behaviour:
        data = question.data
        if "quote" not in data:
            return says(sound_view(data["code"]))
        quote = float(data["quote"])
        values = {name: value(quote) if callable(value) else value for name, value in changes.items()}
        return says(sound_decision(data) | values)

    return answer


@pytest.mark.parametrize(
    "changes",
    [
        {"target_price": "108.5"},
        {"stop_loss": lambda quote: round(quote * 1.04, 2)},
        {"current_price": lambda quote: round(quote * 1.2, 2)},
        {"rationale": "Verdict: SELL. The trend has broken."},
        {"code": "OTHER"},
        {"evidence": ["made-up"]},
    ],
    ids=[
        "price as text",
        "stop on the wrong side",
        "20 % off the quote",
        "SELL in the text",
        "other symbol",
        "evidence",
    ],
)
def test_a_decision_that_does_not_hold_water_is_a_hold(
    desk: Desk, model: LoopbackModelServer, changes: dict[str, Any]
) -> None:
    model.otherwise = changed(**changes)

    result, reason = outcome(desk)

    assert result == "hold"
    assert reason not in ("", "hold")


def test_an_account_that_is_not_paper_is_refused(open_desk: Callable[..., Desk], model: LoopbackModelServer) -> None:
    result, reason = outcome(open_desk(account="U1234567"))

    assert result == "refused"
    assert reason.startswith("ACCOUNT_NOT_PAPER")


@pytest.mark.parametrize("state", ["HALTED", "REDUCING"])
def test_a_halt_refuses_an_entry(desk: Desk, model: LoopbackModelServer, state: str) -> None:
    gates.halt_set(state, "test", "a drill")
    try:
        result, reason = outcome(desk)
    finally:
        gates.halt_set("ACTIVE", "test", "over")

    assert result == "refused"
    assert reason.startswith(state)


def test_a_limit_refuses_with_every_verdict_on_record(desk: Desk, model: LoopbackModelServer) -> None:
    model.otherwise = agreeable("buy", target=1.02, stop=0.96)
    cycle = desk.run(build_strategy("s", ["CALM"]))

    decision = desk.decision(cycle)
    assert decision.state == "REFUSED"
    assert {"R_TOO_LOW", "MARGIN_TOO_LOW"} <= set(decision.reasons)
    assert decision.verdicts.filter(allowed=True).count() >= 8
    assert desk.frames("placeOrder") == 0


def test_another_version_runs_differently_without_a_change_of_code(desk: Desk) -> None:
    steps = [dict(step) for step in TWO_INDICATORS[:-1]]
    steps[1] = {"name": "fetch_data", "parameters": {"timeframes": [1], "min_bars": [200]}}
    steps[2] = {"name": "generate_chart", "parameters": {"rsi_period": 21}}

    row = desk.run(build_strategy("s", ["RISE"], steps)).executions.get()

    assert [step.name for step in row.steps.all()] == [step["name"] for step in steps][: row.steps.count()]
    assert row.analyses.exclude(timeframe=0).count() == 1
    assert row.steps.get(name="generate_chart").output["parameters"]["rsi_period"] == 21
    assert row.outcome in ("decided", "refused", "hold")
    assert desk.frames("placeOrder") == 0
