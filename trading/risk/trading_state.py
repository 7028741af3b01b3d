"""P12: the desk is ACTIVE; REDUCING lets through what reduces a position, HALTED nothing but a protective stop.

The owner reads the Halt once more before the frame; a stop that is placed again for a position comes another way.
"""

from __future__ import annotations

from broker.gates import HaltState
from trading.risk.base import Finding, Proposal, Verdict, judged

CONTROL = "P12"
PURPOSES = ("entry", "exit", "change")


def check(proposal: Proposal) -> Verdict:
    """Refuse what the Halt does not let through; what never leaves us is not its concern."""
    halt = proposal.desk.halt
    passes = halt.state is HaltState.ACTIVE or (halt.state is HaltState.REDUCING and proposal.reduces)
    message = f"trading is {halt.state}" + (f": {halt.reason}" if halt.reason else "")
    refused = proposal.leaves and not passes
    return judged(
        __name__,
        [Finding(str(halt.state), message) if refused else None],
        sound=message if proposal.leaves else "it does not leave for the broker",
        state=halt.state,
        by=halt.actor,
    )
