"""P19: an entry carries its protective stop and its target, each on its own side, and leaves with them as one bracket.

For a buy: stop < price and limit < target; reversed for a sale. A stop beyond the market would close at once what it
is to protect.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged, known, plain

CONTROL = "P19"
PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse an entry without protection, or with protection on the wrong side."""
    return judged(
        __name__,
        [_naked(proposal) or _wrong_side(proposal)],
        sound="leaves with a stop and a target",
        stop=proposal.stop_price,
        price=proposal.price,
        limit=proposal.limit_price,
        target=proposal.target_price,
    )


def _naked(proposal: Proposal) -> Finding | None:
    legs = {"stop": proposal.stop_price, "target": proposal.target_price}
    missing = [name for name, price in legs.items() if not known(price) or price <= 0]
    return Finding("NO_PROTECTION", f"an entry leaves with its {' and '.join(missing)}") if missing else None


def _wrong_side(proposal: Proposal) -> Finding | None:
    stop, target = proposal.stop_price, proposal.target_price
    prices = [proposal.price] if proposal.order_type == "MKT" else [proposal.price, proposal.limit_price]
    between = [price for price in prices if known(price)]
    if not known(stop) or not known(target) or len(between) < len(prices):
        return Finding("WRONG_SIDE", "price and limit must be known")
    low, high = min(between), max(between)
    buys = proposal.side == "BUY"
    below, above = (stop, target) if buys else (target, stop)
    if below < low <= high < above:
        return None
    needed = f"{plain(below)} < {plain(low)} ≤ {plain(high)} < {plain(above)}"
    return Finding("WRONG_SIDE", f"a {'buy' if buys else 'sale'} needs {needed}")
