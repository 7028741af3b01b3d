"""What may leave while trading is halted: stops, and targets that share an OCA group with one."""

from __future__ import annotations

from broker import types


def is_protective(request: types.PlaceOrder) -> bool:
    """True for stops of a position, with or without their targets; a target alone is an exit, and waits."""
    stops = [leg for leg in request.legs if leg.role == "stop"]
    if not stops or not request.reduces:
        return False
    return all(leg.role == "stop" or (leg.role == "target" and _is_paired(leg, stops)) for leg in request.legs)


def _is_paired(target: types.OrderLeg, stops: list[types.OrderLeg]) -> bool:
    """One ends the other: the target names the stop's group, or the stop itself, or the stop names the target."""
    return any(
        (target.oca_group and target.oca_group == stop.oca_group)
        or target.oca_ref == stop.order_ref
        or stop.oca_ref == target.order_ref
        for stop in stops
    )
