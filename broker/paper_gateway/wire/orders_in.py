"""Decoding placeOrder: every field of versions 157 to 176, with all blocks that are only sometimes there."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from broker.paper_gateway.types import ContractFilter, GatewayError, OrderTerms
from broker.paper_gateway.wire import order_layout as layout
from broker.paper_gateway.wire import versions
from broker.paper_gateway.wire.fields import BadField, FieldReader, flag, integer, number
from broker.paper_gateway.wire.times import read_time

BAD_ORDER_TIME = (
    "The time or time-zone entered is invalid. The correct format is yyyymmdd hh:mm:ss xxx where yyyymmdd and xxx are "
    "optional. E.g.: 20031126 15:59:00 EST."
)
# Entries of a repeated block are kept in one value, since what is kept is text by name.
SEPARATOR = "\x1f"


def read_order(reader: FieldReader, version: int) -> dict[str, str]:
    """The fields after the order id, by name; raises BadField where the message ends early or a count is absurd."""
    wire: dict[str, str] = {}
    _read(reader, wire, layout.CONTRACT + layout.HEAD)
    if wire["sec_type"] == "BAG":
        _read_combination(reader, wire)
    _read(reader, wire, layout.MIDDLE)
    if wire["delta_neutral_order_type"]:
        _read(reader, wire, layout.DELTA_NEUTRAL)
    _read(reader, wire, layout.SCALE)
    if (number(wire["scale_price_increment"]) or 0) > 0:
        _read(reader, wire, layout.SCALE_DETAILS)
    _read(reader, wire, layout.TIMES)
    if wire["hedge_type"]:
        _read(reader, wire, ["hedge_param"])
    _read(reader, wire, layout.CLEARING)
    _read_delta_neutral_contract(reader, wire)
    _read_algorithm(reader, wire)
    _read(reader, wire, layout.FLAGS)
    if wire["order_type"] == "PEG BENCH":
        _read(reader, wire, layout.PEG_BENCH)
    _read_conditions(reader, wire)
    _read(reader, wire, layout.TAIL)
    _read(reader, wire, [name for gate, name in layout.GATED if version >= gate])
    if version >= versions.PEG_BEST_FIELDS:
        _read_peg_fields(reader, wire)
    for name in layout.ECHOED_NUMBERS:
        number(wire[name])
    for name in layout.ECHOED_INTEGERS:
        integer(wire[name])
    return wire


def _read(reader: FieldReader, wire: dict[str, str], names: list[str]) -> None:
    wire.update(zip(names, reader.texts(len(names)), strict=True))


def _read_list(reader: FieldReader, count: int) -> str:
    return SEPARATOR.join([reader.text() for _ in range(count)])


def _read_combination(reader: FieldReader, wire: dict[str, str]) -> None:
    wire["combo_legs"] = _read_list(reader, 8 * reader.count())
    wire["combo_leg_prices"] = _read_list(reader, reader.count())
    wire["combo_routing"] = _read_list(reader, 2 * reader.count())


def _read_delta_neutral_contract(reader: FieldReader, wire: dict[str, str]) -> None:
    if reader.flag():
        wire["delta_neutral_contract"] = _read_list(reader, 3)


def _read_algorithm(reader: FieldReader, wire: dict[str, str]) -> None:
    wire["algo_strategy"] = reader.text()
    if wire["algo_strategy"]:
        wire["algo_parameters"] = _read_list(reader, 2 * reader.count())


def _read_conditions(reader: FieldReader, wire: dict[str, str]) -> None:
    count = reader.count()
    if not count:
        return
    conditions = []
    for _ in range(count):
        kind = reader.integer()
        if kind not in layout.CONDITION_FIELDS:
            raise BadField(f"there is no condition type {kind}")
        conditions.append(f"{kind}{SEPARATOR}{_read_list(reader, layout.CONDITION_FIELDS[kind])}")
    wire["conditions"] = SEPARATOR.join(conditions)
    _read(reader, wire, ["conditions_ignore_rth", "conditions_cancel_order"])


def _read_peg_fields(reader: FieldReader, wire: dict[str, str]) -> None:
    if wire["exchange"] == "IBKRATS":
        _read(reader, wire, ["min_trade_quantity"])
    if wire["order_type"] == "PEG BEST":
        _read(reader, wire, ["min_compete_size", "compete_against_best_offset"])
        if wire["compete_against_best_offset"] == "Infinite":
            _read(reader, wire, layout.OFFSETS)
    elif wire["order_type"] in {"PEG MID", "PEGMID"}:
        _read(reader, wire, layout.OFFSETS)


def order_contract(wire: dict[str, str]) -> ContractFilter:
    """The contract that a placeOrder names."""
    return ContractFilter(
        con_id=integer(wire["con_id"]),
        symbol=wire["symbol"],
        sec_type=wire["sec_type"],
        expiry=wire["expiry"],
        exchange=wire["exchange"],
        primary_exchange=wire["primary_exchange"],
        currency=wire["currency"],
        local_symbol=wire["local_symbol"],
        trading_class=wire["trading_class"],
        multiplier=wire["multiplier"],
        strike=number(wire["strike"]) or None,
        right=right if (right := wire["right"].upper()[:1]) in {"C", "P"} else "",
    )


def order_terms(
    client_id: int, order_id: int, con_id: int, symbol: str, wire: dict[str, str], zone: str = "US/Eastern"
) -> OrderTerms:
    """The typed terms of an order whose contract has been found; `zone` is that of times without one.

    Raises BadField for what is no number or flag, GatewayError 391 for what is no time.
    """
    order_type = wire["order_type"].strip().upper()
    reads_limit, reads_aux = layout.PRICES_READ.get(order_type, (True, True))
    prices = {
        "limit_price": number(wire["limit_price"]) if reads_limit else None,
        "aux_price": number(wire["aux_price"]) if reads_aux else None,
        **_trailing(order_type, wire),
    }
    return OrderTerms(
        client_id=client_id,
        order_id=order_id,
        con_id=con_id,
        symbol=symbol,
        action=wire["action"].strip().upper(),
        quantity=number(wire["quantity"]) or Decimal(0),
        order_type=order_type,
        tif=wire["tif"].strip().upper() or "DAY",
        **prices,
        good_till=read_order_time(wire["good_till_date"], zone) if wire["tif"].strip().upper() == "GTD" else None,
        good_after=read_order_time(wire["good_after_time"], zone),
        account=wire["account"],
        order_ref=wire["order_ref"],
        oca_group=wire["oca_group"],
        oca_type=integer(wire["oca_type"]),
        parent_id=integer(wire["parent_id"]),
        transmit=flag(wire["transmit"]),
        outside_rth=flag(wire["outside_rth"]),
        what_if=flag(wire["what_if"]),
        extra={name: value for name, value in wire.items() if value and name not in layout.TYPED},
    )


def _trailing(order_type: str, wire: dict[str, str]) -> dict[str, Decimal | None]:
    """The prices of a trailing order; a 0 is what clients send back for "none"."""
    read = {name: number(wire[name]) for name in ("trail_stop_price", "trailing_percent", "limit_price_offset")}
    if order_type not in layout.TRAILING:
        return {}
    stop, percent, offset = ((value or None) for value in read.values())
    limit, amount = number(wire["limit_price"]) or None, number(wire["aux_price"]) or None
    follows = order_type == "TRAIL LIMIT"
    return {
        "trail_stop_price": stop,
        "trail_percent": percent,
        "limit_offset": read["limit_price_offset"] if follows else None,
        "aux_price": None if percent else amount,
        "limit_price": limit if follows and offset is None else None,
    }


def read_order_time(text: str, zone: str) -> datetime | None:
    """A good-till or good-after time; a date alone means the end of that day. Raises GatewayError 391."""
    if not text:
        return None
    try:
        return read_time(f"{text} 23:59:59" if text.isdigit() else text, zone)
    except GatewayError as error:
        raise GatewayError(391, BAD_ORDER_TIME) from error


def refuse_unsimulated(wire: dict[str, str]) -> None:
    """Raise GatewayError 321 for an attribute that a real gateway would obey and this one cannot."""
    for name, what in layout.REFUSED_IF_SET.items():
        if wire.get(name, "") not in {"", "None"}:
            raise _refusal(what)
    for name, what in layout.REFUSED_IF_POSITIVE.items():
        if (number(wire.get(name, "")) or 0) > 0:
            raise _refusal(what)


def _refusal(what: str) -> GatewayError:
    return GatewayError(321, f"Error validating request.-'bO' : cause - The paper gateway does not simulate {what}.")
