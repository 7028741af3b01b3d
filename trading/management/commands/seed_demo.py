"""`manage.py seed_demo`: make the demo strategy."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from trading.services.demo import demo_seed
from trading.workflow.spec import validate


class Command(BaseCommand):
    help = "Make the demo strategy (SPY, AAPL, IBM), or leave it as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and say so."""
        strategy = demo_seed()
        validate(strategy.workflow_version.steps)
        symbols = ", ".join(strategy.instruments.values_list("symbol", flat=True))
        self.stdout.write(f"strategy {strategy.name}: {symbols}")
