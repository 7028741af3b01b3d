"""What one leg must be by itself: its type's prices, its time in force, its contract's ticks and lots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import get_args

from broker import types
from broker.errors import OrderInvalid

REF_LENGTH = 20
GROUP_LENGTH = 40
TOO_LARGE = 10**9  # our rows keep nine digits before the point
TRADED = ("STK", "FUT", "CASH")
PRICED = ("limit_price", "stop_price")
TRAILS = ("trail_amount", "trail_percent")
WORDS = {
    "role": get_args(types.Role),
    "side": get_args(types.Side),
    "order_type": get_args(types.OrderType),
    "tif": get_args(types.TimeInForce),
}
TYPES_OF_ROLE = {"stop": ("STP", "STP LMT", "TRAIL"), "target": ("LMT",)}
TYPES_OF_TIF = {"IOC": ("MKT", "LMT"), "OPG": ("MKT", "LMT")}
AT_THE_CLOSE = ("MOC", "LOC")


@dataclass(frozen=True, slots=True)
class PriceRule:
    """The prices that an order type must have, and those that it may have."""

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


PRICES: dict[str, PriceRule] = {
    "MKT": PriceRule(),
    "MOC": PriceRule(),
    "LMT": PriceRule(("limit_price",)),
    "LOC": PriceRule(("limit_price",)),
    "STP": PriceRule(("stop_price",)),
    "STP LMT": PriceRule(("limit_price", "stop_price")),
    "TRAIL": PriceRule(optional=("stop_price",)),
}


def check_leg(leg: types.OrderLeg, contract: types.Contract, market_now: datetime) -> None:
    """Raise OrderInvalid for the first thing that is wrong with a leg."""
    check_ref(leg.order_ref)
    if contract.sec_type not in TRADED:
        raise invalid("sec_type", f"{contract.sec_type} is not traded here; {contract.symbol} must be STK, FUT or CASH")
    for field, allowed in WORDS.items():
        if getattr(leg, field) not in allowed:
            raise invalid(field, f"must be one of {', '.join(allowed)}")
    _check_type_of_role(leg)
    _check_prices(leg)
    given = {name: value for name in (*PRICED, *TRAILS) if (value := getattr(leg, name)) is not None}
    check_values({"quantity": leg.quantity, **given}, contract)
    _check_stop_limit(leg)
    _check_time_in_force(leg, market_now)
    _check_group(leg)


def check_ref(order_ref: str) -> None:
    """An order_ref has 1 to 20 printable ASCII characters without spaces."""
    if not _is_name(order_ref, REF_LENGTH):
        raise invalid("order_ref", f"must have 1 to {REF_LENGTH} printable ASCII characters without spaces")


def check_values(values: Mapping[str, Decimal], contract: types.Contract) -> None:
    """Raise OrderInvalid for a quantity that is in no whole lots, or a price that is on no tick."""
    for field, value in values.items():
        if not value.is_finite() or value <= 0:
            raise invalid(field, "must be finite and above zero")
        if value >= TOO_LARGE:
            raise invalid(field, f"must be below {TOO_LARGE:,}")
    for field in values.keys() & {*PRICED, "trail_amount"}:
        step = contract.min_tick if field == "trail_amount" else _increment(contract, values[field])
        _check_multiple(field, values[field], step, "the tick")
    if "quantity" in values:
        _check_multiple("quantity", values["quantity"], contract.lot_size, "the lot")
    if values.get("trail_percent", Decimal(0)) >= 100:
        raise invalid("trail_percent", "must be below 100")


def invalid(field: str, problem: str) -> OrderInvalid:
    """The error that names a field."""
    return OrderInvalid(f"{field} {problem}.", details={"field": field})


def _check_type_of_role(leg: types.OrderLeg) -> None:
    allowed = TYPES_OF_ROLE.get(leg.role)
    if allowed is not None and leg.order_type not in allowed:
        raise invalid("order_type", f"of a {leg.role} must be {' or '.join(allowed)}")


def _check_prices(leg: types.OrderLeg) -> None:
    rule = PRICES[leg.order_type]
    for field in PRICED:
        is_given = getattr(leg, field) is not None
        if is_given and field not in rule.needed + rule.optional:
            raise invalid(field, f"is not allowed for {leg.order_type}; leave it out")
        if not is_given and field in rule.needed:
            raise invalid(field, f"is missing for {leg.order_type}")
    trails = [field for field in TRAILS if getattr(leg, field) is not None]
    if leg.order_type != "TRAIL" and trails:
        raise invalid(trails[0], f"is not allowed for {leg.order_type}; leave it out")
    if leg.order_type == "TRAIL" and len(trails) != 1:
        raise invalid("trail_amount", "or trail_percent must be given for TRAIL, and not both")


def _check_stop_limit(leg: types.OrderLeg) -> None:
    """A protective stop that may not trade where it triggers would leave the position open."""
    if leg.role != "stop" or leg.limit_price is None or leg.stop_price is None:
        return
    room = leg.stop_price - leg.limit_price
    if (room if leg.side == "SELL" else -room) < 0:
        where = "at or below" if leg.side == "SELL" else "at or above"
        raise invalid("limit_price", f"of a protective stop must be {where} its stop price")


def _check_time_in_force(leg: types.OrderLeg, market_now: datetime) -> None:
    allowed = TYPES_OF_TIF.get(leg.tif)
    if allowed is not None and leg.order_type not in allowed:
        raise invalid("tif", f"{leg.tif} is for {' and '.join(allowed)} only; use DAY or GTC")
    if leg.order_type in AT_THE_CLOSE and leg.tif != "DAY":
        raise invalid("tif", f"of {leg.order_type} must be DAY")
    if leg.outside_rth and (leg.tif == "OPG" or leg.order_type in AT_THE_CLOSE):
        raise invalid("outside_rth", "is not for an auction; say false")
    if (leg.good_till is None) == (leg.tif == "GTD"):
        raise invalid("good_till", "must be given with GTD, and with GTD only")
    if leg.good_till is None:
        return
    if leg.good_till.tzinfo is None:
        raise invalid("good_till", "must have a time zone")
    if leg.good_till <= market_now:
        raise invalid("good_till", f"must lie in the future; the market's time is {market_now.isoformat()}")


def _check_group(leg: types.OrderLeg) -> None:
    if leg.oca_ref and leg.oca_group:
        raise invalid("oca_group", "and oca_ref cannot both be given; name the group or the order to join")
    if leg.oca_group and not _is_name(leg.oca_group, GROUP_LENGTH):
        raise invalid("oca_group", f"must have at most {GROUP_LENGTH} printable ASCII characters without spaces")


def _check_multiple(field: str, value: Decimal, step: Decimal, what: str) -> None:
    if step > 0 and value % step:
        raise invalid(field, f"{value} is no multiple of {what} {step.normalize():f}")


def _increment(contract: types.Contract, price: Decimal) -> Decimal:
    """The price step of the band that a price lies in."""
    below = [band for band in contract.increments if band.low_edge <= price]
    return max(below, key=lambda band: band.low_edge).increment if below else contract.min_tick


def _is_name(text: str, length: int) -> bool:
    return 0 < len(text) <= length and all("!" <= character <= "~" for character in text)
