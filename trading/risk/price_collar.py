"""P2: a limit is no worse than the collar past the middle of the quote, and near the last close.

Worse is higher for a buy, lower for a sale; a limit that waits on the other side is no danger. The last close is the
measure over a session: against a market that ran away, both ways, for what opens or adds. What only reduces is never
held back by it, so that a crash traps nobody in a position. An unknown close refuses an entry: a broker that gives
none for a contract (before its first day has ended) gives no measure of a sane price.
"""

from __future__ import annotations

from decimal import Decimal

from trading.risk.base import Finding, Proposal, Verdict, judged, known
from trading.risk.market import middle, unreliable

CONTROL = "P2"
PURPOSES = ("entry", "exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse a limit beyond either collar, or one that there is nothing to compare with."""
    if proposal.limit_price is None and (proposal.purpose == "change" or proposal.order_type == "STP"):
        return judged(__name__, [], sound="no limit to compare")
    limit, mid = _limit(proposal), middle(proposal)
    doubt = unreliable(proposal)
    found = [doubt] if doubt else [_past_middle(proposal, limit, mid), _far_from_close(proposal, limit)]
    return judged(
        __name__,
        found,
        sound="the limit lies inside both collars",
        limit=limit,
        middle=mid,
        close=proposal.close,
        collar=proposal.limits.limit_collar,
        session_collar=proposal.limits.session_collar,
    )


def _limit(proposal: Proposal) -> Decimal | None:
    """A market order is measured by what it would pay now."""
    return proposal.price if proposal.order_type == "MKT" else proposal.limit_price


def _past_middle(proposal: Proposal, limit: Decimal | None, mid: Decimal | None) -> Finding | None:
    if not known(limit) or mid is None or limit <= 0:
        return Finding("NO_LIMIT", "the order has no limit to compare with the market")
    past = (limit - mid) / mid if proposal.side == "BUY" else (mid - limit) / mid
    if past <= proposal.limits.limit_collar:
        return None
    most = f"at most {proposal.limits.limit_collar:.2%} is allowed"
    return Finding("OUTSIDE_COLLAR", f"the limit is {past:.2%} past the middle of the quote, {most}")


def _far_from_close(proposal: Proposal, limit: Decimal | None) -> Finding | None:
    if proposal.reduces:
        return None
    close, most = proposal.close, proposal.limits.session_collar
    if not known(close) or not known(limit) or close <= 0:
        return Finding("NO_CLOSE", "the last close is not known")
    away = abs(limit - close) / close
    if away <= most:
        return None
    return Finding("FAR_FROM_CLOSE", f"the limit is {away:.2%} from the last close, at most {most:.2%} is allowed")
