"""Opening, changing and ending a difference between the broker and us: one open row a kind and subject."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from autotrader.core import audit
from autotrader.core.audit.chain import to_document
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import Conflict, Invalid
from trading.models import Discrepancy, Instrument, Order
from trading.models.discrepancy import DiscrepancyKind
from trading.selectors.discrepancies import AGREED, SYSTEM, latest
from trading.services.rows import swap
from trading.services.sought import out_of_the_ordinary

DIFFERENCE = "difference"
SHORTEST_REASON = 3
PERMISSION = "trading.resolve_discrepancy"
WIDTH = 80


def discrepancy_open(
    account_id: str,
    kind: DiscrepancyKind,
    subject: str,
    *,
    detail: str,
    market_at: datetime,
    ours: str = "",
    theirs: str = "",
    order: Order | None = None,
    instrument: Instrument | None = None,
    blocking: bool = True,
    document: dict[str, Any] | None = None,
    difference: str = "",
) -> Discrepancy:
    """Raise a difference; the same one again changes nothing. Call inside `audit.recording()`.

    `difference` says what makes it the same one (by default `ours` and `theirs`): one that a person has resolved
    stays resolved, and is given back, while its difference is unchanged and the sides have not agreed in between.
    """
    out_of_the_ordinary("a difference between the broker and us")
    subject, same = subject[:WIDTH], difference or f"{ours}|{theirs}"
    values = {
        "detail": detail,
        "ours": ours[:WIDTH],
        "theirs": theirs[:WIDTH],
        "blocking": blocking,
        "document": _json({**(document or {}), DIFFERENCE: same}),
    }
    known = latest(account_id, kind, subject)
    if known is not None and known.state == "OPEN":
        return _seen_again(known, values, market_at)
    if known is not None and _is_settled_by_person(known, same):
        return known
    return _new(account_id, kind, subject, values, order, instrument, market_at)


def discrepancy_settle(
    account_id: str, kind: DiscrepancyKind, subject: str, *, cause: str, market_at: datetime
) -> Discrepancy | None:
    """The sides agree again: close what is open; a difference that comes back later is a new one."""
    known = latest(account_id, kind, subject[:WIDTH])
    if known is None or AGREED in known.document:
        return None
    out_of_the_ordinary("a difference that is settled")
    if known.state == "OPEN":
        _end(known, actor=SYSTEM, reason=cause, market_at=market_at)
        return known
    swap(known, document={**known.document, AGREED: system_now().isoformat()})
    return None


def discrepancy_resolve(discrepancy: Discrepancy, *, actor: str, reason: str) -> Discrepancy:
    """A person has seen it and says why it is no matter any more.

    Raises Invalid without a reason, Conflict where it is resolved already or changed since it was read.
    """
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise Invalid("Say why this difference is settled.", code="REASON_MISSING", details={"field": "reason"})
    with audit.acting(actor=actor), audit.recording():
        if discrepancy.state != "OPEN":
            raise Conflict(f"This was resolved by {discrepancy.resolved_by}.", code="ALREADY_RESOLVED")
        _end(discrepancy, actor=actor, reason=reason, market_at=discrepancy.market_at)
    return discrepancy


def _is_settled_by_person(known: Discrepancy, same: str) -> bool:
    return known.resolved_by != SYSTEM and AGREED not in known.document and known.document.get(DIFFERENCE) == same


def _json(document: dict[str, Any]) -> dict[str, Any]:
    """JSON-safe, as an Event keeps it."""
    text, _ = to_document(document)
    made: dict[str, Any] = json.loads(text)
    return made


def _new(
    account_id: str,
    kind: DiscrepancyKind,
    subject: str,
    values: dict[str, Any],
    order: Order | None,
    instrument: Instrument | None,
    market_at: datetime,
) -> Discrepancy:
    now = system_now()
    try:
        with transaction.atomic():
            made = Discrepancy.objects.create(
                account_id=account_id,
                kind=kind,
                subject=subject,
                order=order,
                instrument=instrument or (order.instrument if order else None),
                first_seen_at=now,
                last_seen_at=now,
                market_at=market_at,
                **values,
            )
    except IntegrityError:  # another process was first
        return Discrepancy.objects.get(account=account_id, kind=kind, subject=subject, state="OPEN")
    _record(made, EventType.DISCREPANCY_OPENED, "", made.detail, market_at)
    return made


def _seen_again(known: Discrepancy, values: dict[str, Any], market_at: datetime) -> Discrepancy:
    now = system_now()
    if all(getattr(known, name) == values[name] for name in values):
        Discrepancy.objects.filter(pk=known.pk).update(last_seen_at=now)
        return known
    swap(known, last_seen_at=now, **values)
    _record(known, EventType.DISCREPANCY_CHANGED, known.state, known.detail, market_at)
    return known


def _end(known: Discrepancy, *, actor: str, reason: str, market_at: datetime) -> None:
    swap(known, state="RESOLVED", resolved_at=system_now(), resolved_by=actor[:WIDTH], resolution=reason)
    _record(known, EventType.DISCREPANCY_RESOLVED, "OPEN", reason, market_at)


def _record(row: Discrepancy, kind: EventType, old: str, cause: str, market_at: datetime) -> None:
    audit.record(
        kind,
        f"discrepancy:{row.pk}",
        version=row.version,
        old_state=old,
        new_state=row.state,
        account=row.account_id,
        cause=cause,
        market_at=market_at,
        document={
            "kind": row.kind,
            "subject": row.subject,
            "ours": row.ours,
            "theirs": row.theirs,
            "blocking": row.blocking,
            "order": row.order.order_ref if row.order else None,
            **row.document,
        },
    )
