"""The quote is two-sided, fresh by the market's clock, and its spread is not too wide."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry", "exit")


def check(proposal: Proposal) -> Verdict:
    """Refuse a missing, stale, crossed or wide quote."""
    limits, bid, ask = proposal.limits, proposal.bid, proposal.ask
    if bid is None or ask is None or proposal.quote_at is None or not 0 < bid <= ask:
        return verdict(__name__, allowed=False, code="NO_QUOTE", message="no two-sided quote", bid=bid, ask=ask)
    age = (proposal.market_now - proposal.quote_at).total_seconds()
    spread = (ask - bid) / ((ask + bid) / 2)
    if abs(age) > limits.max_quote_age_seconds:
        code, message = "STALE_QUOTE", f"the quote is {age:.1f} s old, at most {limits.max_quote_age_seconds} s allowed"
    else:
        code, message = "WIDE_SPREAD", f"the spread is {spread:.3%}, at most {limits.max_spread:.2%} is allowed"
    allowed = abs(age) <= limits.max_quote_age_seconds and spread <= limits.max_spread
    return verdict(__name__, allowed=allowed, code=code, message=message, bid=bid, ask=ask, age_s=age, spread=spread)
