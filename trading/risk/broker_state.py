"""P14: the broker is connected, reconciled and not about to restart, its clock agrees with ours, nothing is in dispute.

What reduces a position needs the connection only: neither a wrong clock nor an open difference may trap it.
"""

from __future__ import annotations

from collections.abc import Iterator

from trading.risk.base import Finding, Proposal, Verdict, judged

CONTROL = "P14"
PURPOSES = ("entry", "exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse while the broker is not known to be ready, and what adds while the account is not clean."""
    status = proposal.desk.status
    return judged(
        __name__,
        _findings(proposal) if proposal.leaves else (),
        sound="the broker is ready" if proposal.leaves else "it does not leave for the broker",
        ready=status.ready if status else None,
        skew_s=status.skew_s if status else None,
        blocking="; ".join(proposal.ledger.blocking),
    )


def _findings(proposal: Proposal) -> Iterator[Finding]:
    desk, blocking = proposal.desk, proposal.ledger.blocking
    if desk.broker is not None:
        yield Finding(desk.broker.code, desk.broker.message)
    if proposal.reduces:
        return
    if desk.clock is not None:
        yield Finding(desk.clock.code, desk.clock.message)
    elif desk.status is None or (desk.status.clock == "system" and desk.status.skew_s is None):
        yield Finding("CLOCK_UNKNOWN", "the broker has not told its time yet")
    if blocking:
        yield Finding("NOT_RECONCILED", f"a person must resolve first: {'; '.join(blocking)}")
