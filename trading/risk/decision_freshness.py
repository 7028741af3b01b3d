"""P17: an entry stands on a fresh decision whose numbers the market itself bears out.

Age is measured on the market's clock. R and the profit margin are recomputed from the market's price, never taken from
the analyst; the price the analyst says it saw is near the market's; what was held when it was decided is held still.
A person's request claims no price. What a person has approved is as fresh as the approval, whose expiry P16 judges.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from trading.risk.base import Finding, Proposal, Verdict, judged, known

CONTROL = "P17"
PURPOSES = ("entry",)
# Two readings of one clock may differ by this much.
STEP = timedelta(seconds=2)


def check(proposal: Proposal) -> Verdict:
    """Refuse what is old, ungrounded, or not worth its risk; and whatever of it is unknown."""
    limits = proposal.limits
    return judged(
        __name__,
        [_old(proposal), _moved(proposal), _ungrounded(proposal), _poor(proposal), _thin(proposal)],
        sound="fresh, grounded, and worth its risk",
        age_s=None if (age := _age(proposal)) is None else age.total_seconds(),
        claimed=proposal.claimed_price,
        price=proposal.price,
        r=proposal.reward_ratio,
        least_r=limits.min_reward_ratio,
        margin=proposal.profit_margin,
        least_margin=limits.min_profit_margin,
    )


def _age(proposal: Proposal) -> timedelta | None:
    return None if proposal.decided_at is None else proposal.market_now - proposal.decided_at


def _old(proposal: Proposal) -> Finding | None:
    if proposal.ledger.approval is not None:
        return None
    age, most = _age(proposal), timedelta(seconds=proposal.limits.max_decision_age_seconds)
    if age is None:
        return Finding("STALE_DECISION", "when it was decided is not known")
    if -STEP <= age <= most:
        return None
    return Finding("STALE_DECISION", f"decided {age.total_seconds():.0f} s ago, at most {most.total_seconds():.0f} s")


def _moved(proposal: Proposal) -> Finding | None:
    held = proposal.ledger.position
    if held == proposal.position:
        return None
    return Finding("POSITION_CHANGED", f"{held} is held, {proposal.position} was held when it was decided")


def _ungrounded(proposal: Proposal) -> Finding | None:
    claimed, price, most = proposal.claimed_price, proposal.price, proposal.limits.max_price_deviation
    if proposal.source == "request" and claimed is None:
        return None
    if not known(claimed) or not known(price) or price <= 0:
        return Finding("UNGROUNDED_PRICE", "the analyst's price cannot be compared with the quote")
    away = abs(claimed - price) / price
    if away <= most:
        return None
    return Finding("UNGROUNDED_PRICE", f"the analyst's price is {away:.2%} from the quote, at most {most:.2%}")


def _poor(proposal: Proposal) -> Finding | None:
    ratio, least = proposal.reward_ratio, proposal.limits.min_reward_ratio
    if known(ratio) and ratio >= least:
        return None
    return Finding("R_TOO_LOW", f"R {_shown(ratio, '.2f')}, at least {least.normalize():f} is required")


def _thin(proposal: Proposal) -> Finding | None:
    margin, least = proposal.profit_margin, proposal.limits.min_profit_margin
    if known(margin) and margin >= least:
        return None
    return Finding("MARGIN_TOO_LOW", f"profit margin {_shown(margin, '.2%')}, at least {least:.2%} is required")


def _shown(value: Decimal | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
