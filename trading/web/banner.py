"""The one banner above every page: what is wrong with the desk at this moment, the worst first, or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from autotrader.core.audit.anchors import anchor_age
from autotrader.core.clock import system_now
from autotrader.core.ops import beats
from autotrader.core.ops.health import (
    AuditState,
    BrokerState,
    DatabaseState,
    LaneState,
    Parts,
    disk_state,
    judged,
    seconds,
)
from autotrader.core.ops.steps import troubles
from broker.gates import HaltReading, HaltState, halt_reading
from trading.selectors.pages.gateway import events_recorded
from trading.services.halts import may_halt
from trading.web import kit
from trading.web.numbers import NUMBERS, Told

KEPT_S = 1.0
STOPS_STAY = "Working stops stay at the broker."
HALTS = {
    HaltState.HALTED: "Trading is HALTED: nothing leaves but protective stops.",
    HaltState.REDUCING: "Trading is REDUCING: only orders that reduce a position leave.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence of the banner; `page` is the name of the page to go to, "" where there is none."""

    text: str
    page: str = ""
    is_bad: bool = True


class Stalled:
    """What does not run as it should, beside the broker; asked once a second for all the pages that look."""

    def __init__(self, ask: Callable[[], Sequence[str]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._problems: Sequence[str] = ()
        self._until = float("-inf")

    def get(self) -> Sequence[str]:
        """Sentences; none where all is well."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._problems = self._ask()
                self._until = time.monotonic() + KEPT_S
            return self._problems


@require_safe
@kit.shown_to()
def banner(request: HttpRequest) -> HttpResponse:
    """The banner's inside, which each page asks for every few seconds; empty where all is well."""
    told, reading = NUMBERS.get(), halt_reading()
    notices = [*_of_halt(reading), *_of_broker(told)]
    if kit.may(request, kit.FEED):
        notices.extend(Notice(problem, is_bad=False) for problem in STALLED.get())
    context = {
        "notices": notices,
        "is_bad": any(notice.is_bad for notice in notices),
        "may_halt": may_halt(request.user),
    }
    return kit.panel(request, "web/_banner.html", context)


def _of_halt(reading: HaltReading) -> list[Notice]:
    sentence = HALTS.get(reading.state)
    if sentence is None:
        return []
    by = f" By {reading.actor}" if reading.actor else ""
    why = f"{by}: {reading.reason}" if reading.reason else by
    return [Notice(sentence + why, "halt", is_bad=reading.state is HaltState.HALTED)]


def _of_broker(told: Told) -> list[Notice]:
    status = told.status
    found = []
    if told.problem:
        found.append(Notice(f"Live data unavailable: {_ended(told.problem)} {STOPS_STAY}", "gateway"))
    elif status is not None and not status.ready:
        reason = status.reason or status.phase.replace("_", " ")
        found.append(Notice(f"The broker is not ready, no order leaves: {_ended(reason)} {STOPS_STAY}", "gateway"))
    if status is not None and status.action:
        found.append(Notice(f"A person must act: {status.action}", "gateway"))
    return found


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def _stalled() -> list[str]:
    """By the same rules as `/health`; the broker and the stream have places of their own on the page."""
    now = system_now()
    try:
        recorded = events_recorded()
    except DatabaseError as error:
        return [f"The database does not answer: {str(error).strip().partition(chr(10))[0]}."]
    parts = Parts(
        database=DatabaseState(ok=True, reason="", since_s=0.0),
        broker=BrokerState("ready", ""),
        processes=beats.processes(beats.expected(_called_for())),
        queue=[LaneState(lane.lane, lane.waiting, lane.oldest_s) for lane in recorded.lanes],
        stream=None,
        audit=AuditState(recorded.head, seconds(anchor_age(now))),
        disk=disk_state(Path(settings.AUTOTRADER_STATE_DIR)),
        failing=[trouble.sentence for trouble in troubles()],
    )
    return judged(parts, now=now, build="").problems


def _called_for() -> list[str]:
    return ["web", "work", "now", *([] if settings.AUTOTRADER_BROKER_URL else ["broker"])]


STALLED = Stalled(_stalled)
