"""`manage.py demo`: a guided walk from quote to audit on a gateway of its own."""

from __future__ import annotations

import json
import secrets
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from autotrader.management.walk import Step, Walk
from broker import get_broker
from broker.paper_gateway.embedded import EmbeddedGateway

BAD_SETTINGS = 2
FAILED = 1


class Command(BaseCommand):
    help = "Walk through a trade from quote to audit; each step is compared with the exchange's ledger."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--json", action="store_true", help="print one JSON object, and ask nothing")
        parser.add_argument("--yes", action="store_true", help="do not wait for Enter between the steps")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 where every step holds, 1 where one does not, 2 where the settings name a real broker."""
        if settings.AUTOTRADER_BROKER != "paper" or settings.AUTOTRADER_BROKER_URL:
            raise CommandError(
                "The walk places orders on a gateway of its own; it needs AUTOTRADER_BROKER=paper.",
                returncode=BAD_SETTINGS,
            )
        self._talks = not options["json"]
        self._waits = self._talks and not options["yes"] and sys.stdin.isatty()
        if self._talks:
            call_command("prepare", stdout=self.stdout)
        else:
            call_command("prepare", stdout=self.stderr)
        steps = self._walk()
        if options["json"]:
            told = [asdict(step) | {"ok": step.ok} for step in steps]
            self.stdout.write(json.dumps({"ok": all(step.ok for step in steps), "steps": told}, indent=1))
        if not all(step.ok for step in steps):
            sys.exit(FAILED)

    def _walk(self) -> list[Step]:
        account, key = f"DUR9{secrets.randbelow(10**6):06d}", secrets.token_hex(4)
        done: list[Step] = []
        with (
            EmbeddedGateway(port=0, store_path=None, account=account) as gateway,
            get_broker(host=gateway.host, port=gateway.port, accounts=lambda: [account]) as broker,
        ):
            for number, step in enumerate(Walk(gateway, broker, key).steps(), start=1):
                done.append(step)
                if self._talks:
                    self._show(number, step)
        return done

    def _show(self, number: int, step: Step) -> None:
        self.stdout.write(f"\n{self.style.MIGRATE_HEADING(f'{number}. {step.name}')}  {step.about}")
        for line in step.lines:
            self.stdout.write(f"   {line}")
        for check in step.checks:
            if check.holds:
                self.stdout.write(self.style.SUCCESS(f"   = {check.what}: {check.ours}"))
            else:
                self.stdout.write(self.style.ERROR(f"   ≠ {check.what}: {check.ours}, the ledger {check.theirs}"))
        if step.problem:
            self.stdout.write(self.style.ERROR(f"   {step.problem}"))
        if self._waits and step.ok:
            input("   Enter goes on … ")
