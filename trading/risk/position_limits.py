"""P8: with this order filled, the position, all of the account's exposure and its working entries stay within limits.

A sale that opens needs a strategy that may sell short.
"""

from __future__ import annotations

from decimal import Decimal

from trading.risk.base import Finding, Proposal, Verdict, judged, known

CONTROL = "P8"
PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse what would exceed the room of the instrument or the account, or when equity or value is unknown."""
    ledger, equity, value = proposal.ledger, proposal.equity, proposal.value
    instrument = total = None
    if known(value):
        instrument, total = ledger.exposure_instrument + value, ledger.exposure_total + value
    return judged(
        __name__,
        [_short(proposal), _crowded(proposal), _too_large(proposal, instrument, total)],
        sound="the projected position and exposure lie within the limits",
        instrument=instrument,
        total=total,
        equity=equity,
        open=ledger.open_entries,
        most_open=proposal.limits.max_open_orders,
    )


def _short(proposal: Proposal) -> Finding | None:
    if proposal.side == "BUY" or proposal.allow_short:
        return None
    return Finding("SHORT_NOT_ALLOWED", "opens a short position")


def _crowded(proposal: Proposal) -> Finding | None:
    working, most = proposal.ledger.open_entries, proposal.limits.max_open_orders
    if working < most:
        return None
    return Finding("TOO_MANY_OPEN_ORDERS", f"{working} entries work already, at most {most} may")


def _too_large(proposal: Proposal, instrument: Decimal | None, total: Decimal | None) -> Finding | None:
    equity, limits = proposal.equity, proposal.limits
    if not known(equity) or equity <= 0:
        return Finding("EQUITY_UNKNOWN", "the account's equity is not known")
    if not known(instrument) or not known(total):
        return Finding("EXPOSURE_UNKNOWN", "what would be at stake is not known")
    most = equity * limits.max_position_fraction
    if instrument > most:
        return Finding("POSITION_TOO_LARGE", f"{instrument:.2f} in {proposal.symbol}, at most {most:.2f} may be")
    most = equity * limits.max_exposure_fraction
    if total > most:
        return Finding("EXPOSURE_TOO_LARGE", f"{total:.2f} at stake, at most {most:.2f} may be")
    return None
