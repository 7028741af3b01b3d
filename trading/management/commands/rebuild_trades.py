"""`manage.py rebuild_trades`: make every trade anew from fills alone, or check that it would change nothing."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from autotrader.core import audit
from trading.services.rebuild import differences, ledgers, rebuild

DIFFERS = 1


class Command(BaseCommand):
    help = "Rebuild the trades of all ledgers from fills alone and print what differed; a second run changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a trade differs")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0, or 1 where --check finds a difference."""
        every = ledgers()
        with audit.acting(actor="rebuild_trades"):
            found = [one for ledger in every for one in (differences if options["check"] else rebuild)(ledger)]
        if options["json"]:
            document = {"ledgers": len(every), "written": not options["check"], "differences": list(map(asdict, found))}
            self.stdout.write(json.dumps(document, indent=1))
        else:
            self._tell(len(every), found, check=options["check"])
        if found and options["check"]:
            sys.exit(DIFFERS)

    def _tell(self, count: int, found: list[Any], *, check: bool) -> None:
        for one in found:
            where = " ".join(filter(None, (one.account, one.strategy, one.instrument)))
            what = one.field or "row"
            self.stdout.write(f"{where} {one.opening_exec_id}: {what} is {one.row}, its fills make {one.fills}")
        verb = "differ" if check else "were put right"
        outcome = f"{len(found)} values {verb}" if found else "every trade is what its fills make it"
        self.stdout.write(f"{count} ledgers: {outcome}")
