"""The start of a session, and requests about the session itself."""

from __future__ import annotations

from broker.paper_gateway.desk import Request
from broker.paper_gateway.types import GatewayError
from broker.paper_gateway.wire import answers
from broker.paper_gateway.wire.answers import NO_REQUEST
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.times import epoch

MANUAL_CLIENT = 0
_FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


def start_api(request: Request, reader: FieldReader) -> None:
    """startApi: take the client id, or answer 326 and close when another connection has it."""
    session, client_id = request.session, request.id
    if session.client_id is not None:
        raise GatewayError(501, "Already connected.")
    if client_id < 0:
        raise GatewayError(321, "Error validating request.-'bT' : cause - The client id cannot be negative.")
    if client_id in request.desk.clients:
        text = "Unable to connect as the client id is already in use. Retry with a unique client id."
        session.error(NO_REQUEST, 326, text)
        session.close()
        return
    session.client_id = client_id
    request.desk.clients[client_id] = session
    if client_id == MANUAL_CLIENT:
        request.exchange.bind_manual(now=False, later=False)
    session.send(answers.managed_accounts(request.exchange.account))
    request_ids(request, reader)
    for code, text in _FARMS:
        session.error(NO_REQUEST, code, text)


def request_ids(request: Request, reader: FieldReader) -> None:
    """reqIds: the next order id of this client."""
    request.session.send(answers.next_valid_id(request.exchange.next_order_id(request.client_id)))


def managed_accounts(request: Request, reader: FieldReader) -> None:
    """reqManagedAccts: there is one account."""
    request.session.send(answers.managed_accounts(request.exchange.account))


def current_time(request: Request, reader: FieldReader) -> None:
    """reqCurrentTime: the clock of the exchange, set or running."""
    request.session.send(answers.current_time(epoch(request.exchange.now())))
