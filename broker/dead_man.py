"""The dead man's switch of the supervisor: an owner that lived and is silent for a minute halts trading."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import DatabaseError, connections

from autotrader.core.ops.pace import paced
from broker import halts, types
from broker import latch as latches
from broker.errors import BrokerError
from broker.kill_switch import end_orders
from broker.latch import HaltState
from broker.remote import WRONG_SECRET, RemoteBroker
from broker.service import lock
from broker.service.owner import Place

logger = logging.getLogger(__name__)
SILENT_FOR = 60.0
LOOK_EVERY = 2.0
TRY_EVERY = 5.0
WAIT_S = 10.0
ACTOR = "dead man"
Say = Callable[[str, str], None]


class Silence:
    """Since when nobody has answered; no clock of its own."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._answered: float | None = None

    def is_too_long(self, *, answered: bool, now: float) -> bool:
        """Note one question; True where somebody has answered once, and nobody for longer than the limit."""
        if answered:
            self._answered = now
        return self._answered is not None and now - self._answered > self._limit


class DeadMan:
    """Asks for signs of life; without one for the limit it halts, and ends the entries in the owner's place.

    It looks at the owner's process, not at the gateway: one that restarts for minutes each night stops no desk, whose
    gates are shut meanwhile.
    """

    def __init__(self, place: Place, say: Say, *, limit: float = SILENT_FOR) -> None:
        self._place = place
        self._say = say
        self._limit = limit
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dead-man", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; what is under way ends with the process."""
        self._stopping.set()

    def _run(self) -> None:
        silence = Silence(paced(self._limit))
        while not self._stopping.wait(paced(min(LOOK_EVERY, self._limit / 5))):
            if silence.is_too_long(answered=self._answers(), now=time.monotonic()) and not self._stopping.is_set():
                self._halt()
                silence = Silence(paced(self._limit))

    def _answers(self) -> bool:
        try:
            holder = lock.read(self._place.lock_path)
            if holder is None or not holder.url:
                return False
            remote = RemoteBroker(holder.url, settings.AUTOTRADER_BROKER_SECRET)
            try:
                remote.call("status", types.Nothing())
            finally:
                remote.close()
        except (BrokerError, OSError) as error:
            logger.debug("the owner gave no sign of life: %s", error)
            return isinstance(error, BrokerError) and error.reason == WRONG_SECRET
        return True

    def _halt(self) -> None:
        reason = f"the owner of the broker's connection has not answered for {paced(self._limit):g} s"
        self._say("dead man", f"{reason}; trading is HALTED")
        wish = halts.wish_of(HaltState.HALTED, ACTOR, reason, "entries")
        try:
            stands = latches.tighten(self._place.state_dir, wish)
        except OSError:
            logger.exception("the dead man's switch could not write the file latch")
            return
        in_file = latches.carries(stands, wish)
        request = types.Kill("HALTED", "entries", ACTOR, reason, stands.run if in_file else wish.run, WAIT_S)
        while not self._stopping.is_set() and self._stands(stands.run):
            report = end_orders(self._place, request, partial(self._say, "dead man"), in_file=in_file)
            self._write_row()
            if report.done:
                self._say("dead man", f"{report.confirmed} of {report.asked} entries ended")
                return
            self._say("dead man", f"not proven: {report.problem}")
            self._stopping.wait(paced(TRY_EVERY))

    def _stands(self, run: str) -> bool:
        """False once a person has released it, or another halt goes on with it: to ask again would halt anew."""
        found = latches.read(self._place.state_dir)
        return found is not None and found.run == run

    def _write_row(self) -> None:
        try:
            halts.halt_sync()
        except DatabaseError as error:
            logger.info("the Halt's row follows later: %s", error)
        finally:
            connections.close_all()
