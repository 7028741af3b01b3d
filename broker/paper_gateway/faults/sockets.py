"""Connections that break: cut between two bytes, cut inside a frame, held open in silence, or never let in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.paper_gateway.faults.base import MOST_ID, Fault, FaultError, FrameFault
from broker.paper_gateway.session import MAX_UNSENT, Session

DIRECTIONS = ("in", "out", "any")


@dataclass(kw_only=True)
class Reset(Fault):
    """A connection that is reset (RST) once `after_bytes` more bytes have passed in a `direction`: in, out or any."""

    name = "reset"
    ranges = {"after_bytes": (0, 1_000_000_000)}
    after_bytes: int = 0
    direction: str = "any"
    passed: dict[Session, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direction not in DIRECTIONS:
            raise FaultError(f"reset: direction is one of {', '.join(DIRECTIONS)}")

    def begin(self) -> None:
        if self.after_bytes == 0:
            for session in self.concerned():
                session.reset()

    def arriving(self, session: Session, data: bytes) -> bytes:
        return data if self.direction == "out" else self._pass(session, data)

    def leaving(self, session: Session, data: bytes) -> bytes:
        return data if self.direction == "in" else self._pass(session, data, write=True)

    def _pass(self, session: Session, data: bytes, *, write: bool = False) -> bytes:
        if not self.concerns(session) or (self.times and self.acted >= self.times):
            return data
        left = self.after_bytes - self.passed.get(session, 0)
        self.passed[session] = self.passed.get(session, 0) + len(data)
        if len(data) < left:
            return data
        self.acted += 1
        del self.passed[session]
        if write:
            session.write(data[:left])
        session.reset_soon()
        return b"" if write else data[:left]


@dataclass(kw_only=True)
class HalfFrame(FrameFault):
    """A frame of which only `share` is written before the connection is closed."""

    name = "half_frame"
    ranges = {"share": (0, 1)}
    times: int = 1
    share: float = 0.5

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        if not self.fits(session, name):
            return (frame,)
        session.flush()
        session.write(frame[: int(len(frame) * self.share)])
        session.close()
        return ()


@dataclass(kw_only=True)
class BlackHole(Fault):
    """Sockets stay open, nothing is read and nothing arrives, no end is told; after it is healed all of it is late."""

    name = "black_hole"
    held: list[tuple[Session, bytes]] = field(init=False, default_factory=list)
    size: int = field(init=False, default=0)
    deaf: set[Session] = field(init=False, default_factory=set)

    def begin(self) -> None:
        for session in self.concerned():
            self._deafen(session)

    def end(self) -> None:
        for session, frame in self.held:
            session.deliver(frame)
        for session in self.deaf:
            session.hear()

    def admits(self, session: Session) -> bool:
        if self.client < 0:
            self._deafen(session)
        return True

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        if session not in self.deaf:
            return (frame,)
        self.acted += 1
        self.held.append((session, frame))
        self.size += len(frame)
        if self.size > MAX_UNSENT:
            session.abort()
        return ()

    def _deafen(self, session: Session) -> None:
        self.deaf.add(session)
        session.deafen()


@dataclass(kw_only=True)
class HalfOpen(Fault):
    """The gateway forgets its clients without telling them: an id is free again, the next bytes meet a reset."""

    name = "half_open"
    forgotten: set[Session] = field(init=False, default_factory=set)

    def begin(self) -> None:
        for session in self.concerned():
            self.acted += 1
            self.forgotten.add(session)
            if session.client_id is not None:
                self.scene.desk.clients.pop(session.client_id, None)

    def arriving(self, session: Session, data: bytes) -> bytes:
        if session not in self.forgotten:
            return data
        session.reset_soon()
        return b""

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        return () if session in self.forgotten else (frame,)

    def end(self) -> None:
        for session in self.forgotten:
            session.reset()


@dataclass(kw_only=True)
class RefuseConnections(Fault):
    """Whoever connects is closed at once, as long as it lasts."""

    name = "refuse_connections"

    def admits(self, session: Session) -> bool:
        self.acted += 1
        return False


@dataclass(kw_only=True)
class Restart(Fault):
    """The gateway restarts: every connection closes, nobody gets in for `lasts` seconds, and the next order ids of the
    clients that were connected are `back` lower than they were, so that ids are used again."""

    name = "restart"
    ranges = {"back": (0, MOST_ID)}
    lasts: float = 0.5
    back: int = 0

    def begin(self) -> None:
        for session in self.concerned():
            self.acted += 1
            if self.back and session.client_id is not None:
                next_id = self.scene.exchange.next_order_id(session.client_id)
                self.scene.exchange.roll_back_order_ids(session.client_id, max(1, next_id - self.back))
            session.abort()

    def admits(self, session: Session) -> bool:
        return False
