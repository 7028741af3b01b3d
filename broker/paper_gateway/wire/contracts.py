"""Contracts on the wire: what a request says about one, and the blocks that answers carry."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from broker.paper_gateway.types import ContractFilter, SessionHours, SymbolSpec
from broker.paper_gateway.wire.fields import FieldReader, Value, ascii_text, message, number, price
from broker.paper_gateway.wire.times import hours_text
from broker.paper_gateway.wire.versions import ISSUER_ID, SIZE_INCREMENTS

SMART = "SMART"
ORDER_TYPES = "LMT,MKT,STP"
# The rule of US stocks at one cent; the only one this gateway's contracts refer to.
MARKET_RULES: dict[int, tuple[tuple[Decimal, Decimal], ...]] = {26: ((Decimal(0), Decimal("0.01")),)}
MARKET_RULE = 26


def read_contract(reader: FieldReader) -> ContractFilter:
    """The twelve contract fields that open most requests; raises BadField where a number is none."""
    con_id, symbol, sec_type, expiry = reader.integer(), reader.text(), reader.text(), reader.text()
    strike, right, multiplier = reader.text(), reader.text().upper()[:1], reader.text()
    exchange, primary_exchange, currency = reader.text(), reader.text(), reader.text()
    local_symbol, trading_class = reader.text(), reader.text()
    return ContractFilter(
        con_id=con_id,
        symbol=symbol,
        sec_type=sec_type,
        expiry=expiry,
        strike=number(strike) or None,
        right=right if right in {"C", "P"} else "",
        multiplier=multiplier,
        exchange=exchange,
        primary_exchange=primary_exchange,
        currency=currency,
        local_symbol=local_symbol,
        trading_class=trading_class,
    )


def skip_legs(reader: FieldReader, query: ContractFilter) -> None:
    """Pass over the legs that a combination carries in market-data and history requests."""
    if query.sec_type == "BAG":
        reader.skip(4 * reader.count())


def trading_class(spec: SymbolSpec) -> str:
    """Stocks of NASDAQ trade in the class NMS, others in one of their own name."""
    return "NMS" if spec.primary_exchange in {"NASDAQ", "ISLAND"} else spec.symbol


def contract_block(spec: SymbolSpec, exchange: str, right: str = "") -> list[Value]:
    """The eleven contract fields of answers."""
    return [
        spec.con_id,
        spec.symbol,
        spec.sec_type,
        "",
        "0",
        right,
        "",
        exchange,
        spec.currency,
        spec.symbol,
        trading_class(spec),
    ]


def contract_details(
    version: int, request_id: int, spec: SymbolSpec, exchange: str, sessions: Sequence[SessionHours]
) -> bytes:
    """Message 10: all that is known of one contract."""
    old = version < SIZE_INCREMENTS
    hours = hours_text(sessions, spec.time_zone)
    head: list[Value] = [10, 8] if old else [10]
    head += [request_id, spec.symbol, spec.sec_type, "", "0", "", exchange or SMART, spec.currency, spec.symbol]
    head += [trading_class(spec), trading_class(spec), spec.con_id, spec.min_tick]
    if old:
        head.append("")
    body: list[Value] = ["", ORDER_TYPES, f"{SMART},{spec.primary_exchange}", 1, 0, ascii_text(spec.long_name)]
    body += [spec.primary_exchange, "", "", "", "", spec.time_zone, hours, hours, "", 0, 0]
    body += [1, "", "", f"{MARKET_RULE},{MARKET_RULE}", "", spec.stock_type]
    if version == SIZE_INCREMENTS - 1:
        body.append("100")
    if not old:
        body += ["1", "1", "100"]
    return message(*head, *body)


def contract_details_end(request_id: int) -> bytes:
    """Message 52: no more contracts match."""
    return message(52, 1, request_id)


def symbol_samples(version: int, request_id: int, specs: Sequence[SymbolSpec]) -> bytes:
    """Message 79: the contracts that match a pattern."""
    fields: list[Value] = [79, request_id, len(specs)]
    for spec in specs:
        fields += [spec.con_id, spec.symbol, spec.sec_type, spec.primary_exchange, spec.currency, 0]
        if version >= ISSUER_ID:
            fields += [ascii_text(spec.long_name), ""]
    return message(*fields)


def market_rule(rule_id: int) -> bytes:
    """Message 93: from which price on which increment holds; raises KeyError for an unknown rule."""
    steps = MARKET_RULES[rule_id]
    fields: list[Value] = [93, rule_id, len(steps)]
    for low_edge, increment in steps:
        fields += [price(low_edge), price(increment)]
    return message(*fields)
