"""P9: what reduces truly reduces: opposite to the position, and with all that closes it already, at most what is held.

A leg whose entry still works may close what that entry has yet to fill as well.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged, known, plain

CONTROL = "P9"
PURPOSES = ("exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse what would add to or turn the position."""
    held, closing = proposal.ledger.position, proposal.ledger.closing_quantity
    found: Finding | None = None
    if not proposal.reduces:
        found = None
    elif not known(held) or not known(closing) or not known(proposal.pending) or not known(proposal.quantity):
        found = Finding("POSITION_UNKNOWN", "what is held, or closes it already, is not known")
    else:
        opposite = held if proposal.side == "SELL" else -held
        room = opposite + proposal.pending - closing
        if opposite < 0 or proposal.quantity > room:
            text = f"{proposal.side} {plain(proposal.quantity)} of a position of {plain(held)}"
            found = Finding(
                "WOULD_INCREASE", f"{text}, {plain(closing)} of it is being closed already" if closing else text
            )
    return judged(
        __name__,
        [found],
        sound="only reduces" if proposal.reduces else "opens; judged by the limits of an entry",
        position=held,
        closing=closing,
        pending=proposal.pending,
        quantity=proposal.quantity,
    )
