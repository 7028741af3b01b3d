"""A client that Interactive Brokers wrote believes in the gateway, at the version of 2020 that PyPI has (157)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from broker.paper_gateway.embedded import EmbeddedGateway

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "ibapi" / "bin" / "python"
READY = ROOT / ".venv" / "ibapi" / ".ready"


def run(port: int) -> dict[str, Any]:
    """What the script saw."""
    if not READY.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no .venv/ibapi; `make .venv/ibapi/.ready` makes it")
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("script.py")), str(port)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_it_connects_reads_bars_and_places_a_bracket() -> None:
    with EmbeddedGateway(account="DU7654321", seed=7) as gateway:
        seen = run(gateway.port)
        orders = {order["order_id"]: order for order in gateway.truth()["orders"].values()}
    assert seen["version"] == 157
    assert seen["accounts"] == ["DU7654321"]
    assert seen["details"][0][0] == 756733
    assert len(seen["bars"]) in {5, 6}  # the one in progress comes with them
    assert all(
        low <= min(opened, close) <= max(opened, close) <= high for _, opened, high, low, close, _ in seen["bars"]
    )
    entry, target, stop = seen["entry"], seen["target"], seen["stop"]
    assert seen["executions"] == [[entry, "SPY", "BOT", 100]]
    assert len(seen["commissions"]) == 1
    assert seen["positions"] == [["DU7654321", "SPY", 100]]
    assert seen[f"open_{stop}"][0][:2] == ["STP", entry]
    assert any("trigger" in held for *_, held in seen[f"status_{stop}_PreSubmitted"])
    assert [error for error in seen["errors"] if error[1] not in {2104, 2106, 2158}] == [
        [target, 202, "Order Canceled - reason:"]
    ]
    assert {number: order["status"] for number, order in orders.items()} == {
        entry: "Filled",
        target: "Cancelled",
        stop: "PreSubmitted",
    }
