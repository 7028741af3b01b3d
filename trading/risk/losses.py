"""P15: no entry after the day's loss, the drawdown or the stop-outs of the day, nor soon after a stop-out.

Loss is measured on the account's equity of this moment, against where the exchange's day began and against its
highest. Where the desk was halted for that loss and a person released it, the Halt decides, not this control.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from trading.risk.base import Finding, Proposal, Verdict, judged, known
from trading.selectors.equity import deeper, level_of

CONTROL = "P15"
PURPOSES = ("entry", "exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse by each limit that is reached, and while the loss is not known."""
    equity, ledger = proposal.ledger.equity, proposal.ledger
    # The broker's figure is not a shadow ledger's.
    now = None if ledger.shadow else proposal.equity
    loss, drawdown = equity.day_loss(now), equity.drawdown(now)
    return judged(
        __name__,
        _findings(proposal, loss, drawdown),
        sound=f"the day's loss is {_shown(loss)}, the drawdown {_shown(drawdown)}",
        day_loss=loss,
        drawdown=drawdown,
        stop_outs=ledger.stop_outs_today,
        last_stop_out_at=ledger.last_stop_out_at,
    )


def _findings(proposal: Proposal, loss: Decimal | None, drawdown: Decimal | None) -> Iterator[Finding]:
    equity = proposal.ledger.equity
    if equity.binds and equity.level == "HALTED":
        # No Halt concerns this ledger (a replay, a shadow): its own level does what a Halt does elsewhere.
        yield Finding("LOSS_HALTED", "the losses of this ledger have ended its trading")
    if proposal.reduces:
        return
    yield from _losses(proposal, loss, drawdown)
    yield from _stop_outs(proposal)


def _losses(proposal: Proposal, loss: Decimal | None, drawdown: Decimal | None) -> Iterator[Finding]:
    ledger, equity = proposal.ledger, proposal.ledger.equity
    if not known(loss) or not known(drawdown):
        # What has held nothing yet, and of which nothing was kept, has no day to lose in; a shadow ledger's first
        # snapshot comes at the end of its first cycle.
        held = ledger.held and not ledger.shadow
        if held or equity.at is not None or (proposal.equity is not None and not known(proposal.equity)):
            yield Finding("LOSS_UNKNOWN", "the account's loss is not known")
        return
    level = level_of(loss, drawdown, proposal.limits)
    if deeper(level.state, "" if equity.binds else equity.level):
        yield Finding(level.code, level.message)
    elif equity.binds and equity.level:
        yield Finding("DAY_LOSS", "the loss of the day was reached before")


def _stop_outs(proposal: Proposal) -> Iterator[Finding]:
    ledger, limits = proposal.ledger, proposal.limits
    if not ledger.stop_outs_today < limits.max_stop_outs_per_day:
        most = limits.max_stop_outs_per_day
        yield Finding("TOO_MANY_STOP_OUTS", f"{ledger.stop_outs_today} stop-outs today, no entry from {most} on")
    last, seconds = ledger.last_stop_out_at, limits.cool_down_seconds
    if last is not None and proposal.market_now - last < timedelta(seconds=seconds):
        yield Finding("COOL_DOWN", f"stopped out at {last:%H:%M:%S} UTC: no entry for {seconds} s")


def _shown(fraction: Decimal | None) -> str:
    return "unknown" if fraction is None else f"{fraction:.2%}"
