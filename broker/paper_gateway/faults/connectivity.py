"""The link between TWS and the broker's servers breaks (1100) and comes back (1101 or 1102); sockets stay open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from broker.paper_gateway.faults.base import Fault, FaultError
from broker.paper_gateway.faults.names import TICKS
from broker.paper_gateway.faults.requests import SERVED_REMOTELY, request_id
from broker.paper_gateway.session import Session
from broker.paper_gateway.steering import SteeredExchange
from broker.paper_gateway.types import (
    AccountChanged,
    AccountValue,
    ClockMoved,
    Commission,
    EngineEvent,
    Exchange,
    Execution,
    GatewayError,
    OrderTerms,
    OrderView,
    PositionView,
    Preview,
)
from broker.paper_gateway.wire.answers import error
from broker.paper_gateway.wire.framing import PREFIX

BROKEN, BROKEN_AT_START = 1100, 2110
LOST_TEXT = "Connectivity between IBKR and Trader Workstation has been lost."
RESTORED = {
    1101: "Connectivity between IBKR and Trader Workstation has been restored- data lost.",
    1102: "Connectivity between IBKR and Trader Workstation has been restored- data maintained.",
}
ORDERS = ("lost", "queued", "unseen", "doubled")
REQUESTS = ("fail", "hang")
START_NOTICES = {b"2104", b"2106", b"2158"}


class LastKnown:
    """The exchange as TWS knew it when the link broke.

    Orders sent meanwhile are lost, queued, executed unseen, or, where they change a working one, doubled: the broker
    then has two of them under one id.
    """

    def __init__(self, exchange: SteeredExchange, orders: str) -> None:
        self._exchange = exchange
        self._orders = orders
        self._open = list(exchange.open_orders(None))
        self._completed = list(exchange.completed_orders())
        self._executions = list(exchange.executions())
        self._positions = list(exchange.positions())
        self._values = list(exchange.account_values())
        self.queue: list[OrderTerms | tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def submit(self, terms: OrderTerms) -> None:
        """What becomes of an order now is the fault's parameter."""
        if self._orders == "doubled" and self._is_open(terms):
            self._exchange.double_order(terms)
        elif self._orders in ("unseen", "doubled"):
            self._exchange.submit(terms)
        elif self._orders == "queued":
            self.queue.append(terms)

    def cancel(self, client_id: int, order_id: int) -> None:
        """As with an order."""
        if self._orders in ("unseen", "doubled"):
            self._exchange.cancel(client_id, order_id)
        elif self._orders == "queued":
            self.queue.append((client_id, order_id))

    def cancel_all(self) -> None:
        """As with an order, but never queued."""
        if self._orders in ("unseen", "doubled"):
            self._exchange.cancel_all()

    def _is_open(self, terms: OrderTerms) -> bool:
        known = [(view.terms.client_id, view.terms.order_id) for view in self._open]
        return (terms.client_id, terms.order_id) in known

    def preview(self, terms: OrderTerms) -> Preview:
        """Margins are worked out by the broker."""
        raise GatewayError(322, "Error processing request.-'bO' : cause - Not connected to the server")

    def open_orders(self, client_id: int | None) -> Sequence[OrderView]:
        """Those that worked when the link broke."""
        return [view for view in self._open if client_id in (None, view.terms.client_id)]

    def completed_orders(self) -> Sequence[OrderView]:
        """Those that had ended by then."""
        return self._completed

    def executions(self) -> Sequence[tuple[Execution, Commission]]:
        """Those that were known by then."""
        return self._executions

    def positions(self) -> Sequence[PositionView]:
        """The holdings of then."""
        return self._positions

    def account_values(self) -> Sequence[AccountValue]:
        """The values of then."""
        return self._values


@dataclass(kw_only=True)
class Connectivity(Fault):
    """1100 now, `restore` (1101 or 1102) when it is healed.

    `orders` sent meanwhile are lost, queued, executed unseen or doubled (see LastKnown); `requests` that need the
    server fail or hang. Fills and changes of orders during it are never told on the stream: only reqExecutions and the
    lists know them, after it.
    """

    name = "connectivity"
    restore: int = 1102
    orders: str = "lost"
    requests: str = "hang"
    known: LastKnown = field(init=False, repr=False)
    missed: set[int] = field(init=False, default_factory=set)
    replaying: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restore not in RESTORED or self.orders not in ORDERS or self.requests not in REQUESTS:
            raise FaultError(f"{self.name}: restore is 1101 or 1102, orders {ORDERS}, requests {REQUESTS}")

    def begin(self) -> None:
        if self.scene.desk.exchange is not self.scene.exchange:
            raise FaultError("connectivity is lost already")
        self.known = LastKnown(self.scene.exchange, self.orders)
        self.scene.desk.exchange = cast("Exchange", self.known)
        self.tell(BROKEN, LOST_TEXT)

    def end(self) -> None:
        self.scene.desk.exchange = self.scene.exchange
        for session in self.scene.sessions():
            if self.restore == 1101:
                session.subscriptions.forget_market_data()
            else:
                session.subscriptions.repeat_quotes()
        self.tell(self.restore, RESTORED[self.restore])
        for item in self.known.queue:
            if isinstance(item, tuple):
                self.scene.exchange.cancel(*item)
            else:
                self.scene.exchange.submit(item)
        self.scene.account_changed(self.missed)
        self.scene.flush()

    def request(self, session: Session, name: str, fields: list[str]) -> bool:
        if name not in SERVED_REMOTELY:
            return True
        self.acted += 1
        if self.requests == "fail":
            history = name.startswith("reqHist") or name == "reqHeadTimeStamp"
            text = "Error processing request.-'bC' : cause - Not connected to the server"
            session.error(request_id(fields), 162 if history else 322, text)
        return False

    def event(self, event: EngineEvent) -> bool:
        if isinstance(event, AccountChanged):
            self.missed.update(event.con_ids)
        return isinstance(event, ClockMoved)

    def frame(self, session: Session, name: str, frame: bytes) -> Sequence[bytes]:
        if name in TICKS:
            return ()
        code = frame[PREFIX:].split(b"\0", 4)[3] if name == "error" else b""
        if code not in START_NOTICES:
            return (frame,)
        text = "Connectivity between Trader Workstation and server is broken. It will be restored automatically."
        return (error(session.version, -1, BROKEN_AT_START, text),) if code == b"2104" else ()
