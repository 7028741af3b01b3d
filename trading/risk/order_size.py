"""P1: neither the quantity nor the value of one order exceeds the profile's limits; there is at least one lot.

The value is counted at the dearest price the order allows: its limit, or the end of the collar at the market. What
only reduces a position is not held up by its size.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged, known, plain

CONTROL = "P1"
PURPOSES = ("entry", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse an order that is empty, too large, or of unknown value."""
    limits, quantity, value = proposal.limits, proposal.quantity, proposal.value
    found: Finding | None = None
    if not known(quantity) or quantity <= 0:
        found = Finding("NO_ROOM", "the limits leave no room for a single lot")
    elif proposal.reduces:
        found = None
    elif quantity > limits.max_order_quantity:
        found = Finding("QUANTITY_TOO_LARGE", f"{plain(quantity)} is more than {plain(limits.max_order_quantity)}")
    elif not known(value):
        found = Finding("VALUE_UNKNOWN", "the order's value is not known")
    elif value > limits.max_order_value:
        found = Finding("VALUE_TOO_LARGE", f"order value {value:.2f}, at most {limits.max_order_value:.2f}")
    return judged(
        __name__,
        [found],
        sound=f"{plain(quantity)} for at most {value:.2f}" if known(value) else plain(quantity),
        quantity=quantity,
        value=value,
        most_quantity=limits.max_order_quantity,
        most_value=limits.max_order_value,
    )
