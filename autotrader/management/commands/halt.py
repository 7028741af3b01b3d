"""`manage.py halt`: stop trading now, with or without the web, the database and the owner; or release it again."""

from __future__ import annotations

import getpass
import json
import sys
import threading
import time
from argparse import ArgumentParser
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connections

from autotrader.core.errors import AutoTraderError
from autotrader.core.ops.crashpoints import crashpoint
from broker import halts as halt_rows
from broker import latch as latches
from broker import types
from broker.gates import HaltState
from broker.kill_switch import end_orders
from broker.latch import Latch
from broker.paper_gateway.hold import held_address
from broker.service.owner import Place
from trading.services.halts import reason_of_halt, release

PROVEN, UNPROVEN, REFUSED, NOT_HALTED = 0, 1, 3, 4
ROW_LIMIT = 5.0
BY_COMMAND = "halted from the command line"
UNKEPT = (
    "The file latch halts, but could not keep what is to be cancelled (is the disk full?): whoever takes over now does "
    "not go on with it. Make room, then run this command again."
)
WARNING = (
    "--cancel all ends EVERY order of the account, also those of other programs, those made by hand and the stops that "
    "protect positions: the positions are naked then."
)


@dataclass(frozen=True, slots=True)
class Result:
    """What the command says: `state` in force, the numbers of the cancels, whether the row is written, and why the wish
    to cancel is not kept, empty where it is."""

    state: str
    cancel: str
    asked: int
    confirmed: int
    working: tuple[str, ...]
    kept: tuple[str, ...]
    done: bool
    problem: str
    row: str
    file_ms: float
    unkept: str


class Command(BaseCommand):
    help = (
        "Stop trading: the file latch first, then the owner ends the entries (protective stops stay); a silent owner "
        "is killed and its work done here. Needs no database. Exit 0: in force and all that was asked is proven; 1: in "
        "force, not all is proven, or the disk did not keep it; 3: refused, nothing changed; 4: neither the file latch "
        "nor the row could be written."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The command's options."""
        parser.add_argument("--cancel", choices=["none", "entries", "all"], default="entries", help="orders to end")
        parser.add_argument("--yes", action="store_true", help="do not ask before --cancel all")
        parser.add_argument("--reduce", action="store_true", help="REDUCING instead of HALTED")
        parser.add_argument("--wait", type=float, default=10, metavar="SECONDS", help="for the proof (10)")
        parser.add_argument("--release", action="store_true", help="open trading again (with --reduce: to REDUCING)")
        parser.add_argument("--seen", default="", help="release only this halt, as GET /api/halt or --release names it")
        parser.add_argument("--user", default="", help="who releases; a user with the permission to")
        parser.add_argument("--reason", default="", help="why; kept in the audit log")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Halt or release, and exit with the code that the help tells."""
        try:
            code = self._release(options) if options["release"] else self._halt(options)
        except AutoTraderError as error:
            self.stderr.write(self.style.ERROR(error.message))
            code = REFUSED
        sys.exit(code)

    def _release(self, options: dict[str, Any]) -> int:
        to = HaltState.REDUCING if options["reduce"] else HaltState.ACTIVE
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            self.stderr.write(self.style.ERROR("--release needs --user with the name of a user."))
            return REFUSED
        stands = halt_rows.halt_reading()
        if not options["json"]:
            why = stands.reason or "no reason told"
            self.stdout.write(f"In force: {stands.state.value} by {stands.actor}: {why} (seen {stands.seen})")
        outcome = release(user=user, reason=options["reason"], to=to, seen=options["seen"] or stands.seen)
        reading = outcome.reading
        if options["json"]:
            self.stdout.write(json.dumps({"state": reading.state.value, "problem": outcome.problem}))
        else:
            self.stdout.write(f"Trading is {reading.state.value}.")
            if outcome.problem:
                self.stdout.write(self.style.WARNING(f"Mind: {outcome.problem}."))
        return PROVEN if reading.state is to else REFUSED

    def _halt(self, options: dict[str, Any]) -> int:
        wish = _wish(options)
        began = time.perf_counter()
        wish, stands = self._tighten(wish)
        crashpoint("halt_file")
        file_ms = round((time.perf_counter() - began) * 1000, 1)
        if stands is not None and not options["json"]:
            self.stdout.write(f"Trading is {stands.state}.")
        wish, stands = self._all_confirmed(wish, stands, options)
        in_file = stands is not None and latches.carries(stands, wish)
        # Without the file the row must hold, and before any order is ended.
        row_holds = stands is None and _row_written(wish)
        report = _end_orders(wish, stands if in_file else None, options["wait"], self.stderr.write)
        row = "written" if row_holds or _row_written(None if in_file else _left(wish, report)) else "later"
        unkept = UNKEPT if wish.cancel and not in_file else ""
        self._print(_result(latches.read(_state_dir()), report, row, file_ms, unkept), as_json=options["json"])
        if stands is None and not row_holds:
            return NOT_HALTED
        return PROVEN if report.done and not unkept else UNPROVEN

    def _tighten(self, wish: Latch) -> tuple[Latch, Latch | None]:
        """The wish, with a larger one that a full disk loses; and what the file says now, None where it could not be
        made, which is said."""
        try:
            stands, merged = latches.tightened(_state_dir(), wish)
        except OSError as error:
            problem = f"The file latch cannot be written ({error.strerror}); the database's row must hold."
            self.stderr.write(self.style.ERROR(problem))
            return wish, None
        is_lost = merged.is_cancelling and not latches.carries(stands, merged)
        return replace(wish, cancel=merged.cancel, run=merged.run) if is_lost else wish, stands

    def _all_confirmed(self, wish: Latch, stands: Latch | None, options: dict[str, Any]) -> tuple[Latch, Latch | None]:
        """The wish to end all orders, once a person has typed it; the halt and the entries' end wait for nobody."""
        if options["cancel"] != "all" or options["yes"]:
            return wish, stands
        self.stderr.write(self.style.WARNING(WARNING))
        if not sys.stdin.isatty():
            self.stderr.write("Nobody can be asked here: only the entries are ended. Repeat with --yes for all.")
            return wish, stands
        if input("Type ALL to end every order: ").strip() != "ALL":
            self.stderr.write("Only the entries are ended.")
            return wish, stands
        wish, now = self._tighten(_wish({**options, "yes": True}))
        return wish, now or stands

    def _print(self, result: Result, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(asdict(result)))
            return
        if result.cancel:
            self.stdout.write(
                f"Orders: {result.asked} asked to end, {result.confirmed} confirmed by the broker's book, "
                f"{len(result.working)} still working, {len(result.kept)} kept on purpose."
            )
        else:
            self.stdout.write("No order was cancelled.")
        if result.working:
            self.stdout.write(self.style.WARNING(f"Still working: {', '.join(result.working)}"))
        if result.kept:
            self.stdout.write(f"Kept: {', '.join(result.kept)}")
        if result.problem:
            self.stdout.write(self.style.WARNING(f"Not proven: {result.problem}"))
        if result.unkept:
            self.stdout.write(self.style.WARNING(result.unkept))
        if result.row == "later":
            self.stdout.write("The database does not answer: the file holds, and the row follows by itself.")


def _state_dir() -> Path:
    return Path(settings.AUTOTRADER_STATE_DIR)


def _wish(options: dict[str, Any]) -> Latch:
    reason = reason_of_halt(options["reason"], BY_COMMAND)
    state = HaltState.REDUCING if options["reduce"] else HaltState.HALTED
    asked = {"none": "", "all": "all" if options["yes"] else "entries"}
    cancel: Any = asked.get(options["cancel"], options["cancel"])
    return halt_rows.wish_of(state, options["user"] or f"shell:{getpass.getuser()}", reason, cancel)


def _end_orders(wish: Latch, stands: Latch | None, wait_s: float, say: Any) -> types.KillReport:
    """`stands`: the file that carries the wish; without one the wish itself is what is to be done."""
    told = stands or wish
    word: Any = told.state
    request = types.Kill(word, told.cancel, told.actor, told.reason, told.run, wait_s)
    if not told.is_cancelling and not settings.AUTOTRADER_BROKER_URL:
        return types.KillReport(told.run, "", "", 0, 0, (), (), done=True)
    return end_orders(_place(), request, say, in_file=stands is not None)


def _left(wish: Latch, report: types.KillReport) -> Latch:
    """The wish for the row: what is proven to have ended is not to be ended again."""
    return replace(wish, cancel="") if report.done else wish


def _place() -> Place:
    """Where the desk connects: an embedded gateway may have had to take another port than its usual one."""
    place = Place()
    running = None
    with suppress(OSError):  # a folder that cannot be read tells of no gateway
        running = held_address(place.state_dir / "paper.sqlite3") if place.paper else None
    if running is None or settings.AUTOTRADER_BROKER_PORT_IS_SET:
        return place
    return replace(place, host=running[0], port=running[1])


def _row_written(wish: Latch | None = None) -> bool:
    """Bring the row up to the file, or to the wish where there is no file; False where the database has not done so
    within a few seconds."""
    done: list[bool] = []

    def write() -> None:
        try:
            if wish is None:
                halt_rows.halt_sync(grace=0)
            else:
                halt_rows.halt_set(wish.state, wish.actor, wish.reason, cancel=wish.cancel)
            done.append(True)
        except DatabaseError:
            return
        finally:
            connections.close_all()

    # A database that accepts and then says nothing must not keep the command: the thread ends with the process.
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(ROW_LIMIT)
    return bool(done)


def _result(latch: Latch | None, report: types.KillReport, row: str, file_ms: float, unkept: str) -> Result:
    state = latch.state if latch else "ACTIVE"
    counts = (report.asked, report.confirmed, report.working, report.kept)
    return Result(state, report.cancel, *counts, report.done, report.problem, row, file_ms, unkept)
