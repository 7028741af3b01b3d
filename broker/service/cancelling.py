"""Which of our working orders a cancel of many ends, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from broker import types
from broker.models import Submission
from broker.service.submissions import terms_of

PROTECTION = frozenset({"stop", "target"})


def choose(
    working: Iterable[types.OrderReport],
    recorded: Mapping[str, Submission],
    held: Mapping[int, Decimal],
    which: str,
) -> tuple[list[types.OrderReport], list[types.OrderReport]]:
    """Our working orders as (to be ended, to be left); entries come first, so that none fills unprotected.

    `recorded`: the Submission of each by its reference; `held`: the account's quantity by contract.
    """
    ours = [report for report in working if report.origin == "ours"]
    kept = [report for report in ours if _only_reduces(report, recorded.get(report.order_ref), held)]
    entries = [report for report in ours if report not in kept]
    return (entries, kept) if which == "entries" else (entries + kept, [])


def _only_reduces(report: types.OrderReport, row: Submission | None, held: Mapping[int, Decimal]) -> bool:
    """By our record; without one, a child of a bracket or an order that the holding covers."""
    terms = terms_of(row) if row is not None else {}
    if row is not None and terms:
        return row.role in PROTECTION or bool(terms["reduces"])
    if report.parent_perm_id:
        return True
    quantity = held.get(report.con_id, Decimal(0))
    return report.remaining <= abs(quantity) and report.side == ("SELL" if quantity > 0 else "BUY")
