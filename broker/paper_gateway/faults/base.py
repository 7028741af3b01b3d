"""What a fault is: its parameters, when it acts, and the places of a connection at which it can act."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar, Protocol

from broker.paper_gateway.desk import Desk
from broker.paper_gateway.dispatch import ROUTES
from broker.paper_gateway.faults.names import ANSWERS, matches
from broker.paper_gateway.session import Session
from broker.paper_gateway.steering import SteeredExchange
from broker.paper_gateway.types import EngineEvent

ANY_CLIENT = -1
MOST_ID = 2**31 - 1
Range = tuple[float, float]  # from and to, both allowed
SPAN: Range = (0, 10_000_000)  # seconds


class FaultError(ValueError):
    """A fault that does not exist, or a parameter that makes no sense; the text says what would."""


class Scene(Protocol):
    """What a fault can reach of the gateway it is played on."""

    desk: Desk
    exchange: SteeredExchange

    def sessions(self) -> list[Session]:
        """Every open connection."""

    def later(self, seconds: float, run: Callable[[], None]) -> Callable[[], None]:
        """Call `run` after that many real seconds; the answer takes it back."""

    def monotonic(self) -> float:
        """Real seconds, for spans."""

    def account_changed(self, con_ids: Iterable[int]) -> None:
        """Have positions and account values told again with the next flush."""

    def flush(self) -> None:
        """Write what is in line."""

    def answer(self, session: Session, fields: list[str]) -> None:
        """Handle a request as if it had arrived just now."""


@dataclass(kw_only=True)
class Fault:
    """One way of going wrong; the fields of its dataclass are its parameters, a subclass overrides what it disturbs.

    It begins at once, `after` seconds later, or at the `nth` frame named `on`, in either direction. It ends when it is
    healed, or `lasts` seconds after it began (0 = never by itself). Where it acts on single frames it begins with the
    `nth` that fits (if `on` does not say otherwise), acts on each with `probability`, at most `times` times (0 = any),
    and only towards `client` (-1 = all). The same `seed` makes the same choices for the same frames.
    """

    name: ClassVar[str] = ""
    ranges: ClassVar[dict[str, Range]] = {"after": SPAN, "lasts": SPAN, "client": (ANY_CLIENT, MOST_ID)}

    after: float = 0.0
    on: str = ""
    nth: int = 1
    lasts: float = 0.0
    probability: float = 1.0
    times: int = 0
    client: int = ANY_CLIENT
    seed: int = 0

    scene: Scene = field(init=False, repr=False)
    chance: random.Random = field(init=False, repr=False)
    acted: int = field(init=False, default=0)
    seen: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.name} {self.seed}")
        if not 0 <= self.probability <= 1:
            raise FaultError(f"{self.name}: probability is between 0 and 1")
        named = {*getattr(self, "kinds", ()), *([self.on] if self.on else [])}
        unknown = named - ANSWERS - {route.name for route in ROUTES.values()}
        if unknown:
            raise FaultError(f"{self.name}: no frame is named {', '.join(sorted(unknown))[:80]}")
        if min(self.after, self.lasts, self.times) < 0 or self.nth < 1:
            raise FaultError(f"{self.name}: after, lasts and times are at least 0, nth is at least 1")

    # The hooks: each says what becomes of what passes by.

    def begin(self) -> None:
        """The fault sets in."""

    def end(self) -> None:
        """The fault is healed."""

    def admits(self, session: Session) -> bool:
        """Whether a new connection is taken."""
        return True

    def arriving(self, session: Session, data: bytes) -> bytes:
        """Bytes from a client: those that get through."""
        return data

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        """Whether a request gets through."""
        return True

    def event(self, event: EngineEvent) -> bool:
        """Whether the sessions hear what the exchange says."""
        return True

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        """One frame to a client: what is put in line in its place."""
        return (frame,)

    def leaving(self, session: Session, data: bytes) -> bytes:
        """Bytes to a client: those that are written."""
        return data

    # What subclasses share.

    def concerns(self, session: Session) -> bool:
        """Whether the fault is meant for this client."""
        return self.client in (ANY_CLIENT, session.client_id)

    def acts(self, session: Session) -> bool:
        """Whether it acts on what passes by now; counts both."""
        return self.concerns(session) and self.strikes()

    def strikes(self) -> bool:
        """Whether it is time to act, by count and chance; counts both."""
        self.seen += 1
        if not self.on and self.seen < self.nth:
            return False
        if self.times and self.acted >= self.times:
            return False
        if self.probability < 1 and self.chance.random() >= self.probability:
            return False
        self.acted += 1
        return True

    def concerned(self) -> list[Session]:
        """The open connections it is meant for."""
        return [session for session in self.scene.sessions() if self.concerns(session)]

    def tell(self, code: int, text: str) -> None:
        """Send a notice to every client that has started its session."""
        for session in self.concerned():
            if session.client_id is not None:
                session.error(-1, code, text)
        self.scene.flush()

    def spell(self) -> str:
        """The text from which the same fault is made again: `name:key=value,…`."""
        given = [
            f"{item.name}={_spelled(getattr(self, item.name))}"
            for item in fields(self)
            if item.init and (item.name == "seed" or getattr(self, item.name) != item.default)
        ]
        return f"{self.name}:{','.join(given)}"


@dataclass(kw_only=True)
class FrameFault(Fault):
    """A fault of single frames to clients: of those named in `kinds`, or in a group of names."""

    kinds: tuple[str, ...] = ("all",)

    def fits(self, session: Session, name: str) -> bool:
        """Whether it acts on this frame; counts."""
        return matches(name, self.kinds) and self.acts(session)


def _spelled(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)
