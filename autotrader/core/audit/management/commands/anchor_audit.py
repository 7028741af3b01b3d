"""`manage.py anchor_audit`: write down the audit chain's head now, as a worker does every five minutes."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from autotrader.core.audit.anchors import anchor_take, anchors_begin_anew, anchors_path
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError

SHORTEST_REASON = 3


class Command(BaseCommand):
    help = "Append the audit log's head to the anchors, and send it where the settings say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--begin-anew` with its reason."""
        parser.add_argument(
            "--begin-anew",
            action="store_true",
            help="set the file of anchors aside and begin a new one; after a restore that you have checked, or a new "
            "AUTOTRADER_SECRET_KEY",
        )
        parser.add_argument("--reason", default="", help="why it is begun anew; kept in the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was anchored and where."""
        reason = options["reason"].strip()
        if options["begin_anew"] and len(reason) < SHORTEST_REASON:
            raise CommandError("--begin-anew needs a --reason, which is kept in the audit log.")
        try:
            if options["begin_anew"]:
                anchor, old = anchors_begin_anew(f"shell:{getpass.getuser()}", reason, system_now())
                self.stdout.write(f"audit: the old anchors are kept in {old}")
            else:
                anchor = anchor_take(system_now())
        except AutoTraderError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"audit: row {anchor.seq} anchored in {anchors_path()}")
