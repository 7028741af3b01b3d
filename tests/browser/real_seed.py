"""The rows that the desk of the screen tests begins with, in a process of its own: two people, a key, four strategies.

Prints the key, by which a program acts for the administrator.
"""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any

import django

ADMINISTRATOR, APPROVER = "anna", "bob"
PASSWORD = "a-long-enough-password"
# Name: mode and instrument. Each test has a strategy of its own, so that no limit of one meets another.
STRATEGIES = {
    "works": ("auto", "SPY"),
    "asks": ("approve", "AAPL"),
    "goes on": ("auto", "IBM"),
    "waits": ("auto", "MSFT"),
}
STEPS: list[dict[str, Any]] = [
    {"name": "check_session"},
    {"name": "fetch_data", "parameters": {"timeframes": [1], "min_bars": [20]}},
    {"name": "generate_chart"},
    {"name": "ai_analyze"},
    {"name": "consolidate"},
    {"name": "decide"},
    {"name": "validate_risk"},
    {"name": "place_order"},
]
PARAMETERS = {"period_1": "3 M", "bar_1": "1 day"}


def main() -> None:
    """Migrate, then make the rows through the services."""
    django.setup()
    from django.contrib.auth.models import Group
    from django.core.management import call_command

    from autotrader.core.users.models import User

    call_command("migrate", verbosity=0, interactive=False)
    User.objects.create_superuser(ADMINISTRATOR, password=PASSWORD)
    approver = User.objects.create_user(APPROVER, password=PASSWORD)
    approver.groups.add(Group.objects.get(name="approver"))
    _strategies()
    call_command("anchor_audit", stdout=StringIO())  # as a worker does each five minutes
    scopes = ("--scope", "read", "--scope", "trade")
    call_command("create_api_key", "--user", ADMINISTRATOR, "--name", "screens", *scopes, "--json")


def _strategies() -> None:
    from trading.models import Instrument, RiskProfile, Strategy, Workflow
    from trading.services.strategies import desk_profile_ensure, risk_profile_save, strategy_save
    from trading.services.workflows import workflow_publish, workflow_version_add

    desk_profile_ensure(actor="seed")
    version = workflow_publish(workflow_version_add(Workflow.objects.create(name="one chart"), STEPS), actor="seed")
    limits = {"max_position_fraction": Decimal("0.01"), "max_order_value": Decimal(20_000)}
    profile = risk_profile_save(RiskProfile(name="small", **limits), actor="seed")
    for name, (mode, symbol) in STRATEGIES.items():
        strategy = Strategy(
            name=name,
            workflow_version=version,
            risk_profile=profile,
            mode=mode,
            analyst="model",
            parameters=PARAMETERS,
            interval_seconds=0,
        )
        strategy_save(strategy, actor="seed", instruments=[Instrument.objects.create(symbol=symbol)])


if __name__ == "__main__":
    main()
