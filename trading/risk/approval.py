"""P16: where a person must approve, an order leaves only under an approval of exactly these terms that still holds.

Whether one is needed is reckoned here once more: from the strategy's mode, from the values of its profile and the
desk's, and from the key that asks, where it may only propose. What a person changes by hand is that person's act; only
a change of an entry to a value that two must see, or that a person must, is refused: place it anew, so that it is asked
for.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from decimal import Decimal

from trading.risk.base import Finding, Proposal, Verdict, judged, known
from trading.selectors.ledger import ASKING

CONTROL = "P16"
PURPOSES = ("entry", "exit", "change")
GOOD = ("APPROVED", "USED")  # used: spent on this order, in this transaction


def check(proposal: Proposal) -> Verdict:
    """Refuse at sending what nobody has approved; before that, and while a person is asked, nothing."""
    needed, facts = persons(proposal), proposal.ledger.approval
    due = needed > 0 and proposal.sending and proposal.leaves and facts is not ASKING
    return judged(
        __name__,
        _findings(proposal, needed) if due else (),
        sound=f"{needed} must approve it" if needed else "it needs no approval",
        needed=needed,
        value=proposal.value,
        state=facts.state if facts else None,
    )


def persons(proposal: Proposal) -> int:
    """How many persons must approve: none, one, or two; a value that is not known is above every limit."""
    first, second = _limits(proposal)
    if not proposal.leaves or (proposal.purpose == "change" and proposal.reduces):
        return 0
    if _reaches(proposal.value, second):
        return 2
    by_mode = proposal.ledger.mode == "approve" and proposal.purpose != "change"
    return int(by_mode or proposal.must_be_approved or _reaches(proposal.value, first))


def _limits(proposal: Proposal) -> tuple[list[Decimal], list[Decimal]]:
    """The values from which on one must approve, and two: the profile's and the desk's; raises where one is none."""
    ledger, limits = proposal.ledger, proposal.limits
    first = [limits.approval_above_value, ledger.desk_approval_above]
    second = [limits.second_approver_above_value, ledger.desk_second_approver_above]
    for limit in (*first, *second):
        if limit is not None and not (limit.is_finite() and limit >= 0):
            raise ValueError(f"{limit} is no value to approve from")
    return [limit for limit in first if limit is not None], [limit for limit in second if limit is not None]


def _reaches(value: Decimal | None, limits: list[Decimal]) -> bool:
    return any(not (known(value) and value < limit) for limit in limits)


def _findings(proposal: Proposal, needed: int) -> Iterator[Finding]:
    facts = proposal.ledger.approval
    if facts is None:
        yield Finding("APPROVAL_NEEDED", f"{needed} must approve it first, and nobody was asked")
        return
    if facts.state not in GOOD:
        yield Finding("APPROVAL_NEEDED", f"its approval is {facts.state}")
    if facts.votes < max(needed, facts.needed):
        yield Finding("APPROVAL_NEEDED", f"{facts.votes} of {max(needed, facts.needed)} persons have approved it")
    if proposal.market_now >= facts.expires_at:
        yield Finding("APPROVAL_EXPIRED", f"the approval was good until {facts.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    if not facts.digest or not hmac.compare_digest(facts.digest, facts.terms):
        yield Finding("APPROVAL_CHANGED", "the order is not the one that was approved")
