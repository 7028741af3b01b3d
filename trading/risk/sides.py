"""Stop, price and target stand in the right order: stop < price < target for a buy, reversed for a sell."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse a stop or target on the wrong side, or one that is missing."""
    stop, price, target = proposal.stop_price, proposal.price, proposal.target_price
    if stop is None or price is None or target is None:
        allowed, message = False, "stop, price and target are all required"
    elif proposal.side == "BUY":
        allowed, message = stop < price < target, f"a buy needs {stop} < {price} < {target}"
    else:
        allowed, message = target < price < stop, f"a sell needs {target} < {price} < {stop}"
    return verdict(__name__, allowed=allowed, code="WRONG_SIDE", message=message, stop=stop, price=price, target=target)
