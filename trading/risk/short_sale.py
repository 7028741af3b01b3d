"""A short position is opened only by a strategy that may."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse a sell that opens, without the permission."""
    allowed = proposal.side == "BUY" or proposal.allow_short
    return verdict(
        __name__,
        allowed=allowed,
        code="SHORT_NOT_ALLOWED",
        message="opens a short position" if proposal.side == "SELL" else "buys",
        side=proposal.side,
    )
