"""`manage.py prepare`: the database as this code needs it, and a first strategy; quick where nothing is to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from trading.models import Strategy
from trading.services.schedules import schedules_ensure
from trading.services.strategies import desk_profile_ensure


class Command(BaseCommand):
    help = "Apply missing migrations, make the demo strategy, the desk's limits, the queue's schedules."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Look first: most starts find everything in place."""
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            call_command("migrate", interactive=False, verbosity=0)
            self.stdout.write(f"database: {len(missing)} migrations applied")
        if not Strategy.objects.exists():
            call_command("seed_demo", stdout=self.stdout)
        desk_profile_ensure(actor="prepare")
        schedules_ensure()
