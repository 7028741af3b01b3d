"""Frames that get lost, late, out of order or twice, and requests that are never answered; the market knows better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from broker.paper_gateway.faults.base import Fault, FaultError, FrameFault
from broker.paper_gateway.faults.names import matches
from broker.paper_gateway.session import Session


@dataclass(kw_only=True)
class Drop(FrameFault):
    """Frames that never arrive: `acks`, one `execDetails` …"""

    name = "drop"

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        return () if self.fits(session, name) else (frame,)


@dataclass(kw_only=True)
class Delay(FrameFault):
    """Frames that arrive `seconds` late, up to `jitter` more by chance; others overtake them."""

    name = "delay"
    ranges = {"seconds": (0, 86_400), "jitter": (0, 86_400)}
    seconds: float = 1.0
    jitter: float = 0.0

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        if not self.fits(session, name):
            return (frame,)
        late = self.seconds + (self.chance.uniform(0, self.jitter) if self.jitter else 0)
        self.scene.later(late, partial(session.deliver, frame))
        return ()


@dataclass(kw_only=True)
class Slow(Delay):
    """Every answer late by `seconds`, in order."""

    name = "slow"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.jitter:
            raise FaultError("slow keeps the order of frames; with jitter it is `delay`")


@dataclass(kw_only=True)
class Reorder(FrameFault):
    """Frames held back until `window` of them are there, or `seconds` have passed, and then sent in another order."""

    name = "reorder"
    ranges = {"window": (2, 10_000), "seconds": (0, 86_400)}
    kinds: tuple[str, ...] = ("orders",)
    window: int = 4
    seconds: float = 0.2
    held: dict[Session, list[bytes]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seconds <= 0:
            raise FaultError("reorder: seconds is above 0")

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        if not self.fits(session, name):
            return (frame,)
        held = self.held.setdefault(session, [])
        held.append(frame)
        if len(held) >= self.window:
            return self._shuffled(session)
        if len(held) == 1:
            self.scene.later(self.seconds, partial(self._release, session))
        return ()

    def end(self) -> None:
        for session in list(self.held):
            self._release(session)

    def _release(self, session: Session) -> None:
        session.deliver(*self._shuffled(session))

    def _shuffled(self, session: Session) -> list[bytes]:
        """What is held, in an order that is not the one it came in."""
        held = self.held.pop(session, [])
        shuffled = held[:]
        while len(set(held)) > 1 and shuffled == held:
            self.chance.shuffle(shuffled)
        return shuffled


@dataclass(kw_only=True)
class Duplicate(FrameFault):
    """Frames that arrive `copies` times more."""

    name = "duplicate"
    ranges = {"copies": (1, 100)}
    kinds: tuple[str, ...] = ("fills",)
    copies: int = 1

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        return [frame] * (1 + self.copies) if self.fits(session, name) else (frame,)


@dataclass(kw_only=True)
class Silent(Fault):
    """Requests of these `kinds` that get through to nobody and are never answered."""

    name = "silent"
    kinds: tuple[str, ...] = ("all",)

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        return not (name != "startApi" and matches(name, self.kinds) and self.acts(session))


@dataclass(kw_only=True)
class Unanswered(Fault):
    """Requests that are handled while nothing of it is told: the outcome of an order stays unknown."""

    name = "unanswered"
    kinds: tuple[str, ...] = ("placeOrder", "cancelOrder")
    muted: set[Session] = field(init=False, default_factory=set)

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        self.muted.discard(session)
        if matches(name, self.kinds) and self.acts(session):
            self.muted.add(session)
        return True

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        return () if session in self.muted else (frame,)


@dataclass(kw_only=True)
class ClockSkew(Fault):
    """reqCurrentTime is answered `seconds` ahead of the gateway's clock, behind it where negative."""

    name = "clock_skew"
    ranges = {"seconds": (-1_000_000_000, 1_000_000_000)}
    seconds: float = 60.0

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        if name != "currentTime" or not self.acts(session):
            return (frame,)
        head, _, seconds = frame[4:-1].rpartition(b"\0")
        moved = head + b"\0" + str(int(int(seconds) + self.seconds)).encode() + b"\0"
        return (len(moved).to_bytes(4, "big") + moved,)
