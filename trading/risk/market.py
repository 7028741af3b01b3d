"""What the quote says, for the rules that look at it: its middle, its age, and whether it may be relied upon."""

from __future__ import annotations

from decimal import Decimal

from trading.risk.base import Finding, Proposal, known


def middle(proposal: Proposal) -> Decimal | None:
    """The middle of a two-sided quote; None where a side is missing, not positive, or the sides are crossed."""
    bid, ask = proposal.bid, proposal.ask
    if not known(bid) or not known(ask) or not 0 < bid <= ask:
        return None
    return (bid + ask) / 2


def unreliable(proposal: Proposal) -> Finding | None:
    """Why nothing may be compared with this quote: one-sided, crossed, or too old by the market's clock."""
    if middle(proposal) is None or proposal.quote_at is None:
        return Finding("NO_QUOTE", f"no two-sided quote: bid {proposal.bid}, ask {proposal.ask}")
    age, most = age_seconds(proposal), proposal.limits.max_quote_age_seconds
    if age is None or abs(age) > most:
        return Finding("STALE_QUOTE", f"the quote is {age:.1f} s old, at most {most} s is allowed")
    return None


def age_seconds(proposal: Proposal) -> float | None:
    """How old the quote is by the market's clock; negative = from the future."""
    if proposal.quote_at is None:
        return None
    return (proposal.market_now - proposal.quote_at).total_seconds()
