"""manage.py run_paper_gateway: the paper gateway with this site's settings as defaults."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from autotrader.core.ops import beats
from broker.paper_gateway.command import add_arguments, options_from, run


class Command(BaseCommand):
    """Serves until it is stopped."""

    help = "Run the paper gateway: a simulated TWS that any TWS API client can connect to."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The gateway's own options; host, port, data and store come from the settings."""
        add_arguments(parser, store=settings.AUTOTRADER_STATE_DIR / "paper.sqlite3")
        parser.set_defaults(
            host=settings.AUTOTRADER_BROKER_HOST,
            port=settings.AUTOTRADER_BROKER_PORT,
            data=Path(settings.AUTOTRADER_PAPER_DATA) if settings.AUTOTRADER_PAPER_DATA else None,
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve, then exit with the gateway's own code."""
        beats.start("gateway")
        arguments = argparse.Namespace(**options)
        code = run(options_from(arguments), exit_with_stdin=arguments.exit_with_stdin)
        if code:
            sys.exit(code)
