"""P3: nothing is sent without a fresh two-sided quote whose spread is not too wide, at the market least of all.

A limit that leaves is marketable by design, so it needs the same quote as an order at the market. A contract that the
exchange has halted is not entered.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged
from trading.risk.market import age_seconds, middle, unreliable

CONTROL = "P3"
PURPOSES = ("entry", "exit")


def check(proposal: Proposal) -> Verdict:
    """Refuse a missing, stale, crossed or wide quote."""
    return judged(
        __name__,
        [unreliable(proposal), _wide(proposal), _halted(proposal), _unknown_type(proposal)],
        sound="the quote is two-sided, fresh and narrow",
        order_type=proposal.order_type,
        bid=proposal.bid,
        ask=proposal.ask,
        age_s=age_seconds(proposal),
    )


def _wide(proposal: Proposal) -> Finding | None:
    mid, bid, ask, most = middle(proposal), proposal.bid, proposal.ask, proposal.limits.max_spread
    if mid is None or bid is None or ask is None or (ask - bid) / mid <= most:
        return None
    return Finding("WIDE_SPREAD", f"the spread is {(ask - bid) / mid:.3%}, at most {most:.2%} is allowed")


def _halted(proposal: Proposal) -> Finding | None:
    if proposal.halted and not proposal.reduces:
        return Finding("CONTRACT_HALTED", f"the exchange has halted {proposal.symbol}")
    return None


def _unknown_type(proposal: Proposal) -> Finding | None:
    if proposal.order_type in ("LMT", "MKT"):
        return None
    return Finding("ORDER_TYPE", f"an order of type {proposal.order_type!r} cannot be judged")
