"""P10: the contract is resolved, not restricted, on the list, and trades in the account's currency.

Contracts are compared by the broker's id, never by their symbol's text: one symbol may name several. The lists hold
ids, found from what the profile names. What only reduces is let out of a contract that may not be entered.
"""

from __future__ import annotations

from trading.risk.base import Finding, Proposal, Verdict, judged

CONTROL = "P10"
PURPOSES = ("entry", "exit")


def check(proposal: Proposal) -> Verdict:
    """Refuse any other contract, and any other currency: conversion is not supported yet."""
    return judged(
        __name__,
        [_unresolved(proposal), _restricted(proposal), _not_listed(proposal), _foreign(proposal)],
        sound=f"{proposal.symbol} is contract {proposal.con_id}, which may be traded",
        con_id=proposal.con_id,
        listed=len(proposal.allowed_con_ids),
        currency=proposal.currency,
        base=proposal.base_currency,
    )


def _unresolved(proposal: Proposal) -> Finding | None:
    if proposal.con_id is not None and proposal.con_id > 0:
        return None
    return Finding("CONTRACT_UNRESOLVED", f"{proposal.symbol} is not resolved to one contract of the broker")


def _restricted(proposal: Proposal) -> Finding | None:
    if proposal.reduces or proposal.con_id not in proposal.restricted_con_ids:
        return None
    return Finding("SYMBOL_RESTRICTED", f"{proposal.symbol} ({proposal.con_id}) is on the restricted list")


def _not_listed(proposal: Proposal) -> Finding | None:
    if proposal.reduces or proposal.con_id in proposal.allowed_con_ids:
        return None
    listed = len(proposal.allowed_con_ids)
    return Finding("SYMBOL_NOT_ALLOWED", f"{proposal.symbol} ({proposal.con_id}) is not on the list of {listed}")


def _foreign(proposal: Proposal) -> Finding | None:
    if proposal.currency and proposal.currency == proposal.base_currency:
        return None
    kept = f"the account is kept in {proposal.base_currency}"
    return Finding("FX_NOT_SUPPORTED", f"{proposal.symbol} trades in {proposal.currency}, {kept}")
