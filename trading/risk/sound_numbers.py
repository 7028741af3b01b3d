"""P11: every number is finite and of a size the database keeps; prices lie on the tick grid, quantities on lots.

Numbers that may be negative (a short position, a day's loss that was a gain, funds) are only asked to be finite. An
exit of the whole holding need not be whole lots: what a partial fill left must be able to leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from decimal import Decimal
from typing import Any

from trading.risk.base import Finding, Proposal, Verdict, judged, known

CONTROL = "P11"
PURPOSES = ("entry", "exit", "change")
# 15 significant digits, 6 of them after the point: what every engine stores exactly.
HUGE = Decimal("1e9")
PLACES = -6
SIGNED = {"position", "equity", "available_funds", "reward_ratio", "profit_margin", "base", "peak", "last"}


def check(proposal: Proposal) -> Verdict:
    """Refuse NaN, infinity, zero, negative, off-tick, off-lot and huge numbers, each by name."""
    terms = _terms(proposal)
    return judged(
        __name__,
        [_corrupt(proposal), _unusable(terms), _huge(terms), _off_tick(proposal, terms), *_off_lot(proposal)],
        sound="all numbers are finite, positive and on their grids",
        **terms,
        tick=proposal.tick,
        lot=proposal.lot,
    )


def _terms(proposal: Proposal) -> dict[str, Decimal | None]:
    """The order's own numbers; each of them must be there."""
    terms: dict[str, Decimal | None] = {"quantity": proposal.quantity}
    if proposal.purpose != "change":
        terms["price"] = proposal.price
    if proposal.purpose == "entry":
        terms |= {"stop": proposal.stop_price, "target": proposal.target_price}
    for name, value in (("limit", proposal.limit_price), ("stop", proposal.stop_price)):
        if value is not None or (name == "limit" and proposal.order_type == "LMT"):
            terms[name] = value
    return terms


def _corrupt(proposal: Proposal) -> Finding | None:
    """Any number at all, also of what the rules only read, that no honest source would send."""
    bad = [name for name, value in _numbers(proposal) if _is_corrupt(name, value)]
    return Finding("BAD_NUMBER", f"not usable: {', '.join(bad)}") if bad else None


def _numbers(proposal: Proposal) -> Iterator[tuple[str, Any]]:
    for part in (proposal, proposal.ledger, proposal.ledger.equity):
        yield from ((column.name, getattr(part, column.name)) for column in fields(part))


def _is_corrupt(name: str, value: Any) -> bool:
    if isinstance(value, Decimal) and not value.is_finite():
        return True
    is_number = isinstance(value, Decimal | int | float) and not isinstance(value, bool)
    return is_number and not (value >= 0) and name not in SIGNED


def _unusable(terms: dict[str, Decimal | None]) -> Finding | None:
    bad = [name for name, value in terms.items() if not known(value) or value <= 0]
    return Finding("BAD_NUMBER", f"not a positive number: {', '.join(bad)}") if bad else None


def _huge(terms: dict[str, Decimal | None]) -> Finding | None:
    bad = [name for name, value in terms.items() if known(value) and (value >= HUGE or not _is_stored(value))]
    return Finding("HUGE_NUMBER", f"more than 15 digits, or 6 after the point: {', '.join(bad)}") if bad else None


def _is_stored(value: Decimal) -> bool:
    exponent = value.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= PLACES


def _off_tick(proposal: Proposal, terms: dict[str, Decimal | None]) -> Finding | None:
    tick = proposal.tick
    if not known(tick) or tick <= 0:
        return Finding("TICK_UNKNOWN", "the contract's tick is not known")
    prices = {name: terms[name] for name in ("limit", "stop", "target") if name in terms}
    bad = [name for name, price in prices.items() if known(price) and price < HUGE and price % tick != 0]
    return Finding("OFF_TICK", f"not a multiple of the tick {tick.normalize():f}: {', '.join(bad)}") if bad else None


def _off_lot(proposal: Proposal) -> list[Finding]:
    lot, quantity = proposal.lot, proposal.quantity
    if not known(lot) or lot <= 0:
        return [Finding("LOT_UNKNOWN", "the contract's lot is not known")]
    if not known(quantity) or not 0 < quantity < HUGE:
        return []
    if proposal.reduces and quantity == abs(proposal.ledger.position):
        return []
    if quantity < lot:
        return [Finding("TOO_SMALL", f"{quantity} is less than one lot of {lot.normalize():f}")]
    return [Finding("OFF_LOT", f"{quantity} is not a multiple of {lot.normalize():f}")] if quantity % lot else []
