"""`manage.py verify_audit`: exit 0 where the audit chain is whole, else 1 and the first bad row."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from autotrader.core.audit.verify import verify_chain


class Command(BaseCommand):
    help = "Recompute the audit log's hash chain and name the first row that does not fit."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the verdict."""
        verdict = verify_chain()
        if verdict.ok:
            self.stdout.write(self.style.SUCCESS(f"audit: {verdict.rows} rows, chain whole"))
            return
        self.stderr.write(self.style.ERROR(f"audit: broken at row {verdict.bad_seq}: {verdict.reason}"))
        sys.exit(1)
