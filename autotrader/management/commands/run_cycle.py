"""`manage.py run_cycle`: one cycle in this process, or one as of a past day on a replay of its own."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection
from django.urls import reverse

from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError, Invalid
from autotrader.management.cycle_report import cycle_object, table
from autotrader.management.gateways import replay, replay_times
from broker import get_broker
from broker.errors import BrokerError
from trading.models import Cycle, StepRun, Strategy
from trading.services.cycles import cycle_fail, cycle_queue
from trading.workflow.lanes import run_cycle_here

DONE, FAILED, BAD_ARGUMENTS = 0, 1, 2


class Command(BaseCommand):
    help = "Run one cycle in this process and print what was decided, refused and ordered, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--strategy", action="append", default=[], help="name; may be given more than once")
        parser.add_argument("--symbol", action="append", default=[], help="only these; may be given more than once")
        parser.add_argument("--dry-run", action="store_true", help="stop before the order row")
        parser.add_argument("--as-of", help="YYYY-MM-DD: replay the end of that day's session")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 0 done, 1 failed, 2 bad arguments."""
        try:
            cycle = self._run(options)
        except (Invalid, ValueError) as error:
            self._refuse(str(error), options)
            sys.exit(BAD_ARGUMENTS)
        cycle.refresh_from_db()
        report = cycle_object(cycle)
        if options["json"]:
            self.stdout.write(json.dumps(report, indent=1))
        else:
            self._print(report)
        sys.exit(DONE if cycle.state == "DONE" else FAILED)

    def _refuse(self, message: str, options: dict[str, Any]) -> None:
        self.stderr.write(self.style.ERROR(message))
        if options["json"]:
            self.stdout.write(json.dumps({"cycle": None, "status": "REFUSED", "reason": message}))

    def _print(self, report: dict[str, Any]) -> None:
        head = f"cycle {report['cycle']} {report['status']}"
        self.stdout.write(f"\n{head}  account {report['account'] or '–'}  market time {report['market_time'] or '–'}")
        if report["reason"]:
            self.stdout.write(self.style.ERROR(report["reason"]))
        for line in table(report):
            self.stdout.write(line)
        page = reverse("admin:trading_cycle_change", args=[report["cycle"]])
        self.stdout.write(f"\nThe whole story: make up, then http://{settings.AUTOTRADER_BIND}{page}")

    def _run(self, options: dict[str, Any]) -> Cycle:
        day = _day(options["as_of"])
        symbols = [text.upper() for text in options["symbol"]]
        strategies = _strategies(options["strategy"], symbols)
        times = replay_times(day, symbols or _symbols(strategies)) if day else None
        # A lane of its own keeps the rows from the workers.
        cycle = cycle_queue(
            strategies=strategies,
            trigger="command",
            actor="run_cycle",
            symbols=symbols,
            dry_run=options["dry_run"],
            as_of=day,
            lane=f"cmd{secrets.token_hex(3)}",
            wake=False,
        )
        try:
            with _Progress(cycle, quiet=options["json"]) as progress:
                if times is not None:
                    with replay(f"DUR{cycle.pk:07d}", times.cycle_at) as desk:
                        run_cycle_here(cycle, desk.broker)
                        progress.say(f"advancing the clock to {times.end:%Y-%m-%d %H:%M} UTC")
                        desk.advance(times.end)
                else:
                    with get_broker(embedded=True) as broker:
                        run_cycle_here(cycle, broker)
                        broker.drain()
        except BrokerError as error:
            _fail(cycle, error)
        except KeyboardInterrupt:
            cycle_fail(cycle, "INTERRUPTED: stopped by hand")
            raise
        return cycle


def _fail(cycle: Cycle, error: AutoTraderError) -> None:
    cycle.refresh_from_db()
    if cycle.state in ("QUEUED", "RUNNING"):
        cycle_fail(cycle, f"{error.reason}: {error.message}")


def _day(text: str | None) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"--as-of {text} is not a date; write it as 2019-06-03.") from error
    if day > system_now().date():
        raise Invalid(f"--as-of {text} lies in the future.")
    return day


def _strategies(names: list[str], symbols: list[str]) -> list[Strategy]:
    """Those that were named; else of the enabled ones those that trade one of the symbols, where any does."""
    rows = Strategy.objects.select_related("workflow_version").prefetch_related("instruments")
    rows = rows.filter(name__in=names) if names else rows.filter(enabled=True)
    missing = sorted(set(names) - {row.name for row in rows})
    if missing:
        known = ", ".join(Strategy.objects.values_list("name", flat=True)) or "none"
        raise Invalid(f"There is no strategy {missing[0]}; there are: {known}.")
    if not rows:
        raise Invalid("There is no enabled strategy; make one in the admin, or run manage.py seed_demo.")
    found = list(rows.order_by("-priority", "id"))
    trading = [row for row in found if {one.symbol for one in row.instruments.all()} & set(symbols)]
    return found if names else trading or found


def _symbols(strategies: list[Strategy]) -> list[str]:
    return sorted({row.symbol for strategy in strategies for row in strategy.instruments.all()})


class _Progress:
    """One line on stderr a finished step, so that a person sees it move."""

    def __init__(self, cycle: Cycle, *, quiet: bool) -> None:
        self._cycle = cycle
        self._quiet = quiet
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Progress:
        if not self._quiet:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def say(self, text: str) -> None:
        """One line of progress."""
        if not self._quiet:
            sys.stderr.write(f"  {text}\n")

    def _watch(self) -> None:
        seen = 0
        try:
            while not self._ended.wait(0.2):
                seen = self._show(seen)
            self._show(seen)
        finally:
            connection.close()

    def _show(self, seen: int) -> int:
        steps = StepRun.objects.filter(execution__cycle=self._cycle, pk__gt=seen).order_by("pk")
        for step in steps.select_related("execution__instrument"):
            self.say(f"{step.execution.instrument.symbol:<6} {step.name:<15} {step.ms:>5} ms {step.error}")
            seen = step.pk
        return seen
