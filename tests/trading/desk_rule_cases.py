"""The cases of the controls of the desk: its state, its gates, the broker's state and the account's losses."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from broker.gates import HaltReading, HaltState
from tests.trading.builders import NOW, D, status
from tests.trading.flow_rule_cases import ENTRY_CHANGE, JUST
from tests.trading.order_rule_cases import EXIT, NAN, STOP
from tests.trading.rule_cases import Cases
from trading.selectors.desk_state import GateRefusal
from trading.selectors.equity import UNKNOWN, Equity

SHUT = GateRefusal("LIVE_OVERRIDE_MISSING", "no file")
AWAY = GateRefusal("BROKER_NOT_READY", "it reconciles")
SKEWED = GateRefusal("CLOCK_SKEW", "3 s")
STOPPED = {"last_stop_out_at": NOW - timedelta(seconds=300)}


def halt(state: str) -> dict[str, Any]:
    return {"halt": HaltReading(HaltState(state), "because", "ann", NOW, 1)}


def _money(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def equity(base: int | None = 100_000, peak: int | None = 100_000, **changes: Any) -> dict[str, Any]:
    """The account's day; the proposal's own equity is what it is compared with."""
    given = Equity(_money(base), _money(peak), D(100_000), NOW, "", binds=False)
    return {"ledger": {"equity": replace(given, **changes)}}


CASES = [
    Cases(
        rule="trading_state",
        allows=[
            {},
            EXIT,
            EXIT | halt("REDUCING"),
            STOP | halt("REDUCING"),
            halt("HALTED") | {"sends": False},
            halt("HALTED") | {"shadow": True},
        ],
        refuses=[
            (halt("HALTED"), "HALTED"),
            (EXIT | halt("HALTED"), "HALTED"),
            (STOP | halt("HALTED"), "HALTED"),
            (ENTRY_CHANGE | halt("REDUCING"), "REDUCING"),
        ],
        boundary=[
            (halt("ACTIVE"), halt("REDUCING"), "REDUCING"),
            (EXIT | halt("REDUCING"), EXIT | halt("HALTED"), "HALTED"),
        ],
        fails_closed=[({"halt": None}, "RULE_FAILED"), ({"desk": {"halt": "ACTIVE"}}, "RULE_FAILED")],
    ),
    Cases(
        rule="live_money",
        allows=[{}, EXIT, STOP, {"money": SHUT, "sends": False}, {"money": SHUT, "shadow": True}],
        refuses=[
            ({"money": SHUT}, "LIVE_OVERRIDE_MISSING"),
            (EXIT | {"money": SHUT}, "LIVE_OVERRIDE_MISSING"),
            (STOP | {"money": SHUT}, "LIVE_OVERRIDE_MISSING"),
        ],
        boundary=[({"money": None}, {"money": GateRefusal("ACCOUNT_NOT_PAPER", "U1")}, "ACCOUNT_NOT_PAPER")],
        fails_closed=[({"money": "open"}, "RULE_FAILED")],
    ),
    Cases(
        rule="broker_state",
        allows=[
            {},
            {"status": status(clock="system", skew_s=D(0))},
            EXIT | {"clock": SKEWED},
            EXIT | {"blocking": ("Position differs: position:1",)},
            STOP | {"clock": SKEWED, "blocking": ("Position differs: position:1",)},
            {"broker": AWAY, "sends": False},
            {"broker": AWAY, "blocking": ("Cash differs: cash:USD",), "shadow": True},
        ],
        refuses=[
            ({"broker": AWAY}, "BROKER_NOT_READY"),
            (EXIT | {"broker": AWAY}, "BROKER_NOT_READY"),
            (STOP | {"broker": GateRefusal("RESTART_WINDOW", "soon")}, "RESTART_WINDOW"),
            ({"clock": SKEWED}, "CLOCK_SKEW"),
            (ENTRY_CHANGE | {"clock": SKEWED}, "CLOCK_SKEW"),
            (ENTRY_CHANGE | {"blocking": ("Position differs: position:1",)}, "NOT_RECONCILED"),
        ],
        boundary=[
            ({"blocking": ()}, {"blocking": ("Position differs: position:1",)}, "NOT_RECONCILED"),
            ({"clock": None}, {"clock": SKEWED}, "CLOCK_SKEW"),
        ],
        fails_closed=[
            ({"status": status(clock="system", skew_s=None)}, "CLOCK_UNKNOWN"),
            ({"status": None}, "CLOCK_UNKNOWN"),
            ({"blocking": None}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="losses",
        allows=[
            {},
            equity(),
            equity(base=90_000),
            EXIT | equity(base=200_000, peak=200_000),
            STOP | equity(base=200_000, peak=200_000),
            {"ledger": {"held": True, "shadow": True, "equity": UNKNOWN}},
            EXIT | {"stop_outs_today": 9, "last_stop_out_at": NOW},
            # A person has released the desk since the level was acted on; the Halt decides.
            equity(base=103_000, level="REDUCING"),
            equity(base=110_000, level="HALTED"),
            {"equity": D(1)} | {"ledger": equity()["ledger"] | {"shadow": True}},
        ],
        refuses=[
            (equity(base=103_000), "DAY_LOSS"),
            (equity(base=110_000, level="REDUCING"), "DAY_LOSS"),
            (equity(peak=200_000), "DRAWDOWN"),
            (ENTRY_CHANGE | equity(base=103_000), "DAY_LOSS"),
            (equity(level="REDUCING", binds=True), "DAY_LOSS"),
            (equity(level="HALTED", binds=True), "LOSS_HALTED"),
            (EXIT | equity(level="HALTED", binds=True), "LOSS_HALTED"),
            (STOP | equity(level="HALTED", binds=True), "LOSS_HALTED"),
            ({"stop_outs_today": 9}, "TOO_MANY_STOP_OUTS"),
            ({"last_stop_out_at": NOW}, "COOL_DOWN"),
            ({"last_stop_out_at": NOW + timedelta(seconds=5)}, "COOL_DOWN"),
        ],
        boundary=[
            ({"equity": D("98000.01")} | equity(), {"equity": D(98_000)} | equity(), "DAY_LOSS"),
            (
                {"equity": D("96000.01")} | equity(level="REDUCING"),
                {"equity": D(96_000)} | equity(level="REDUCING"),
                "DAY_LOSS",
            ),
            (
                {"equity": D("85000.01")} | equity(base=85_000),
                {"equity": D(85_000)} | equity(base=85_000),
                "DRAWDOWN",
            ),
            ({"stop_outs_today": 2}, {"stop_outs_today": 3}, "TOO_MANY_STOP_OUTS"),
            (STOPPED, {"last_stop_out_at": NOW - timedelta(seconds=300) + JUST}, "COOL_DOWN"),
        ],
        fails_closed=[
            ({"held": D(1), "ledger": {"held": True, "equity": UNKNOWN}}, "LOSS_UNKNOWN"),
            (equity(base=None), "LOSS_UNKNOWN"),
            (equity(peak=None), "LOSS_UNKNOWN"),
            (equity(base=0), "LOSS_UNKNOWN"),
            (equity() | {"equity": NAN}, "LOSS_UNKNOWN"),
            ({"equity": NAN}, "LOSS_UNKNOWN"),
            ({"stop_outs_today": None}, "RULE_FAILED"),
            (equity(level="STRANGE"), "RULE_FAILED"),
        ],
    ),
]
