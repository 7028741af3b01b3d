"""The account can pay for the order at its limit."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, known, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse what exceeds the available funds, or when they are unknown."""
    funds = proposal.available_funds
    if funds is None or proposal.limit_price is None or not known(funds):
        return verdict(__name__, allowed=False, code="FUNDS_UNKNOWN", message="available funds are not known")
    value = proposal.quantity * proposal.limit_price
    return verdict(
        __name__,
        allowed=value <= funds,
        code="FUNDS_TOO_LOW",
        message=f"the order costs up to {value:.2f}, {funds:.2f} is available",
        value=value,
        funds=funds,
    )
