"""Requests that are answered by an error: orders rejected, ids taken, limits reached, data withheld."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.paper_gateway.faults.base import Fault
from broker.paper_gateway.faults.names import TICKS, matches
from broker.paper_gateway.faults.requests import HISTORIES, request_id
from broker.paper_gateway.session import Session
from broker.paper_gateway.wire.fields import message

NO_REQUEST = -1
INACTIVE = "Inactive"


@dataclass(kw_only=True)
class Refuse(Fault):
    """Requests of these `kinds` are refused with `code` and `text`."""

    name = "refuse"
    ranges = {"code": (1, 99_999)}
    kinds: tuple[str, ...] = ("all",)
    code: int = 322
    text: str = "Error processing request."

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        if name == "startApi" or not matches(name, self.kinds) or not self.acts(session):
            return True
        session.error(request_id(fields), self.code, self.text)
        return False


@dataclass(kw_only=True)
class Reject(Refuse):
    """Orders the market does not take: the error and, as TWS sends with 201, the status Inactive."""

    name = "reject"
    kinds: tuple[str, ...] = ("placeOrder",)
    code: int = 201
    text: str = "Order rejected - reason:refused by the exchange"
    times: int = 1

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        passed = super().request(session, name, fields)
        if not passed and self.code == 201:
            row = (request_id(fields), INACTIVE, 0, 0, "0.0", 0, 0, "0.0", session.client_id or 0, "", "0.0")
            session.send(message(3, *row))
        return passed


@dataclass(kw_only=True)
class TooManySummaries(Refuse):
    """Error 322 for every further account summary."""

    name = "summaries"
    kinds: tuple[str, ...] = ("reqAccountSummary",)
    text: str = "Error processing request.-'bS' : cause - Maximum number of account summary requests exceeded"


@dataclass(kw_only=True)
class TooManyHistories(Refuse):
    """Error 322 for every further request of history, as with 50 open ones."""

    name = "histories"
    kinds: tuple[str, ...] = ("reqHistoricalData", "reqHeadTimeStamp")
    text: str = "Error processing request.-'bU' : cause - Max number of historical data requests has been reached"


@dataclass(kw_only=True)
class Ghost(Fault):
    """A session that is not there any more still holds the client id: error 326, then the connection closes."""

    name = "ghost"

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        if name != "startApi" or self.client not in (NO_REQUEST, request_id(fields)):
            return True
        self.acted += 1
        text = "Unable to connect as the client id is already in use. Retry with a unique client id."
        session.error(NO_REQUEST, 326, text)
        session.close()
        return False


@dataclass(kw_only=True)
class Login(Fault):
    """Nobody is logged in yet, as before the second factor: startApi is answered only once this is healed."""

    name = "login"
    waiting: list[tuple[Session, list[str]]] = field(init=False, default_factory=list)

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        if name == "startApi":
            self.acted += 1
            self.waiting.append((session, fields))
            return False
        return session.client_id is not None

    def end(self) -> None:
        for session, fields in self.waiting:
            if session.is_open:
                self.scene.answer(session, fields)
        self.scene.flush()


@dataclass(kw_only=True)
class Competing(Fault):
    """A live session elsewhere takes the market data (10197): streams fall silent, new ones are refused."""

    name = "competing"

    def begin(self) -> None:
        self.scene.exchange.competing = True

    def end(self) -> None:
        self.scene.exchange.competing = False


@dataclass(kw_only=True)
class Farm(Fault):
    """Data farms lost and, when healed, back: 2103 and 2105, then 2104 and 2106; meanwhile there are no ticks, and
    history is refused (162)."""

    name = "farm"
    notices = (
        (2103, 2104, "Market data farm connection is {}:usfarm"),
        (2105, 2106, "HMDS data farm connection is {}:ushmds"),
    )

    def begin(self) -> None:
        for broken, _, text in self.notices:
            self.tell(broken, text.format("broken"))

    def end(self) -> None:
        for session in self.concerned():
            session.subscriptions.repeat_quotes()
        for _, fine, text in self.notices:
            self.tell(fine, text.format("OK"))

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        if name not in HISTORIES or not self.acts(session):
            return True
        text = "Historical Market Data Service error message:HMDS server disconnect occurred."
        session.error(request_id(fields), 162, text)
        return False

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        return () if name in TICKS and self.concerns(session) else (frame,)


@dataclass(kw_only=True)
class Pacing(Fault):
    """The real limits: `messages` a second (error 100, the third time disconnects), and for history (162) at most
    `histories` in ten minutes, none twice in 15 seconds, fewer than six of one contract in two seconds."""

    name = "pacing"
    ranges = {"messages": (1, 1_000_000), "histories": (1, 1_000_000)}
    messages: int = 50
    histories: int = 60
    arrivals: dict[Session, deque[float]] = field(init=False, default_factory=dict)
    violations: dict[Session, int] = field(init=False, default_factory=dict)
    asked: deque[tuple[float, tuple[str, ...], tuple[str, ...]]] = field(init=False, default_factory=deque)

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        if not self.concerns(session):
            return True
        now = self.scene.monotonic()
        self._count(session, now)
        if not session.is_open:
            return False
        if name != "reqHistoricalData" or not self._is_too_much(fields, now):
            return True
        self.acted += 1
        text = "Historical Market Data Service error message:Historical data request pacing violation"
        session.error(request_id(fields), 162, text)
        return False

    def _count(self, session: Session, now: float) -> None:
        arrivals = self.arrivals.setdefault(session, deque())
        while arrivals and arrivals[0] <= now - 1:
            arrivals.popleft()
        arrivals.append(now)
        if len(arrivals) <= self.messages:
            return
        arrivals.clear()
        self.acted += 1
        count = self.violations[session] = self.violations.get(session, 0) + 1
        text = (
            f"Max rate of messages per second has been exceeded:max={self.messages} rec={self.messages + 1} ({count})"
        )
        session.error(NO_REQUEST, 100, text)
        if count >= 3:
            session.close()

    def _is_too_much(self, fields: list[str], now: float) -> bool:
        """Whether one more request of history breaks a limit; refused ones count too."""
        asked = self.asked
        while asked and asked[0][0] <= now - 600:
            asked.popleft()
        whole, contract = tuple(fields[2:]), (*fields[2:14], *fields[19:20])
        is_twice = any(other == whole and at > now - 15 for at, other, _ in asked)
        burst = sum(other == contract and at > now - 2 for at, _, other in asked)
        entry = (now, whole, contract)
        asked.extend([entry] * (2 if "BID_ASK" in fields[19:20] else 1))
        return is_twice or burst >= 5 or len(asked) > self.histories
