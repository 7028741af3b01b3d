"""Requests with a fixed answer: lists that are empty here, and features that are not simulated."""

from __future__ import annotations

from broker.paper_gateway.desk import Request
from broker.paper_gateway.types import GatewayError
from broker.paper_gateway.wire.fields import FieldReader, message


def accept(request: Request, reader: FieldReader) -> None:
    """A request that TWS does not answer either."""


def not_simulated(request: Request, reader: FieldReader) -> None:
    """A feature that this gateway does not have: an error, since silence would hang the client."""
    raise GatewayError(322, f"Error processing request.-'bP' : cause - {request.name} is not simulated")


def family_codes(request: Request, reader: FieldReader) -> None:
    """reqFamilyCodes: the account belongs to no family."""
    request.session.send(message(78, 1, request.exchange.account, ""))


def depth_exchanges(request: Request, reader: FieldReader) -> None:
    """reqMktDepthExchanges: none."""
    request.session.send(message(80, 0))


def smart_components(request: Request, reader: FieldReader) -> None:
    """reqSmartComponents: none."""
    request.session.send(message(82, request.id, 0))


def soft_dollar_tiers(request: Request, reader: FieldReader) -> None:
    """reqSoftDollarTiers: none."""
    request.session.send(message(77, request.id, 0))


def user_info(request: Request, reader: FieldReader) -> None:
    """reqUserInfo: no white branding."""
    request.session.send(message(107, request.id, ""))
