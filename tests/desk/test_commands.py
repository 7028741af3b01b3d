"""`run_cycle` as a person runs it: real processes, real files, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.desk.bars_folder import START, trading_days
from tests.support import REAL_BARS, ROOT, alone, free_port, needs_real_bars
from trading.services.demo import demo_seed


def manage(state: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command on a state folder of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AUTOTRADER_", "OPENAI_"))}
    settings = {"AUTOTRADER_ENV_FILE": "none", "AUTOTRADER_STATE_DIR": str(state), **environment}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=clean | settings,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh installation with the demo strategy, made once and only copied."""
    folder = tmp_path_factory.mktemp("installed")
    assert manage(folder, "prepare").returncode == 0
    return folder


@pytest.fixture
def state(tmp_path: Path, installed: Path) -> Path:
    """A copy of the fresh installation."""
    return Path(shutil.copytree(installed, tmp_path / "state"))


def as_of(state: Path, day: str, folder: Path, *words: str) -> dict[str, Any]:
    done = manage(state, "run_cycle", "--as-of", day, "--json", *words, AUTOTRADER_PAPER_DATA=str(folder))
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_cycle_on_the_embedded_defaults_and_its_audit(state: Path) -> None:
    with alone("usual port"):
        done = manage(state, "run_cycle")

    assert done.returncode == 0, done.stderr
    for symbol in ("SPY", "AAPL", "IBM"):
        assert f"\n{symbol}: " in done.stdout
    assert (state / "paper.sqlite3").exists()
    assert manage(state, "verify_audit").returncode == 0


def test_a_dry_run_and_one_symbol(state: Path) -> None:
    with alone("usual port"):
        report = json.loads(manage(state, "run_cycle", "--dry-run", "--symbol", "SPY", "--json").stdout)

    assert [row["symbol"] for row in report["executions"]] == ["SPY"]
    assert report["orders"] == []


@needs_real_bars
def test_real_bars_give_the_same_decisions_from_a_fresh_state(state: Path, installed: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(installed, tmp_path / "other"))

    first, second = (as_of(folder, "2019-06-03", REAL_BARS) for folder in (state, other))

    assert first["market_time"] == "2019-06-03T20:00:00+00:00"
    assert [row["symbol"] for row in first["decisions"]] == [row["symbol"] for row in second["decisions"]]
    assert first["decisions"] == second["decisions"]


@needs_real_bars
def test_a_real_day_on_which_an_order_is_placed_filled_and_protected(state: Path) -> None:
    report = as_of(state, "2019-03-26", REAL_BARS)

    (order,) = report["orders"]
    assert (order["symbol"], order["side"], order["status"]) == ("AAPL", "BUY", "FILLED")
    assert sorted((child["role"], child["status"]) for child in order["children"]) == [
        ("stop", "ACCEPTED"),
        ("target", "ACCEPTED"),
    ]
    assert order["fills"][0]["time"].startswith("2019-03-27")


@pytest.mark.parametrize(
    ("words", "broker", "said"),
    [
        (["--as-of", "yesterday"], "paper", "is not a date"),
        (["--as-of", "2999-01-04"], "paper", "lies in the future"),
        (["--strategy", "nobody"], "paper", "There is no strategy nobody"),
        (["--symbol", "TSLA"], "paper", "No chosen strategy trades TSLA"),
        (["--as-of", "2019-06-03"], "tws", "needs AUTOTRADER_BROKER=paper"),
    ],
)
def test_bad_arguments_exit_2_with_one_sentence(
    db: None, settings: Any, words: list[str], broker: str, said: str
) -> None:
    settings.AUTOTRADER_BROKER = broker
    demo_seed()
    errors = StringIO()

    with pytest.raises(SystemExit) as end:
        call_command("run_cycle", *words, stderr=errors)

    assert end.value.code == 2
    assert said in errors.getvalue()


def test_settings_that_contradict_each_other_exit_2_with_one_sentence(state: Path) -> None:
    done = manage(state, "run_cycle", TRADING_MODE="live")

    assert done.returncode == 2
    assert "TRADING_MODE=live contradicts AUTOTRADER_BROKER=paper" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_broker_port_fails_the_cycle_with_the_reason(state: Path) -> None:
    done = manage(state, "run_cycle", "--json", AUTOTRADER_BROKER_PORT=str(free_port()))

    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["status"] == "FAILED"
    assert "BROKER_UNAVAILABLE" in report["reason"]


def test_the_command_uses_bars_up_to_its_day_only(state: Path, tmp_path: Path) -> None:
    from tests.desk.bars_folder import write_folder

    folder = write_folder(tmp_path / "bars")
    day = trading_days()[START].isoformat()
    edit = "from trading.models import *; s = Strategy.objects.get(name='demo');"
    edit += "s.instruments.set([Instrument.objects.get_or_create(symbol='RISE')[0]])"
    assert manage(state, "shell", "-v0", "-c", edit).returncode == 0
    report = as_of(state, day, folder)
    shown = "from trading.models import *; o = StepRun.objects.get(name='fetch_data').output;"
    shown += "print([t['last'] for t in o['timeframes']])"

    lasts = manage(state, "shell", "-v0", "-c", shown).stdout

    assert report["decisions"][0]["type"] == "buy"
    assert day in lasts
    assert max(part for part in lasts.split("'") if part.startswith("20"))[:10] <= day
