"""P18: an order does not trade with a working order of our own, of whatever strategy, in the same account and contract.

The legs of its own bracket are no match. A protective stop is not judged: it must be there. An exit ends the entry
that still works for its own strategy before it leaves, so that one counts at sending only.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged
from trading.selectors.ledger import ASKING

CONTROL = "P18"
PURPOSES = ("entry", "exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse what would cross one; the ledger has compared their limits and stops."""
    crossing = () if proposal.role == "stop" else proposal.ledger.crossing
    if proposal.purpose == "exit" and (not proposal.sending or proposal.ledger.approval is ASKING):
        crossing = tuple(order_ref for order_ref in crossing if order_ref != proposal.ledger.entry_working)
    return judged(
        __name__,
        [Finding("SELF_MATCH", f"would trade with our own {order_ref}") for order_ref in crossing[:1]],
        sound="meets no working order of our own",
        crossing=", ".join(crossing),
    )
