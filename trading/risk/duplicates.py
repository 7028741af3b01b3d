"""P6: an order equal to one that left the account a moment ago is a slip, unless it is marked as intended."""

from __future__ import annotations

from datetime import timedelta

from trading.risk.base import Finding, Proposal, Verdict, judged

CONTROL = "P6"
PURPOSES = ("entry", "exit")


def check(proposal: Proposal) -> Verdict:
    """Refuse the same contract, side, quantity and price inside the window, by the market's clock."""
    seconds = proposal.limits.duplicate_window_seconds
    window = timedelta(seconds=seconds)
    twins = [twin.order_ref for twin in proposal.ledger.twins if proposal.market_now - twin.market_at < window]
    message = f"equal to {twins[-1]} of the last {seconds} s" if twins else f"equal to none of the last {seconds} s"
    refused = bool(twins) and not proposal.intended
    return judged(
        __name__,
        [Finding("DUPLICATE_ORDER", message) if refused else None],
        sound=f"{message}, on purpose" if twins else message,
        twins=", ".join(twins),
        window_s=seconds,
        intended=proposal.intended,
    )
