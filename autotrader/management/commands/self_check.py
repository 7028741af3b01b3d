"""`manage.py self_check`: do our own rows hold together? Reads only; exit 1 and a list where they do not."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from autotrader.core.clock import system_now
from trading.selectors.invariants import CHECKS, Terms
from trading.services.order_states import GRAPH


class Command(BaseCommand):
    help = "Check the invariants of orders, fills, trades, approvals and epochs on our own rows. Reads only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--json`: one object."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 where all holds, else 1."""
        terms, began = Terms(GRAPH, system_now()), time.monotonic()
        found = {name: list(check(terms)) for name, check in CHECKS.items()}
        broken = [violation for rows in found.values() for violation in rows]
        seconds = round(time.monotonic() - began, 3)
        if options["json"]:
            rows = [asdict(violation) for violation in broken]
            report = {"ok": not broken, "checks": list(CHECKS), "violations": rows, "seconds": seconds}
            self.stdout.write(json.dumps(report, indent=1))
        else:
            self._print({name: len(rows) for name, rows in found.items()}, [str(row) for row in broken], seconds)
        if broken:
            sys.exit(1)

    def _print(self, counts: dict[str, int], broken: list[str], seconds: float) -> None:
        for name, count in counts.items():
            said = self.style.ERROR(f"{count} broken") if count else self.style.SUCCESS("holds")
            self.stdout.write(f"{name:<20} {said}  {(CHECKS[name].__doc__ or '').splitlines()[0]}")
        for line in broken:
            self.stderr.write(self.style.ERROR(line))
        self.stdout.write(f"{len(counts)} checks in {seconds:.1f} s; the audit chain itself: manage.py verify_audit")
