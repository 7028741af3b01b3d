"""An exit only reduces: its side is opposite to the position and its quantity at most what is held."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("exit",)


def check(proposal: Proposal) -> Verdict:
    """Refuse what would add to or turn the position."""
    opposite = (proposal.position > 0) == (proposal.side == "SELL") and proposal.position != 0
    return verdict(
        __name__,
        allowed=opposite and proposal.quantity <= abs(proposal.position),
        code="WOULD_INCREASE",
        message=f"{proposal.side} {proposal.quantity} of a position of {proposal.position}",
        position=proposal.position,
        quantity=proposal.quantity,
    )
