"""P5: the strategy has sent fewer entries this market day than the profile allows."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

CONTROL = "P5"
PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse one entry too many in a day."""
    most = proposal.limits.max_orders_per_day
    return verdict(
        __name__,
        allowed=proposal.ledger.entries_today < most,
        code="TOO_MANY_ORDERS_TODAY",
        message=f"{proposal.ledger.entries_today} entries sent today, at most {most} may be",
        sent=proposal.ledger.entries_today,
        most=most,
    )
