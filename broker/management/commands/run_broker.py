"""Own the broker connection and serve it to the other processes until told to stop."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from autotrader.core.ops import beats
from broker.service.lock import AlreadyOwned, Kept
from broker.service.run import ClientIdTaken, run

OWNED_ELSEWHERE = 3


class Command(BaseCommand):
    help = "Own the connection to the broker and serve it to the other processes."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit code 3 where another owner has the connection, or `manage.py up` keeps it."""
        beats.start("broker")
        try:
            run(self._say)
        except (AlreadyOwned, Kept, ClientIdTaken) as error:
            raise CommandError(error.message, returncode=OWNED_ELSEWHERE) from error

    def _say(self, line: str) -> None:
        """At once: who started this process waits for the line."""
        self.stdout.write(line)
        self.stdout.flush()
