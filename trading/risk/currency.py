"""The instrument trades in the account's base currency; conversion is not supported yet."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry", "exit")


def check(proposal: Proposal) -> Verdict:
    """Refuse any other currency."""
    same = bool(proposal.currency) and proposal.currency == proposal.base_currency
    return verdict(
        __name__,
        allowed=same,
        code="FX_NOT_SUPPORTED",
        message=f"{proposal.symbol} trades in {proposal.currency}, the account is kept in {proposal.base_currency}",
        currency=proposal.currency,
        base=proposal.base_currency,
    )
