"""`manage.py healthcheck`: is the desk well? It needs neither the web nor the database; exit 0, 1 degraded, 2 down."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from http.client import BadStatusLine, HTTPException
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from autotrader.core.clock import system_now
from autotrader.core.ops import beats
from autotrader.core.ops.breaker import database_look
from autotrader.core.ops.health import SKEW_S, DatabaseState, Health
from autotrader.operations import parts
from broker import get_broker
from broker.errors import BrokerError

OK, DEGRADED, DOWN = 0, 1, 2
WEB_LIMIT = 2.0
STRANGER = "what answers there is no AutoTrader"


@dataclass(frozen=True, slots=True)
class WebState:
    """What the web process answered: its own word of the whole, "" where it gave none."""

    url: str
    ok: bool
    status: str
    ms: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ClockState:
    """The broker's clock beside ours; `skew_s` = broker minus ours, null where the broker was not asked or is set."""

    system: datetime
    broker: datetime | None
    skew_s: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was looked at, with the exit code."""

    code: int
    problems: list[str]
    web: WebState
    clock: ClockState
    health: Health


class Command(BaseCommand):
    help = "Look at processes, database, migrations, broker, clocks, queue, anchors and disk. Exit 0 ok, 1 degraded, 2."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--json`, `--url` of the web to ask, `--process` to look at one only."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--url", default="", help="where the web answers; AUTOTRADER_BIND where not given")
        parser.add_argument("--process", default="", help="only whether this one lives on this host: web, work, now …")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit by the worst that was found; wrong settings exit 2 before this."""
        if options["process"]:
            self._one(options["process"], as_json=options["json"])
            return
        report = look(options["url"] or f"http://{reachable(settings.AUTOTRADER_BIND)}")
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report), indent=1, cls=DjangoJSONEncoder))
        else:
            self.stdout.write("\n".join(lines(report)))
        sys.exit(report.code)

    def _one(self, name: str, *, as_json: bool) -> None:
        here = [beat for beat in beats.read(name) if beat.host == socket.gethostname()]
        beat = here[0] if here else beats.Beat(name, running=False, pid=None, host="", age_s=None)
        seen = f"last seen {beat.age_s:g} s ago" if beat.age_s is not None else "never seen"
        text = json.dumps(asdict(beat)) if as_json else f"{name}: {'runs' if beat.running else f'not running, {seen}'}"
        self.stdout.write(text)
        sys.exit(OK if beat.running else DOWN)


def look(url: str) -> Report:
    """Look at everything; nothing waits longer than a few seconds."""
    found = parts.health(database_look(), broker=parts.broker_state, serves=False)
    if found.db_ok:
        found = _with_migrations(found)
    web, clock = web_state(url), clock_state(found)
    problems = [*found.problems]
    if found.database.migrations:
        problems.insert(0, f"{found.database.migrations} migrations are missing; run manage.py prepare.")
    if not web.ok:
        problems.append(f"The web at {web.url} does not answer: {web.reason}")
    elif web.status != "ok":
        problems.append(f"The web at {web.url} calls the desk {web.status[:20]}; its own answer says why.")
    if found.broker_state.skew_s is None and clock.skew_s is not None and abs(clock.skew_s) > SKEW_S:
        problems.append(f"The broker's clock is {clock.skew_s:+.1f} s from ours.")
    down = not found.db_ok or bool(found.database.migrations) or web.status == "down"
    code = DOWN if down else DEGRADED if problems else OK
    return Report(code, list(dict.fromkeys(problems)), web, clock, found)


def _with_migrations(found: Health) -> Health:
    """How many migrations this code has that the database lacks."""
    try:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        return replace(found, database=replace(found.database, migrations=missing))
    except DatabaseError as error:
        away = DatabaseState(ok=False, reason=str(error).strip().partition("\n")[0], since_s=0.0)
        return replace(found, status="down", db_ok=False, database=away, problems=[away.reason, *found.problems])


def web_state(url: str) -> WebState:
    """Ask the web for its own health; 503 is an answer too."""
    address, began = f"{url.rstrip('/')}/health", time.monotonic()
    try:
        with urllib.request.urlopen(address, timeout=WEB_LIMIT) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        text = error.read()
    except (OSError, ValueError, HTTPException) as error:
        return WebState(address, ok=False, status="", ms=None, reason=_why(error))
    try:
        status = str(json.loads(text)["status"])
    except (ValueError, KeyError, TypeError):
        return WebState(address, ok=False, status="", ms=None, reason=STRANGER)
    return WebState(address, ok=True, status=status, ms=round((time.monotonic() - began) * 1000), reason="")


def _why(error: Exception) -> str:
    """What went wrong in asking the web, without the library's wrapping."""
    if isinstance(error, BadStatusLine) and not isinstance(error, OSError):
        return STRANGER
    return str(error.reason if isinstance(error, urllib.error.URLError) else error)


def clock_state(found: Health) -> ClockState:
    """The broker's time beside ours, asked now."""
    now = system_now()
    if found.broker_state.state == "unavailable":
        return ClockState(now, None, None, "the broker's owner does not answer")
    try:
        with get_broker(own=False) as broker:
            told = broker.server_time()
    except BrokerError as error:
        return ClockState(now, None, None, error.message)
    if found.broker_state.clock == "set":
        return ClockState(told.system, told.broker, None, "the gateway's clock is set")
    return ClockState(told.system, told.broker, float(told.skew_s), "")


def reachable(bind: str) -> str:
    """The address by which this machine reaches what listens on `bind`."""
    host, _, port = bind.rpartition(":")
    return f"{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def lines(report: Report) -> list[str]:
    """The report for people: one line a part, then what is wrong."""
    found, clock = report.health, report.clock
    running = ", ".join(f"{beat.name} {'runs' if beat.running else 'NOT RUNNING'}" for beat in found.processes)
    queue = ", ".join(f"{lane.lane} {lane.waiting} waiting" for lane in found.queue or ())
    skew = f"{clock.skew_s:+.1f} s" if clock.skew_s is not None else clock.reason
    anchor = f"{found.audit.anchor_age_s:.0f} s old" if found.audit.anchor_age_s is not None else "none yet"
    rows = {
        "processes": running,
        "database": "answers" if found.db_ok else f"down: {found.database.reason}",
        "web": f"{report.web.status} in {report.web.ms} ms" if report.web.ok else report.web.reason,
        "broker": f"{found.broker} {found.broker_state.reason}".strip(),
        "server time": f"{clock.broker:%Y-%m-%d %H:%M:%S} UTC" if clock.broker else "unknown",
        "clock skew": skew,
        "queue": queue or "unknown",
        "anchor": anchor,
        "disk": f"{found.disk.free_bytes / 1024**3:.1f} GB free",
    }
    verdict = {OK: "ok", DEGRADED: "degraded", DOWN: "down"}[report.code]
    return [*(f"{name:<12}{text}" for name, text in rows.items()), *(f"! {line}" for line in report.problems), verdict]
