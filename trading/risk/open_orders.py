"""The account has fewer working entries than the profile allows."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse one entry too many."""
    most = proposal.limits.max_open_orders
    return verdict(
        __name__,
        allowed=proposal.open_entries < most,
        code="TOO_MANY_OPEN_ORDERS",
        message=f"{proposal.open_entries} entries work already, at most {most} may",
        open=proposal.open_entries,
        most=most,
    )
