"""The faults of one gateway: starts them by name, lets them begin and end, and leads all that passes by them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from broker.paper_gateway.faults.base import Fault, FaultError, Scene
from broker.paper_gateway.faults.names import frame_name, matches
from broker.paper_gateway.faults.parameters import make, parse
from broker.paper_gateway.faults.registry import FAULTS
from broker.paper_gateway.session import Session
from broker.paper_gateway.types import EngineEvent

HISTORY = 100

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Started:
    """A fault and where it is in its life; `timers` take back what was to happen later."""

    number: int
    fault: Fault
    state: Literal["waiting", "on", "over"] = "waiting"
    timers: list[Callable[[], None]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """What the control port tells of it."""
        fault = self.fault
        return {
            "id": self.number,
            "name": fault.name,
            "state": self.state,
            "acted": fault.acted,
            "seed": fault.seed,
            "reproduce": fault.spell(),
        }


class Faults:
    """All faults started so far; `live` holds those that wait or are on, and is empty in a healthy gateway."""

    def __init__(self, scene: Scene, seed: int = 0) -> None:
        self.scene = scene
        self.seed = seed
        self.live: tuple[Started, ...] = ()
        self.pushing = False
        self._over: deque[Started] = deque(maxlen=HISTORY)
        self._count = 0

    def start(self, name: str, parameters: Mapping[str, object]) -> int:
        """Start a fault; the number it is known by. Raises FaultError for a name or parameter that is unknown."""
        kind = FAULTS.get(name)
        if kind is None:
            raise FaultError(f"there is no fault {name[:40]!r}; there are {', '.join(sorted(FAULTS))}")
        fault = make(kind, {"seed": self.seed, **parameters})
        fault.scene = self.scene
        self._count += 1
        started = Started(self._count, fault)
        self.live = (*self.live, started)
        logger.warning("fault %s started; --fault %s makes the same", started.number, fault.spell())
        if fault.after:
            started.timers.append(self.scene.later(fault.after, lambda: self._begin(started)))
        elif not fault.on:
            self._begin(started)
        return started.number

    def start_text(self, text: str) -> int:
        """Start a fault written as `name:key=value,…`."""
        return self.start(*parse(text))

    def heal(self, name: str | None = None) -> list[str]:
        """End the faults of that name, or all; what ended, as text that makes the same again."""
        ended = [started for started in self.live if name in (None, started.fault.name)]
        for started in ended:
            self._end(started)
        return [started.fault.spell() for started in ended]

    def documents(self) -> list[dict[str, Any]]:
        """Every fault started, oldest first, with the state it is in."""
        return [started.document() for started in sorted({*self._over, *self.live}, key=lambda one: one.number)]

    def _begin(self, started: Started) -> None:
        if started.state != "waiting":
            return
        started.state = "on"
        try:
            started.fault.begin()
        except Exception:
            self._leave(started)
            raise
        if started.fault.lasts:
            started.timers.append(self.scene.later(started.fault.lasts, lambda: self._end(started)))

    def _end(self, started: Started) -> None:
        if started.state == "over":
            return
        was_on = started.state == "on"
        self._leave(started)
        if was_on:
            started.fault.end()

    def _leave(self, started: Started) -> None:
        started.state = "over"
        for take_back in started.timers:
            take_back()
        self.live = tuple(other for other in self.live if other is not started)
        self._over.append(started)

    def _active(self) -> Iterable[Fault]:
        return [started.fault for started in self.live if started.state == "on"]

    def _notice(self, session: Session, name: str) -> None:
        """Let those begin that waited for a frame of this name."""
        for started in self.live:
            fault = started.fault
            if started.state == "waiting" and fault.on and matches(name, (fault.on,)) and fault.concerns(session):
                fault.seen += 1
                if fault.seen >= fault.nth:
                    self._begin(started)

    # What passes by

    def admits(self, session: Session) -> bool:
        """Whether a new connection is taken."""
        return all(fault.admits(session) for fault in self._active())

    def arriving(self, session: Session, data: bytes) -> bytes:
        """The bytes from a client that get through."""
        for fault in self._active():
            data = fault.arriving(session, data)
        return data

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        """Whether a request gets through."""
        self._notice(session, name)
        return all(fault.request(session, name, fields) for fault in self._active())

    def event(self, event: EngineEvent) -> bool:
        """Whether the sessions hear what the exchange says."""
        heard = [fault.event(event) for fault in self._active()]  # each of them is to know
        return all(heard)

    def frames(self, session: Session, frames: Iterable[bytes]) -> list[bytes]:
        """What is put in line in place of frames to a client."""
        return [passed for frame in frames for passed in self._frame(session, frame)]

    def _frame(self, session: Session, frame: bytes) -> list[bytes]:
        name = frame_name(frame, pushed=self.pushing)
        self._notice(session, name)
        passed = [frame]
        for fault in self._active():
            passed = [after for before in passed for after in fault.frame(session, name, before)]
        return passed

    def leaving(self, session: Session, data: bytes) -> bytes:
        """The bytes to a client that are written."""
        for fault in self._active():
            data = fault.leaving(session, data)
        return data
