"""The cases of the controls of flow and of the desk."""

from __future__ import annotations

from tests.trading.rule_cases import Cases

CASES = [
    Cases(
        rule="orders_per_day",
        allows=[{"entries_today": 3}],
        refuses=[({"entries_today": 99}, "TOO_MANY_ORDERS_TODAY")],
        boundary=[({"entries_today": 9}, {"entries_today": 10}, "TOO_MANY_ORDERS_TODAY")],
        fails_closed=[({"entries_today": None}, "RULE_FAILED")],
    ),
]
