"""`manage.py anchor_audit`: write down the audit chain's head now, as a worker does every five minutes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from autotrader.core.audit.anchors import anchor_take, anchors_path
from autotrader.core.clock import system_now


class Command(BaseCommand):
    help = "Append the audit log's head to the anchors, and send it where the settings say."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was anchored and where."""
        anchor = anchor_take(system_now())
        self.stdout.write(f"audit: row {anchor.seq} anchored in {anchors_path()}")
