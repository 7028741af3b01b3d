"""Ends many of our working orders, each by its own frame: all of them, or the entries so that protection stays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from django.db import DatabaseError

from broker import types
from broker.errors import BrokerUnavailable, OrderInvalid
from broker.ib.client import IbClient
from broker.ib.errors import NotSent
from broker.models import Submission
from broker.service import submissions

logger = logging.getLogger(__name__)
PROTECTION = frozenset({"stop", "target"})
REDUCES_BY_NAME = {"-E": False, "-S": True, "-T": True, "-X": True}
Reports = list[types.OrderReport]


def cancel_all(client: IbClient, request: types.CancelAll, limit: float) -> types.CancelAllOutcome:
    """Ask for the end of each order that the broker's book shows as ours; one that has ended meanwhile is no error.

    Raises BrokerUnavailable where the connection fails on the way; its details name what was `asked` before.
    """
    book = client.read("open_orders", types.Nothing(), limit)
    working = [report for report in book if report.account == request.account and report.origin == "ours"]
    recorded = _recorded(working)
    is_told = request.which == "all" or all(report.order_ref in recorded for report in working)
    positions = () if is_told else client.read("positions", types.Nothing(), limit)
    held = {row.con_id: row.quantity for row in positions if row.account == request.account}
    ending, left = choose(working, recorded, held, request.which)
    asked = ask_each(ending, lambda report: client.cancel(report.order_ref, _open, report.perm_id))
    return types.CancelAllOutcome(asked, left=tuple(map(_name, left)))


def choose(
    working: Iterable[types.OrderReport],
    recorded: Mapping[str, Submission],
    held: Mapping[int, Decimal],
    which: str,
) -> tuple[Reports, Reports]:
    """Our working orders as (to be ended, to be left); entries come first, so that none fills unprotected.

    `recorded`: the Submission of each by its reference; `held`: the account's quantity by contract.
    """
    ours = [report for report in working if report.origin == "ours"]
    kept = [report for report in ours if _stays(report, recorded.get(report.order_ref), held)]
    entries = [report for report in ours if report not in kept]
    return (entries, kept) if which == "entries" else (entries + kept, [])


def ask_each(ending: Reports, cancel: Callable[[types.OrderReport], None]) -> tuple[str, ...]:
    """The references of those that could be asked. Raises BrokerUnavailable as `cancel_all` does."""
    asked: list[str] = []
    for report in ending:
        try:
            cancel(report)
        except OrderInvalid:
            continue
        except (NotSent, BrokerUnavailable) as error:
            problem = f"the connection failed when {len(asked)} of {len(ending)} were asked to end: {error}"
            raise BrokerUnavailable(problem, details={"asked": asked}) from error
        asked.append(_name(report))
    return tuple(asked)


def only_reduces(report: types.OrderReport, row: Submission | None, held: Mapping[int, Decimal]) -> bool:
    """By our record; without one, a child of a bracket or an order that the holding covers."""
    terms = submissions.terms_of(row) if row is not None else {}
    if row is not None and terms:
        return row.role in PROTECTION or bool(terms["reduces"])
    if report.parent_perm_id:
        return True
    quantity = held.get(report.con_id, Decimal(0))
    return report.remaining <= abs(quantity) and report.side == ("SELL" if quantity > 0 else "BUY")


def is_named(report: types.OrderReport) -> bool:
    """True where the reference tells by its suffix what the order is for."""
    return report.order_ref[-2:] in REDUCES_BY_NAME


def _stays(report: types.OrderReport, row: Submission | None, held: Mapping[int, Decimal]) -> bool:
    """By our record; without one by its name, if it has one that tells."""
    if row is None and is_named(report):
        return REDUCES_BY_NAME[report.order_ref[-2:]]
    return only_reduces(report, row, held)


def _recorded(working: Reports) -> dict[str, Submission]:
    """Nothing without a database: then the holdings tell what protects, since an end must always be possible."""
    try:
        return submissions.of_orders([report.order_ref for report in working])
    except DatabaseError:
        logger.exception("our record of orders cannot be read; what protects is told by the holdings")
        return {}


def _open() -> None:
    """A cancel passes a Halt."""


def _name(report: types.OrderReport) -> str:
    return report.order_ref or f"permId {report.perm_id}"
