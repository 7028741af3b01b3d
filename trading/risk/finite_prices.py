"""Every number is finite and positive, and the order's prices lie on the tick grid."""

from __future__ import annotations

from decimal import Decimal

from trading.risk.base import Proposal, Verdict, verdict

PURPOSES = ("entry", "exit")


def check(proposal: Proposal) -> Verdict:
    """Refuse NaN, infinity, zero, negative and off-tick numbers before anything is compared with them."""
    numbers = {"price": proposal.price, "limit": proposal.limit_price, "quantity": proposal.quantity}
    if proposal.purpose == "entry":
        numbers |= {"stop": proposal.stop_price, "target": proposal.target_price}
    bad = [name for name, value in numbers.items() if value is None or not value.is_finite() or value <= 0]
    on_grid = [name for name in ("limit", "stop", "target") if name in numbers and name not in bad]
    if proposal.tick is None or not proposal.tick > 0:
        bad.append("tick")
    else:
        bad += [name for name in on_grid if _off_tick(numbers[name], proposal.tick)]
    return verdict(
        __name__,
        allowed=not bad,
        code="BAD_NUMBER",
        message=f"not usable: {', '.join(bad)}" if bad else "all numbers are finite, positive and on the tick grid",
        **numbers,
    )


def _off_tick(value: Decimal | None, tick: Decimal) -> bool:
    return value is not None and value % tick != 0
