"""Requests about contracts."""

from __future__ import annotations

from broker.paper_gateway.desk import NO_DEFINITION, Request
from broker.paper_gateway.prices.calendar import eastern_day
from broker.paper_gateway.types import ContractFilter, GatewayError, SymbolSpec
from broker.paper_gateway.universe import futures, options
from broker.paper_gateway.wire import contracts
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.times import hours_text

SESSION_DAYS = 7
MAX_PATTERN = 64


def contract_details(request: Request, reader: FieldReader) -> None:
    """reqContractDetails: every matching contract, then the end; error 200 when there is none."""
    query = contracts.read_contract(reader, has_expired_flag=True)
    hours: dict[tuple[object, ...], contracts.HoursTexts] = {}
    for spec in request.desk.contracts.matching(query):
        # The expiries of one product keep the same hours, and there may be thousands of them.
        key = (spec.sec_type, spec.under_symbol or spec.con_id, spec.time_zone)
        if key not in hours:
            hours[key] = _hours(request, spec)
        details = contracts.contract_details(request.session.version, request.id, spec, query.exchange, hours[key])
        request.session.send(details)
    request.session.send(contracts.contract_details_end(request.id))


def _hours(request: Request, spec: SymbolSpec) -> contracts.HoursTexts:
    return contracts.HoursTexts(
        hours_text(request.exchange.trading_sessions(spec.con_id, SESSION_DAYS), spec.time_zone),
        hours_text(request.exchange.sessions(spec.con_id, SESSION_DAYS), spec.time_zone),
    )


def matching_symbols(request: Request, reader: FieldReader) -> None:
    """reqMatchingSymbols: by the beginning of a symbol or of a word of a name."""
    pattern = reader.text().strip().upper()[:MAX_PATTERN]
    specs = request.exchange.search(pattern) if pattern else ()
    samples = [(spec, _derivatives(spec)) for spec in specs]
    request.session.send(contracts.symbol_samples(request.session.version, request.id, samples))


def _derivatives(spec: SymbolSpec) -> list[str]:
    kinds = ["FUT"] if spec.sec_type == "IND" and futures.has_futures(spec.symbol) else []
    return kinds + (["OPT"] if options.is_underlying(spec.con_id) else [])


def option_parameters(request: Request, reader: FieldReader) -> None:
    """reqSecDefOptParams: the chains of an underlying, then the end; only the end where it has no options."""
    symbol, exchange, sec_type, con_id = reader.text(), reader.text(), reader.text(), reader.integer()
    found = request.exchange.find(ContractFilter(con_id=con_id, sec_type=sec_type))
    if not found or (symbol and found[0].symbol != symbol.upper()):
        raise GatewayError(NO_DEFINITION, "No security definition has been found for the request")
    price = request.exchange.quote(con_id).last if options.is_underlying(con_id) else None
    if price is not None:
        today = eastern_day(request.exchange.now())
        for chain in options.chains(con_id, today, price):
            if exchange in ("", chain.exchange):
                request.session.send(contracts.option_chain(request.id, *chain))
    request.session.send(contracts.option_chain_end(request.id))


def market_rule(request: Request, reader: FieldReader) -> None:
    """reqMarketRule: the price increments of one rule."""
    rule_id = reader.integer()
    if rule_id not in contracts.MARKET_RULES:
        raise GatewayError(321, f"Error validating request.-'bM' : cause - There is no market rule {rule_id}.")
    request.session.send(contracts.market_rule(rule_id))
