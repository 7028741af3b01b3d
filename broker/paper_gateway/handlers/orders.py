"""Placing, cancelling and listing orders and executions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from broker.paper_gateway.desk import Request
from broker.paper_gateway.handlers.account import require_account
from broker.paper_gateway.types import Execution, GatewayError, SymbolSpec
from broker.paper_gateway.wire import orders_in, orders_out
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.times import read_time

_SIDES = {"BUY": "BOT", "BOT": "BOT", "SELL": "SLD", "SLD": "SLD", "SSHORT": "SLD"}
MANUAL_CLIENT = 0
_LISTED_AS_COMPLETED = {"Filled", "Cancelled"}


def place_order(request: Request, reader: FieldReader) -> None:
    """placeOrder: a new order, a modification, or a preview that only shows margins and commission."""
    exchange = request.exchange
    wire = orders_in.read_order(reader, request.session.version)
    if request.id <= 0 and not _is_bound(request):
        raise GatewayError(321, f"Error validating request.-'bO' : cause - Invalid order id {request.id}.")
    spec = request.desk.contracts.one(orders_in.order_contract(wire))
    require_account(request, wire["account"])
    orders_in.refuse_unsimulated(wire)
    terms = orders_in.order_terms(request.client_id, request.id, spec.con_id, spec.symbol, wire, spec.time_zone)
    terms = replace(terms, account=exchange.account)
    if not terms.what_if:
        exchange.submit(terms)
        return
    if not terms.transmit:
        raise GatewayError(413, "What-if order should have the transmit flag set to true.")
    preview = exchange.preview(terms)
    frame = orders_out.preview_order(request.session.version, terms, spec, preview, exchange.base_currency)
    request.session.send(frame)


def _is_bound(request: Request) -> bool:
    """Whether an id below zero is one of the manual orders that client 0 was given."""
    views = request.exchange.open_orders(request.client_id) if request.client_id == 0 else ()
    return any(request.id < 0 and view.terms.order_id == request.id for view in views)


def auto_open_orders(request: Request, reader: FieldReader) -> None:
    """reqAutoOpenOrders: whether client 0 is given the orders that are entered by hand from now on."""
    binds = reader.flag()
    if request.client_id != MANUAL_CLIENT:
        raise GatewayError(321, "Error validating request.-'bO' : cause - Only client id 0 can bind manual orders.")
    request.exchange.bind_manual(now=False, later=binds)


def cancel_order(request: Request, reader: FieldReader) -> None:
    """cancelOrder: of this client's own orders only."""
    request.exchange.cancel(request.client_id, request.id)


def global_cancel(request: Request, reader: FieldReader) -> None:
    """reqGlobalCancel: every order of every client."""
    request.exchange.cancel_all()


def open_orders(request: Request, reader: FieldReader) -> None:
    """reqOpenOrders: the working orders of this client; client 0 is given those entered by hand as well."""
    if request.client_id == MANUAL_CLIENT:
        request.exchange.bind_manual(now=True)
    _list_open_orders(request, request.client_id)


def all_open_orders(request: Request, reader: FieldReader) -> None:
    """reqAllOpenOrders: the working orders of all clients."""
    _list_open_orders(request, None)


def _list_open_orders(request: Request, client_id: int | None) -> None:
    for view in request.exchange.open_orders(client_id):
        request.desk.show_order(request.session, view)
    request.session.send(orders_out.open_orders_end())


def completed_orders(request: Request, reader: FieldReader) -> None:
    """reqCompletedOrders: filled and cancelled ones, on request without those entered by hand.

    Refused ones would look open for ever to clients.
    """
    api_only = reader.flag()
    for view in request.exchange.completed_orders():
        if view.status in _LISTED_AS_COMPLETED and not (api_only and view.terms.order_id <= 0):
            spec = request.desk.contracts.by_id(view.terms.con_id)
            request.session.send(orders_out.completed_order(request.session.version, view, spec))
    request.session.send(orders_out.completed_orders_end())


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """What reqExecutions restricts itself to; empty and 0 mean anything."""

    client_id: int
    account: str
    since: datetime | None
    symbol: str
    sec_type: str
    exchange: str
    side: str

    def takes(self, execution: Execution, spec: SymbolSpec) -> bool:
        """Whether an execution passes."""
        return (
            self.client_id in {0, execution.client_id}
            and self.account in {"", execution.account}
            and (self.since is None or execution.time >= self.since)
            and self.symbol in {"", execution.symbol}
            and self.sec_type in {"", spec.sec_type}
            and self.exchange in {"", execution.exchange}
            and self.side in {"", execution.side}
        )


def _read_filter(reader: FieldReader) -> ExecutionFilter:
    client_id, account, since = reader.integer(), reader.text(), reader.text()
    symbol, sec_type, exchange, side = reader.text(), reader.text(), reader.text(), reader.text().upper()
    if side and side not in _SIDES:
        raise GatewayError(321, f"Error validating request.-'bE' : cause - Invalid side '{side[:20]}'.")
    since_time = read_time(since, "US/Eastern")
    return ExecutionFilter(client_id, account, since_time, symbol, sec_type, exchange, _SIDES.get(side, ""))


def executions(request: Request, reader: FieldReader) -> None:
    """reqExecutions: today's executions of all clients that pass the filter, each with its commission."""
    wanted = _read_filter(reader)
    for execution, commission in request.exchange.executions():
        spec = request.desk.contracts.by_id(execution.con_id)
        if wanted.takes(execution, spec):
            frame = orders_out.execution_details(request.session.version, request.id, execution, spec)
            request.session.send(frame, orders_out.commission_report(commission))
    request.session.send(orders_out.executions_end(request.id))
