"""P13: the gates of live money: mode, orders enabled, the override file, the account's proof or its listing.

The owner reads them once more before every frame; here they are told with the other controls.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged

CONTROL = "P13"
PURPOSES = ("entry", "exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse with the first gate that is shut; what never leaves us passes none."""
    shut = proposal.desk.money if proposal.leaves else None
    return judged(
        __name__,
        [Finding(shut.code, shut.message) if shut else None],
        sound="every gate is open" if proposal.leaves else "it does not leave for the broker",
        account=proposal.account,
        orders_enabled=proposal.desk.sends,
    )
