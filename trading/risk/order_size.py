"""There is at least one lot to trade, and neither its value nor its quantity exceeds the profile's limits."""

from __future__ import annotations

from decimal import Decimal

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse an order that is empty or too large."""
    limits, quantity = proposal.limits, proposal.quantity
    value = quantity * (proposal.limit_price or Decimal("NaN"))
    if quantity <= 0:
        allowed, code, message = False, "NO_ROOM", "the limits leave no room for a single lot"
    elif quantity > limits.max_order_quantity:
        allowed, code, message = False, "QUANTITY_TOO_LARGE", f"{quantity} exceeds {limits.max_order_quantity}"
    else:
        allowed = value.is_finite() and value <= limits.max_order_value
        code, message = "VALUE_TOO_LARGE", f"order value {value:.2f}, at most {limits.max_order_value:.2f}"
    return verdict(__name__, allowed=allowed, code=code, message=message, quantity=quantity, value=value)
