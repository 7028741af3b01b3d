"""Contracts on the wire: what a request says about one, and the blocks that answers carry."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from broker.paper_gateway.types import ContractFilter, SecType, SymbolSpec
from broker.paper_gateway.wire.fields import FieldReader, Value, ascii_text, decimal_text, message, number, price
from broker.paper_gateway.wire.versions import ISSUER_ID, SIZE_INCREMENTS

SMART = "SMART"
_UNSET_GROUP = 2147483647

# From which price on which increment holds, by the number of the rule. Contracts name a rule; requests ask for it.
_ONE_STEP = {
    26: "0.01",  # US stocks, options
    32: "0.01",  # crude oil
    59: "0.005",  # pairs with the yen, silver
    67: "0.25",  # E-minis
    110: "0.01",  # indices
    239: "0.00005",  # pairs
    1874: "0.0002",
    1875: "0.001",
    1876: "0.02",
    1877: "0.05",
    1878: "1",
    1879: "0.25",
    1880: "0.1",
    1881: "0.015625",
    1882: "0.03125",
}
MARKET_RULES: dict[int, tuple[tuple[Decimal, Decimal], ...]] = {
    rule: ((Decimal(0), Decimal(step)),) for rule, step in _ONE_STEP.items()
}


class HoursTexts(NamedTuple):
    """The sessions of the coming days as contract details tell them: all of the trading, and the regular ones."""

    trading: str
    liquid: str


class _Traits(NamedTuple):
    """What contracts of one type have in common on the wire."""

    order_types: str
    size_step: str = "1"
    usual_size: str = "1"
    group: int = 1
    has_multiplier: bool = False


_ANYWHERE = "ACTIVETIM,ADJUST,DAY,GTC,GTD,GTT,IOC,LMT,MKT,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"
_TRAITS: dict[SecType, _Traits] = {
    "STK": _Traits(f"{_ANYWHERE},LOC,MOC,OCA,OPG,TRANSMIT", usual_size="100"),
    "FUT": _Traits(f"{_ANYWHERE},OCA,TRANSMIT", group=_UNSET_GROUP, has_multiplier=True),
    "OPT": _Traits("", has_multiplier=True),
    "CASH": _Traits(f"{_ANYWHERE},OCA,TRANSMIT", group=4),
    "IND": _Traits("", group=_UNSET_GROUP),
    "CRYPTO": _Traits("", size_step="0.00000001", usual_size="0.00000001", group=_UNSET_GROUP),
}


def read_contract(reader: FieldReader, *, has_expired_flag: bool = False) -> ContractFilter:
    """The twelve contract fields that open most requests, in some followed by "expired ones too".

    Raises BadField where a number is none.
    """
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
        include_expired=has_expired_flag and reader.flag(),
    )


def skip_legs(reader: FieldReader, query: ContractFilter) -> None:
    """Pass over the legs that a combination carries in market-data and history requests."""
    if query.sec_type == "BAG":
        reader.skip(4 * reader.count())


def trading_class(spec: SymbolSpec) -> str:
    """The class in which a contract trades; the same as its market's name here."""
    return spec.trading_class or spec.symbol


def local_symbol(spec: SymbolSpec) -> str:
    """The exchange's own name of a contract."""
    return spec.local_symbol or spec.symbol


def multiplier(spec: SymbolSpec) -> str:
    """Units in one contract, where the type has such a number."""
    return decimal_text(spec.multiplier) if _TRAITS[spec.sec_type].has_multiplier else ""


def strike(spec: SymbolSpec) -> str:
    return decimal_text(spec.strike or Decimal(0))


def contract_block(spec: SymbolSpec, exchange: str, right: str = "") -> list[Value]:
    """The eleven contract fields of answers; `right` is what stands where the contract has none."""
    return [
        spec.con_id,
        spec.symbol,
        spec.sec_type,
        spec.expiry,
        strike(spec),
        spec.right or right,
        multiplier(spec),
        exchange,
        spec.currency,
        local_symbol(spec),
        trading_class(spec),
    ]


def usual_exchange(spec: SymbolSpec) -> str:
    """Where a contract is found when no exchange is asked for: SMART, or the one venue of its type."""
    return SMART if SMART in spec.exchanges or not spec.exchanges else spec.primary_exchange


def contract_details(version: int, request_id: int, spec: SymbolSpec, exchange: str, hours: HoursTexts) -> bytes:
    """Message 10: all that is known of one contract."""
    old = version < SIZE_INCREMENTS
    traits = _TRAITS[spec.sec_type]
    head: list[Value] = [10, 8] if old else [10]
    head += [request_id, spec.symbol, spec.sec_type, spec.expiry, strike(spec), spec.right]
    head += [exchange or usual_exchange(spec), spec.currency, local_symbol(spec), trading_class(spec)]
    head += [trading_class(spec), spec.con_id, spec.min_tick]
    if old:
        head.append("")
    venues = spec.exchanges or (SMART, spec.primary_exchange)
    body: list[Value] = [multiplier(spec), traits.order_types, ",".join(venues), 1, spec.under_con_id]
    body += [ascii_text(spec.long_name), spec.primary_exchange, spec.contract_month, spec.industry, spec.category]
    body += [_subcategory(spec), spec.time_zone]
    body += [hours.trading, hours.liquid, "", 0, 0]
    body += [traits.group, spec.under_symbol, _under_type(spec), ",".join([str(spec.market_rule)] * len(venues))]
    body += [spec.expiry, spec.stock_type]
    if version == SIZE_INCREMENTS - 1:
        body.append(traits.usual_size)
    if not old:
        body += [traits.size_step, traits.size_step, traits.usual_size]
    return message(*head, *body)


def _subcategory(spec: SymbolSpec) -> str:
    return spec.category if spec.industry else ""


def _under_type(spec: SymbolSpec) -> str:
    """What stands behind a derivative: a stock or fund behind options, an index behind most of the rest."""
    if not spec.under_symbol:
        return ""
    return "STK" if spec.sec_type == "OPT" and spec.industry != "Indices" else "IND"


def contract_details_end(request_id: int) -> bytes:
    """Message 52: no more contracts match."""
    return message(52, 1, request_id)


def symbol_samples(version: int, request_id: int, specs: Sequence[tuple[SymbolSpec, Sequence[str]]]) -> bytes:
    """Message 79: the contracts that match a pattern, each with the types of its derivatives."""
    fields: list[Value] = [79, request_id, len(specs)]
    for spec, derivatives in specs:
        fields += [spec.con_id, spec.symbol, spec.sec_type, spec.primary_exchange, spec.currency]
        fields += [len(derivatives), *derivatives]
        if version >= ISSUER_ID:
            fields += [ascii_text(spec.long_name), ""]
    return message(*fields)


def option_chain(
    request_id: int,
    exchange: str,
    under_con_id: int,
    class_name: str,
    size: Decimal,
    expiries: Sequence[str],
    strikes: Sequence[Decimal],
) -> bytes:
    """Message 75: the expiries and strikes of one trading class at one exchange; `size` is the multiplier."""
    fields: list[Value] = [75, request_id, exchange, under_con_id, class_name, size, len(expiries), *expiries]
    return message(*fields, len(strikes), *strikes)


def option_chain_end(request_id: int) -> bytes:
    """Message 76: there are no more chains."""
    return message(76, request_id)


def market_rule(rule_id: int) -> bytes:
    """Message 93: from which price on which increment holds; raises KeyError for an unknown rule."""
    steps = MARKET_RULES[rule_id]
    fields: list[Value] = [93, rule_id, len(steps)]
    for low_edge, increment in steps:
        fields += [price(low_edge), price(increment)]
    return message(*fields)
