"""Stop, price and target stand in the right order: stop < price ≤ limit < target for a buy, reversed for a sell."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse a stop or target on the wrong side, or one that is missing."""
    stop, price, target = proposal.stop_price, proposal.price, proposal.target_price
    limit = proposal.limit_price
    if stop is None or price is None or target is None or limit is None:
        allowed, message = False, "stop, price, limit and target are all required"
    elif proposal.side == "BUY":
        allowed, message = stop < price <= limit < target, f"a buy needs {stop} < {price} ≤ {limit} < {target}"
    else:
        allowed, message = target < limit <= price < stop, f"a sell needs {target} < {limit} ≤ {price} < {stop}"
    return verdict(
        __name__,
        allowed=allowed,
        code="WRONG_SIDE",
        message=message,
        stop=stop,
        price=price,
        limit=limit,
        target=target,
    )
