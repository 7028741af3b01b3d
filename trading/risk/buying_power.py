"""P7: the account can pay for the order beside everything of ours that may still fill.

From the available funds as the broker tells them we take what our own working entries may still cost, from the commit
of their intent to their end, and what entries have bought in the last minutes, which the broker's figures may not
show yet. A broker that has set the same money aside already makes this too careful, never too bold. The whole value
counts, of a short sale too: its margin is at most that.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged, known

CONTROL = "P7"
PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse what exceeds the funds that are left, or when any part of the sum is unknown."""
    funds, reserved, flying, value = (
        proposal.available_funds,
        proposal.ledger.reserved,
        proposal.funds_in_flight,
        proposal.value,
    )
    found: Finding | None = None
    left = None
    if not known(funds) or not known(reserved) or not known(flying):
        found = Finding("FUNDS_UNKNOWN", "the funds that are left are not known")
    elif not known(value):
        found = Finding("VALUE_UNKNOWN", "the order's value is not known")
    else:
        left = funds - reserved - flying
        if value > left:
            found = Finding("FUNDS_TOO_LOW", f"the order costs up to {value:.2f}, {left:.2f} is left of {funds:.2f}")
    return judged(
        __name__,
        [found],
        sound="the account can pay for it",
        value=value,
        funds=funds,
        reserved=reserved,
        in_flight=flying,
        left=left,
    )
