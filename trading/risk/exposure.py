"""Positions and open entries together, with this order, stay within the profile's part of equity."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, known, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse what would exceed the instrument's or the account's room, or when equity is unknown."""
    equity, limits = proposal.equity, proposal.limits
    if equity is None or not known(equity) or equity <= 0 or proposal.limit_price is None:
        return verdict(__name__, allowed=False, code="EQUITY_UNKNOWN", message="the account's equity is not known")
    value = proposal.quantity * proposal.limit_price
    instrument = proposal.exposure_instrument + value
    total = proposal.exposure_total + value
    if instrument > equity * limits.max_position_fraction:
        code, message = "POSITION_TOO_LARGE", f"{instrument:.2f} in {proposal.symbol} of equity {equity:.2f}"
    else:
        code, message = "EXPOSURE_TOO_LARGE", f"{total:.2f} at stake of equity {equity:.2f}"
    allowed = instrument <= equity * limits.max_position_fraction and total <= equity * limits.max_exposure_fraction
    return verdict(
        __name__, allowed=allowed, code=code, message=message, instrument=instrument, total=total, equity=equity
    )
