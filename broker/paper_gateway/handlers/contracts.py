"""Requests about contracts."""

from __future__ import annotations

from broker.paper_gateway.desk import Request
from broker.paper_gateway.types import GatewayError
from broker.paper_gateway.wire import contracts
from broker.paper_gateway.wire.fields import FieldReader

SESSION_DAYS = 7
MAX_PATTERN = 64


def contract_details(request: Request, reader: FieldReader) -> None:
    """reqContractDetails: every matching contract, then the end; error 200 when there is none."""
    query = contracts.read_contract(reader)
    for spec in request.desk.contracts.matching(query):
        sessions = request.exchange.sessions(spec.con_id, SESSION_DAYS)
        details = contracts.contract_details(request.session.version, request.id, spec, query.exchange, sessions)
        request.session.send(details)
    request.session.send(contracts.contract_details_end(request.id))


def matching_symbols(request: Request, reader: FieldReader) -> None:
    """reqMatchingSymbols: by the beginning of a symbol or of a word of a name."""
    pattern = reader.text().strip().upper()[:MAX_PATTERN]
    specs = request.exchange.search(pattern)
    request.session.send(contracts.symbol_samples(request.session.version, request.id, specs if pattern else ()))


def market_rule(request: Request, reader: FieldReader) -> None:
    """reqMarketRule: the price increments of one rule."""
    rule_id = reader.integer()
    if rule_id not in contracts.MARKET_RULES:
        raise GatewayError(321, f"Error validating request.-'bM' : cause - There is no market rule {rule_id}.")
    request.session.send(contracts.market_rule(rule_id))
