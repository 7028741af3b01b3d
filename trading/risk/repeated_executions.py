"""P5: a strategy that has sent all its entries of the exchange's day is suspended until a person resumes it."""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged

CONTROL = "P5"
PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse an entry of a suspended strategy, and the one too many that suspends it."""
    sent, most = proposal.ledger.entries_today, proposal.limits.max_orders_per_day
    suspended = proposal.ledger.suspended
    findings = [
        Finding("STRATEGY_SUSPENDED", f"suspended until a person resumes it: {suspended}") if suspended else None,
        None if sent < most else Finding("TOO_MANY_ORDERS_TODAY", f"{sent} entries sent today, at most {most} may be"),
    ]
    return judged(__name__, findings, sound=f"{sent} of {most} entries of the day are sent", sent=sent, most=most)
