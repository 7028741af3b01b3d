"""P9: what reduces truly reduces: opposite to the position, and with all that closes it already, at most what is held.

A leg whose entry still works may close what that entry has yet to fill as well. What a person sold in TWS, or is
selling there, is not closed once more: it would open the opposite position.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged, known, plain

CONTROL = "P9"
PURPOSES = ("exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse what would add to or turn the position."""
    held, closing, elsewhere = (
        proposal.ledger.position,
        proposal.ledger.closing_quantity,
        proposal.ledger.elsewhere,
    )
    found: Finding | None = None
    if not proposal.reduces:
        found = None
    elif not all(map(known, (held, closing, elsewhere, proposal.pending, proposal.quantity))):
        found = Finding("POSITION_UNKNOWN", "what is held, or closes it already, is not known")
    else:
        opposite = held if proposal.side == "SELL" else -held
        room = opposite + proposal.pending - closing - elsewhere
        if opposite < 0 or proposal.quantity > room:
            found = Finding("WOULD_INCREASE", _told(proposal))
    return judged(
        __name__,
        [found],
        sound="only reduces" if proposal.reduces else "opens; judged by the limits of an entry",
        position=held,
        closing=closing,
        elsewhere=elsewhere,
        pending=proposal.pending,
        quantity=proposal.quantity,
    )


def _told(proposal: Proposal) -> str:
    ledger = proposal.ledger
    text = f"{proposal.side} {plain(proposal.quantity)} of a position of {plain(ledger.position)}"
    if ledger.closing_quantity:
        text += f", {plain(ledger.closing_quantity)} of it is being closed already"
    if ledger.elsewhere:
        text += f", {plain(ledger.elsewhere)} of it the account does not hold any more, or others are closing it"
    return text
