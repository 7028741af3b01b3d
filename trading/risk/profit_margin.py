"""The way to the target, as a part of the price, is at least the profile's least."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, known, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse a thin, negative or unknown margin."""
    least, margin = proposal.limits.min_profit_margin, proposal.profit_margin
    shown = "unknown" if margin is None else f"{margin:.2%}"
    return verdict(
        __name__,
        allowed=margin is not None and known(margin) and margin >= least,
        code="MARGIN_TOO_LOW",
        message=f"profit margin {shown}, at least {least:.2%} is required",
        margin=margin,
        least=least,
    )
