"""P4: few new orders and changes of a strategy leave an account in a minute, and fewer in a second.

Cancels are neither counted nor stopped. By the market's clock, as every limit: in a replay, where a step is one
instant, a strategy has its burst a step.
"""

from __future__ import annotations

from collections.abc import Iterator

from trading.risk.base import Finding, Proposal, Verdict, judged

CONTROL = "P4"
PURPOSES = ("entry", "exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse one message too many in the last second or minute."""
    ledger, limits = proposal.ledger, proposal.limits
    return judged(
        __name__,
        _findings(proposal),
        sound=f"{ledger.messages_minute} messages in the last minute",
        second=ledger.messages_second,
        minute=ledger.messages_minute,
        most_a_second=limits.message_burst,
        most_a_minute=limits.messages_per_minute,
    )


def _findings(proposal: Proposal) -> Iterator[Finding]:
    ledger, limits = proposal.ledger, proposal.limits
    if not ledger.messages_second < limits.message_burst:
        most = limits.message_burst
        yield Finding("MESSAGE_BURST", f"{ledger.messages_second} messages in the last second, at most {most}")
    if not ledger.messages_minute < limits.messages_per_minute:
        most = limits.messages_per_minute
        yield Finding("MESSAGE_RATE", f"{ledger.messages_minute} messages in the last minute, at most {most}")
