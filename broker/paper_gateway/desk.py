"""What all sessions share: the exchange, the contracts found in it, and who is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from broker.paper_gateway.board import Board
from broker.paper_gateway.reference.library import Library
from broker.paper_gateway.scanning import Scanning
from broker.paper_gateway.session import Session
from broker.paper_gateway.types import ContractFilter, Exchange, GatewayError, OrderView, SymbolSpec
from broker.paper_gateway.wire import orders_out

NO_DEFINITION = 200


class Contracts:
    """Finds contracts for requests, and by id for what is already known."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._by_id: dict[int, SymbolSpec] = {}

    def matching(self, wanted: ContractFilter) -> Sequence[SymbolSpec]:
        """All contracts that match; raises GatewayError 200 when there is none."""
        specs = self._exchange.find(wanted)
        if not specs:
            raise GatewayError(NO_DEFINITION, "No security definition has been found for the request")
        return specs

    def one(self, wanted: ContractFilter) -> SymbolSpec:
        """The one contract that matches; raises GatewayError 200 for none and for several."""
        specs = self.matching(wanted)
        if len(specs) > 1:
            raise GatewayError(NO_DEFINITION, "No security definition has been found for the request")
        return specs[0]

    def by_id(self, con_id: int) -> SymbolSpec:
        """The contract of an order or a position; raises GatewayError 200 when the exchange no longer has it."""
        spec = self._by_id.get(con_id)
        if spec is None:
            spec = self._by_id[con_id] = self.one(ContractFilter(con_id=con_id, include_expired=True))
        return spec


class Desk:
    """The exchange, its reference data and its clients."""

    def __init__(self, exchange: Exchange, library: Library) -> None:
        self.exchange = exchange
        self.library = library
        self.contracts = Contracts(exchange)
        self.board = Board(exchange)
        self.clients: dict[int, Session] = {}
        self.scanning = Scanning(exchange, self.clients)
        self.master_client: int | None = None

    def audience(self, client_id: int) -> list[Session]:
        """Who hears of an order of this client: the client and the master client, as far as they are connected."""
        numbers = (client_id,) if self.master_client in (None, client_id) else (client_id, self.master_client)
        return [session for number in numbers if number is not None and (session := self.clients.get(number))]

    def show_order(self, session: Session, view: OrderView) -> None:
        """Put openOrder and orderStatus in line; parked orders are shown to nobody."""
        if view.status == "Parked" or session.client_id is None:
            return
        self.exchange.note_order_id(session.client_id, view.terms.order_id)
        spec = self.contracts.by_id(view.terms.con_id)
        session.send(
            orders_out.open_order(session.version, view, spec),
            orders_out.order_status(session.version, view),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One message of one client; `id` is its request or order id, -1 where it has none."""

    desk: Desk
    session: Session
    name: str
    id: int

    @property
    def exchange(self) -> Exchange:
        """The exchange this request is put to."""
        return self.desk.exchange

    @property
    def client_id(self) -> int:
        """The client that sent it; only a client that started its session gets this far."""
        assert self.session.client_id is not None
        return self.session.client_id
