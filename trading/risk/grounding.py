"""The price the analyst says it saw is the market's: at most the allowed deviation from the quote."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse a price that the market does not show."""
    claimed, price, most = proposal.claimed_price, proposal.price, proposal.limits.max_price_deviation
    usable = claimed is not None and claimed.is_finite() and price is not None and price > 0
    deviation = abs(claimed - price) / price if usable and claimed is not None and price is not None else None
    shown = "unknown" if deviation is None else f"{deviation:.2%}"
    return verdict(
        __name__,
        allowed=deviation is not None and deviation <= most,
        code="UNGROUNDED_PRICE",
        message=f"the analyst's price is {shown} from the quote, at most {most:.2%} is allowed",
        claimed=claimed,
        price=price,
        most=most,
    )
