"""The cases of the controls of the decision behind an entry, and of the protection that it carries."""

from __future__ import annotations

from datetime import timedelta

from tests.trading.builders import NOW, D
from tests.trading.order_rule_cases import INFINITE, JUST, MARKET, NAN, SECOND, SHORT
from tests.trading.rule_cases import Cases

CASES = [
    Cases(
        rule="decision_freshness",
        allows=[
            {"decided_at": NOW - timedelta(minutes=1)},
            {"source": "request", "claimed_price": None},
            SHORT,
        ],
        refuses=[
            ({"decided_at": NOW - timedelta(hours=1)}, "STALE_DECISION"),
            ({"decided_at": NOW + timedelta(hours=1)}, "STALE_DECISION"),
            ({"held": D(5)}, "POSITION_CHANGED"),
            ({"claimed_price": D(120)}, "UNGROUNDED_PRICE"),
            ({"source": "request", "claimed_price": D(120)}, "UNGROUNDED_PRICE"),
            ({"reward_ratio": D(-2)}, "R_TOO_LOW"),
            ({"profit_margin": D("-0.1")}, "MARGIN_TOO_LOW"),
        ],
        boundary=[
            ({"decided_at": NOW - 300 * SECOND}, {"decided_at": NOW - 300 * SECOND - JUST}, "STALE_DECISION"),
            ({"decided_at": NOW + 2 * SECOND}, {"decided_at": NOW + 2 * SECOND + JUST}, "STALE_DECISION"),
            ({"claimed_price": D(101)}, {"claimed_price": D("101.01")}, "UNGROUNDED_PRICE"),
            ({"claimed_price": D(99)}, {"claimed_price": D("98.99")}, "UNGROUNDED_PRICE"),
            ({"reward_ratio": D(1)}, {"reward_ratio": D("0.999999")}, "R_TOO_LOW"),
            ({"profit_margin": D("0.05")}, {"profit_margin": D("0.049999")}, "MARGIN_TOO_LOW"),
        ],
        fails_closed=[
            ({"decided_at": None}, "STALE_DECISION"),
            *(({"claimed_price": value}, "UNGROUNDED_PRICE") for value in (None, NAN, INFINITE)),
            *(({"price": value}, "UNGROUNDED_PRICE") for value in (None, NAN, INFINITE, D(0))),
            *(({"reward_ratio": value}, "R_TOO_LOW") for value in (None, NAN, INFINITE)),
            *(({"profit_margin": value}, "MARGIN_TOO_LOW") for value in (None, NAN, INFINITE)),
            ({"held": None}, "POSITION_CHANGED"),
            ({"decided_at": NOW.replace(tzinfo=None)}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="protective_bracket",
        allows=[SHORT, MARKET, {"limit_price": D(99)}],
        refuses=[
            ({"stop_price": D(105)}, "WRONG_SIDE"),
            ({"target_price": D(90), "stop_price": D(105)}, "WRONG_SIDE"),
            (SHORT | {"target_price": D(110), "stop_price": D(95)}, "WRONG_SIDE"),
            ({"limit_price": D(94)}, "WRONG_SIDE"),
            ({"stop_price": D(0)}, "NO_PROTECTION"),
        ],
        boundary=[
            ({"stop_price": D("99.99")}, {"stop_price": D(100)}, "WRONG_SIDE"),
            ({"target_price": D("101.01")}, {"target_price": D(101)}, "WRONG_SIDE"),
            (MARKET | {"target_price": D("100.01")}, MARKET | {"target_price": D(100)}, "WRONG_SIDE"),
            (SHORT | {"stop_price": D("100.01")}, SHORT | {"stop_price": D(100)}, "WRONG_SIDE"),
            (SHORT | {"target_price": D("98.99")}, SHORT | {"target_price": D(99)}, "WRONG_SIDE"),
        ],
        fails_closed=[
            *(({"stop_price": value}, "NO_PROTECTION") for value in (None, NAN, INFINITE)),
            *(({"target_price": value}, "NO_PROTECTION") for value in (None, NAN, INFINITE)),
            *(({"price": value}, "WRONG_SIDE") for value in (None, NAN, INFINITE)),
            *(({"limit_price": value}, "WRONG_SIDE") for value in (None, NAN, INFINITE)),
            ({"stop_price": "95"}, "RULE_FAILED"),
        ],
    ),
]
