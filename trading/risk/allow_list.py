"""The symbol is on the profile's list, or, where that is empty, one of the strategy's own instruments."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse any other symbol."""
    allowed = tuple(proposal.limits.allowed_symbols) or proposal.own_symbols
    return verdict(
        __name__,
        allowed=proposal.symbol in allowed,
        code="SYMBOL_NOT_ALLOWED",
        message=f"{proposal.symbol} is {'' if proposal.symbol in allowed else 'not '}on the list of {len(allowed)}",
        symbol=proposal.symbol,
    )
