"""The terms of an order at the owner's door: OrderInvalid names the field and the fix, before anything is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from broker import types
from broker.errors import OrderError
from broker.service import leg_rules
from broker.service.leg_rules import check_ref, invalid

BRACKET = ["entry", "stop", "target"]
PAIR = ["stop", "target"]
WAITING = ("DAY", "GTC", "GTD")
CHANGEABLE = ("limit_price", "stop_price", "trail_amount", "trail_percent", "quantity")

__all__ = ["check_deadline", "check_modify", "check_place", "check_preview", "check_ref"]


def check_place(request: types.PlaceOrder, contract: types.Contract, now: datetime, market_now: datetime) -> None:
    """Raise OrderInvalid where the legs are malformed or no sound family of orders; LATE past the deadline.

    `now` is the system's time, which the deadline is of; `market_now` the market's, which a good-till time is of. What
    is LATE is sound otherwise.
    """
    if not request.account:
        raise invalid("account", "is empty; name the account that trades")
    if not request.legs:
        raise invalid("legs", "is empty; name at least one order")
    refs = [leg.order_ref for leg in request.legs]
    if len(set(refs)) != len(refs):
        raise invalid("legs.order_ref", "names one order twice; give each leg its own")
    for leg in request.legs:
        leg_rules.check_leg(leg, contract, market_now)
    roles = sorted(leg.role for leg in request.legs)
    if "entry" in roles:
        _check_bracket(request, roles)
    elif len(roles) > 1:
        _check_pair(request, roles)
    check_deadline(request.deadline, now)


def check_preview(request: types.PreviewOrder, contract: types.Contract, market_now: datetime) -> None:
    """Raise OrderInvalid where the leg by itself is malformed."""
    leg_rules.check_leg(request.leg, contract, market_now)


def check_modify(
    request: types.ModifyOrder, contract: types.Contract, placed: Mapping[str, Any], role: str, now: datetime
) -> None:
    """Raise OrderInvalid where the new terms do not fit the order they change; `placed` are its recorded terms."""
    check_ref(request.order_ref)
    if request.revision < 1:
        raise invalid("revision", "starts at 1")
    changed = {name: value for name in CHANGEABLE if (value := getattr(request, name)) is not None}
    applicable = [name for name in CHANGEABLE if name == "quantity" or _has(placed, name)]
    for name in changed:
        if name not in applicable:
            raise invalid(name, f"is not allowed: this {placed['order_type']} order has none to change")
    if not changed:
        raise invalid(applicable[0], f"is missing: name what changes, one of {', '.join(applicable)}")
    leg_rules.check_values(changed, contract)
    shrinks = changed.keys() == {"quantity"} and changed["quantity"] <= Decimal(placed["quantity"])
    if role == "entry" and request.reduces and not shrinks:
        raise invalid("reduces", "is true, but of an entry only a smaller quantity reduces; say false")
    check_deadline(request.deadline, now)


def check_deadline(deadline: datetime, now: datetime) -> None:
    """Nothing leaves after its deadline."""
    if now > deadline:
        raise OrderError("The deadline has passed; nothing was sent.", code="LATE")


def _has(placed: Mapping[str, Any], name: str) -> bool:
    rule = leg_rules.PRICES[placed["order_type"]]
    if name.startswith("trail"):
        return placed.get(name) is not None
    return name in rule.needed or name in rule.optional


def _check_bracket(request: types.PlaceOrder, roles: Sequence[str]) -> None:
    if list(roles) != BRACKET:
        raise invalid("legs", "must be an entry with exactly one stop and one target")
    if request.reduces:
        raise invalid("reduces", "is true, but the legs open a position; say false")
    by_role = {leg.role: leg for leg in request.legs}
    entry, stop, target = by_role["entry"], by_role["stop"], by_role["target"]
    for child in (stop, target):
        _check_child(entry, child)
    if entry.parent_ref or entry.oca_ref or entry.oca_group:
        raise invalid("parent_ref", "and OCA groups are not for an entry: it waits for no other order")
    _check_ladder(entry, stop, target)


def _check_child(entry: types.OrderLeg, child: types.OrderLeg) -> None:
    if child.parent_ref != entry.order_ref:
        raise invalid("parent_ref", f"of {child.order_ref} must name the entry {entry.order_ref}")
    if child.oca_ref or child.oca_group:
        raise invalid("oca_group", f"of {child.order_ref} must be empty: the broker groups a bracket's legs itself")
    if child.side == entry.side:
        raise invalid("side", f"of {child.order_ref} must be opposite to the entry's")
    if child.quantity != entry.quantity:
        raise invalid("quantity", f"of {child.order_ref} must be the entry's")
    _check_waits(child)


def _check_waits(leg: types.OrderLeg) -> None:
    if leg.tif not in WAITING:
        raise invalid("tif", f"of {leg.order_ref} must be {', '.join(WAITING)}: protection waits")


def _check_pair(request: types.PlaceOrder, roles: Sequence[str]) -> None:
    """A stop and a target that protect what is held: one ends the other."""
    groups = {leg.oca_group for leg in request.legs}
    if list(roles) != PAIR or len(groups) != 1 or "" in groups:
        fix = "must be one order, a bracket of entry, stop and target, or a stop and a target of one oca_group"
        raise invalid("legs", fix)
    stop, target = sorted(request.legs, key=lambda leg: leg.role)
    if not request.reduces:
        raise invalid("reduces", "is false, but a stop and a target without an entry only reduce; say true")
    if stop.parent_ref or target.parent_ref:
        raise invalid("parent_ref", "must be empty: what the pair protects is held already")
    if stop.side != target.side:
        raise invalid("side", "of the stop and of the target must be the same")
    if stop.quantity != target.quantity:
        raise invalid("quantity", "of the stop and of the target must be the same")
    _check_waits(stop)
    _check_waits(target)
    _check_ladder(None, stop, target)


def _check_ladder(entry: types.OrderLeg | None, stop: types.OrderLeg, target: types.OrderLeg) -> None:
    """Seen from the side that loses: first the stop, then each price of the entry, then the target."""
    sign = 1 if target.side == "SELL" else -1
    between = (entry.limit_price, entry.stop_price) if entry is not None else (None,)
    for price in between:
        known = [sign * rung for rung in (stop.stop_price, price, target.limit_price) if rung is not None]
        if any(low >= high for low, high in pairwise(known)):
            raise invalid("stop_price", "does not fit: the entry's price must lie between its stop and its target")
